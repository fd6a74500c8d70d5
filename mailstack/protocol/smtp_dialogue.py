"""What a dialogue with a server is made of: steps that a generator yields, and the replies that it gets back.

So :mod:`.smtp_opening` and :mod:`.smtp_transaction` read like the conversation itself, and :mod:`.smtp_client` alone
knows of octets.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

from attrs import field

from mailstack.model.reply import Reply
from mailstack.model.value import frozen


@frozen
class Patience:
    """How long to wait, in seconds: RFC 5321 §4.5.3.2, and ``tls`` for a handshake, where it says nothing."""

    greeting: float = 300
    hello: float = 300
    tls: float = 60
    login: float = 120
    mail: float = 300
    rcpt: float = 300
    data: float = 120
    block: float = 180
    final: float = 600


@frozen
class Login:
    """Who we are for a smarthost."""

    name: str
    password: str = field(repr=False)


@frozen
class Say:
    """Send commands, each without its CRLF, all at once. Each earns one reply."""

    commands: tuple[str, ...]


@frozen(eq=False)
class Hear:
    """Wait for the next reply: ``to`` says which one."""

    to: str
    timeout: float


@frozen(eq=False)
class Secure:
    """Start TLS now."""

    timeout: float
    to: str = "the TLS handshake"


@frozen(eq=False)
class Pour:
    """Send the message, dots stuffed, and its end; it earns ``replies``. ``timeout`` is for each block."""

    replies: int
    timeout: float
    empty: bool = False  #: send the end of data alone
    to: str = "the message data"


@frozen(eq=False)
class Rest:
    """Wait until our own side has another letter, or says that there is none. How long is its own business."""

    to: str = "the next letter"


@frozen
class Break:
    """Go no further: nobody knows what the server would take for what. ``verdict`` says nothing of the letter."""

    verdict: Reply


Wait = Hear | Secure | Pour | Rest
Step = Say | Wait | Break

T = TypeVar("T")
Dialogue = Generator[Step, Reply | None, T]


def hear(to: str, timeout: float) -> Dialogue[Reply]:
    reply = yield Hear(to, timeout)
    assert reply is not None, "the driver answers Hear with a reply"
    return reply


def ask(command: str, to: str, timeout: float) -> Dialogue[Reply]:
    yield Say((command,))
    return (yield from hear(to, timeout))


def refusal(reply: Reply) -> Reply:
    """A reply that is not what was asked for, as a verdict: one that is no refusal makes no sense here."""
    return reply if reply.code >= 400 else Reply(451, "4.5.0", f"Unexpected reply: {reply}")
