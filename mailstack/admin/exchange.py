"""A session with the receiver's own code in this process: protocol and policy, without socket, reactor or threads."""

from __future__ import annotations

from collections.abc import Awaitable

from mailstack.intake.reception import Reception
from mailstack.model.reply import Reply
from mailstack.protocol.smtp_events import Body, Event, StartTls
from mailstack.protocol.smtp_server import SmtpServer

TLS = "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384"  # as the log would name it


class Exchange:
    """Octets in, octets out. ``greeting`` is what is said first."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception
        self._server = SmtpServer()
        self.greeting = reception.greeting().wire()

    @property
    def closed(self) -> bool:
        return self._server.closing

    def hear(self, octets: bytes) -> bytes:
        """What is said to that. After the answer to STARTTLS the session is encrypted."""
        self._server.receive(octets)
        said = b""
        while (event := self._server.next_event()) is not None:
            said += self._answer(event)
        return said

    def hang_up(self) -> None:
        self._reception.closed()

    def _answer(self, event: Event) -> bytes:
        if isinstance(event, Body):
            self._reception.body(event.chunk, event.lines)
            return b""
        decision = self._reception.decide(event)
        reply = decision if isinstance(decision, Reply) else at_once(decision)
        octets = self._server.answer(reply)
        if isinstance(event, StartTls) and reply.positive:
            self._reception.secured(TLS)
        return octets


def at_once(decision: Awaitable[Reply]) -> Reply:
    """The result of a decision that has nothing to wait for: no thread and no clock are here, and the disk blocks."""

    async def decided() -> Reply:
        return await decision

    work = decided()
    try:
        work.send(None)
    except StopIteration as stop:
        reply: Reply = stop.value
        return reply
    work.close()
    raise RuntimeError("a decision waits for what is not here")


def replies(octets: bytes) -> list[str]:
    """Replies, each with all its lines (RFC 5321 §4.2.1); one that is cut off counts, too."""
    found: list[str] = []
    open_ = False
    for line in octets.decode("utf-8", "backslashreplace").split("\n"):
        text = line.removesuffix("\r")
        if not text and not open_:
            continue
        found[-1:] = [f"{found[-1]}\n{text}"] if open_ else [*found[-1:], text]
        open_ = text[3:4] == "-"
    return found
