"""The seams for what somebody should hear of: events, and limits that strike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zope.interface import Interface


class IEventLog(Interface):
    """One line an event. Values are escaped by the provider, and must not change afterwards; passwords must not be
    given."""

    def event(id: str, **fields: object) -> None:
        """Facts of a letter (``id`` is its queue id) or of a session, in Postfix's field names; trailing underscores
        are cut (``from_``), None is left out; ``what`` is free text at the beginning, ``note`` at the end."""

    def each(id: str, several: Sequence[Mapping[str, object]], **shared: object) -> None:
        """One event for each of ``several``: its own fields, then those that they share; at least one of each. They are
        facts alone, without ``what`` and ``note``."""

    def detail(id: str, **fields: object) -> None:
        """The same, for who wants to see everything: level debug."""

    def warn(id: str, **fields: object) -> None:
        """The same, for what the postmaster should look at."""

    def failure(id: str, note: str) -> None:
        """A bug: the current exception with its traceback."""


class ILimitCounts(Interface):
    """How often each limit has struck."""

    def struck(limit: str, by: str) -> None:
        """A limit (its name in :mod:`mailstack.config.limits`) has just kept somebody (an IP address, ``""`` for a UNIX
        socket) from something. Call it in the reactor's thread."""
