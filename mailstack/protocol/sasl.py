"""The server's side of SASL mechanisms, without I/O. RFC 4422; shared by SMTP (RFC 4954) and POP3 (RFC 5034)."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable, Sequence
from functools import partial

from attrs import frozen

from mailstack.protocol.sasl_steps import Challenge, Claim, Malformed, Mechanism, Step
from mailstack.protocol.scram import Scram

#: Octets of one line of the exchange, RFC 4954 §4.
MAX_LINE = 12288


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


@frozen
class Row:
    """A mechanism: how an exchange begins, and what it cannot do without."""

    begin: Callable[[], Mechanism]
    keys: bool = False  #: accounts with keys for SCRAM
    binding: bool = False  #: a channel that can be bound to


#: All there are, in the order in which they are offered.
MECHANISMS: dict[str, Row] = {
    "PLAIN": Row(Plain),
    "LOGIN": Row(Login),
    "SCRAM-SHA-256": Row(Scram, keys=True),
    "SCRAM-SHA-256-PLUS": Row(partial(Scram, plus=True), keys=True, binding=True),
}


def possible(keys: bool, binding: bool) -> Sequence[str]:
    """The mechanisms that can succeed where there are ``keys`` for SCRAM, and a channel for ``binding``."""
    return [name for name, row in MECHANISMS.items() if keys >= row.keys and binding >= row.binding]


def decode(text: bytes) -> bytes | None:
    """The octets of a response line; None when it is not base64. ``=`` is the empty initial response."""
    if text == b"=":
        return b""
    try:
        return b64decode(text, validate=True)
    except binascii.Error:
        return None
