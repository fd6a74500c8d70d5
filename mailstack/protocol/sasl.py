"""The server's side of SASL mechanisms, without I/O. RFC 4422; shared by SMTP (RFC 4954) and POP3 (RFC 5034)."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable
from typing import Protocol

from attrs import frozen

#: Octets of one line of the exchange, RFC 4954 §4.
MAX_LINE = 12288


@frozen
class Challenge:
    """Send this, and call ``step`` again with the answer."""

    text: bytes


@frozen
class Claim:
    """The exchange is over: the client says that it is ``name``, with this password (RFC 4616 §2)."""

    name: str
    password: str
    authzid: str = ""


@frozen
class Malformed:
    """What the client sent makes no sense."""


Step = Challenge | Claim | Malformed


class Mechanism(Protocol):
    def step(self, response: bytes | None) -> Step:
        """Go on with the client's response; None: it gave no initial response."""


class Plain:
    """RFC 4616: one message, ``[authzid] NUL authcid NUL passwd``."""

    def step(self, response: bytes | None) -> Step:
        if response is None:
            return Challenge(b"")
        try:
            authzid, name, password = response.decode("utf-8").split("\0")
        except ValueError:
            return Malformed()
        return Claim(name, password, authzid) if name and password else Malformed()


class Login:
    """Never standardised; Outlook and Foxmail use it. The prompts are what they expect."""

    def __init__(self) -> None:
        self._name: str | None = None

    def step(self, response: bytes | None) -> Step:
        if response is None:
            return Challenge(b"Username:")
        try:
            text = response.decode("utf-8")
        except ValueError:
            return Malformed()
        if self._name is None:
            self._name = text
            return Challenge(b"Password:")
        return Claim(self._name, text) if self._name and text and "\0" not in self._name + text else Malformed()


MECHANISMS: dict[str, Callable[[], Mechanism]] = {"PLAIN": Plain, "LOGIN": Login}


def decode(text: bytes) -> bytes | None:
    """The octets of a response line; None when it is not base64. ``=`` is the empty initial response."""
    if text == b"=":
        return b""
    try:
        return b64decode(text, validate=True)
    except binascii.Error:
        return None
