"""The steps of a SASL exchange, as the server's side sees them: what a mechanism says next. RFC 4422."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from attrs import field, frozen


@frozen
class Challenge:
    """Send this, and call ``step`` again with the answer."""

    text: bytes


@frozen
class Claim:
    """The exchange is over: the client says that it is ``name``, with this password (RFC 4616 §2)."""

    name: str
    password: str = field(repr=False)
    authzid: str = ""


@frozen
class Opening:
    """What the server says first in SCRAM: its part of the nonce, and what the account's keys were made with.

    ``binding`` is the channel's data for the binding that the client chose, b"" without one (RFC 5929, 9266).
    """

    nonce: str
    salt: bytes
    iterations: int
    binding: bytes = field(default=b"", repr=False)


@frozen
class Lookup:
    """SCRAM has begun, and wants to know of the account: ``supply`` it, then call ``step(None)``; or refuse.

    ``flag`` is how the client feels about channel binding (RFC 5802 §6): ``n`` it cannot, ``y`` it could but thinks
    that we cannot, else the name of the binding that it uses.
    """

    name: str
    flag: str
    supply: Callable[[Opening], None] = field(repr=False, eq=False)


@frozen
class Proof:
    """SCRAM's client proves that it knows the password: look at it with :func:`.scram.signature`.

    If it does, ``supply`` the signature that proves the same of us, then call ``step(None)``; else refuse. ``bound`` is
    False when the two sides see different channels.
    """

    name: str
    authzid: str
    message: bytes = field(repr=False)
    proof: bytes = field(repr=False)
    bound: bool
    supply: Callable[[bytes], None] = field(repr=False, eq=False)


@frozen
class Agreed:
    """The exchange is over: each side has proved that it knows the password. Only after a proof that was taken."""


@frozen
class Malformed:
    """What the client sent makes no sense."""


Step = Challenge | Claim | Lookup | Proof | Agreed | Malformed


class Mechanism(Protocol):
    def step(self, response: bytes | None) -> Step:
        """Go on with the client's response; None: it gave no initial response, or what was asked for was supplied."""
