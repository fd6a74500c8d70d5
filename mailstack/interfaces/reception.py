"""The seam between a connection and the policy behind it."""

from __future__ import annotations

from collections.abc import Awaitable

from zope.interface import Interface

from mailstack.interfaces.accounts import Bindings, no_bindings
from mailstack.interfaces.sessions import Identity
from mailstack.interfaces.waiting import ITurn
from mailstack.model.reply import Reply
from mailstack.protocol.smtp_events import Event


class IReception(Interface):
    """Answers one SMTP client: the policy behind one connection."""

    def greeting() -> Reply:
        """The first line."""

    def decide(event: Event) -> Reply | Awaitable[Reply]:
        """The answer to one event, at once if it can be had without waiting. Never raises for anything that a client, a
        file or the disk can cause."""

    def body(chunk: bytes, lines: int) -> None:
        """Octets of the message, in which so many lines end, with LF: after a positive answer to Data or Bdat, and up
        to BodyEnd."""

    def secured(tls: str, bindings: Bindings = no_bindings) -> None:
        """TLS is up (``tls``: version and cipher): everything that was said before is forgotten (RFC 3207 §4.2)."""

    def who() -> Identity:
        """At this moment."""

    def turned() -> ITurn:
        """Who speaks on the connection after a positive answer to ATRN."""

    def closed() -> None:
        """The connection is gone; what was not answered is dropped."""
