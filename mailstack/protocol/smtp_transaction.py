"""One letter in one session: MAIL, RCPT, DATA, and what becomes of each recipient."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from mailstack.model.address import Address, path
from mailstack.model.reply import Reply
from mailstack.protocol.smtp_dialogue import Dialogue, Patience, Pour, Say, ask, hear, refusal


@frozen
class Envelope:
    """What is to be sent, and to whom: recipients by number."""

    sender: Address | None
    recipients: Mapping[int, Address]
    size: int  #: octets with CRLF line ends; a few too many do no harm, RFC 1870 §3
    eight_bit: bool


class Transaction:
    """``answers`` grows as the server speaks: the verdict for each recipient number."""

    def __init__(self, envelope: Envelope, patience: Patience, lmtp: bool) -> None:
        self._envelope = envelope
        self._patience = patience
        self._lmtp = lmtp
        self._accepted: list[int] = []
        self.answers: dict[int, Reply] = {}

    def settle(self, reply: Reply) -> None:
        """The same verdict for all that have none yet."""
        for number in self._envelope.recipients:
            self.answers.setdefault(number, reply)

    def run(self, extensions: Mapping[str, str]) -> Dialogue[None]:
        problem = self._unfit(extensions)
        if problem is not None:
            self.settle(problem)
            return
        for number, address in self._envelope.recipients.items():
            if not _sendable(address):
                self.answers[number] = Reply(553, "5.6.7", "The address has characters that the server cannot take")
        waiting = [number for number in self._envelope.recipients if number not in self.answers]
        if not waiting:
            return
        talk = self._pipelined if "PIPELINING" in extensions else self._in_turn
        yield from talk(self._mail(extensions), waiting)

    def _unfit(self, extensions: Mapping[str, str]) -> Reply | None:
        """Why the server cannot take this letter, known from its extensions alone."""
        limit = extensions.get("SIZE", "")
        size = self._envelope.size
        # RFC 1870 §3: a limit of 0 is none.
        if limit.isascii() and limit.isdigit() and 0 < int(limit) < size:
            return Reply(552, "5.3.4", f"The message is too big for the server: {size} octets, it takes {limit}")
        if self._envelope.eight_bit and "8BITMIME" not in extensions:
            # RFC 6152 §3: convert or return; conversion would break signatures.
            return Reply(554, "5.6.3", "The message has 8-bit characters, which the server does not take")
        if self._envelope.sender is not None and not _sendable(self._envelope.sender):
            return Reply(553, "5.6.7", "The sender's address has characters that the server cannot take")
        return None

    def _mail(self, extensions: Mapping[str, str]) -> str:
        size = f" SIZE={self._envelope.size}" if "SIZE" in extensions else ""
        body = " BODY=8BITMIME" if self._envelope.eight_bit else ""
        return f"MAIL FROM:{path(self._envelope.sender)}{size}{body}"

    def _rcpt(self, number: int) -> str:
        return f"RCPT TO:{path(self._envelope.recipients[number])}"

    def _in_turn(self, mail: str, waiting: list[int]) -> Dialogue[None]:
        """One command, one reply."""
        reply = yield from ask(mail, "MAIL", self._patience.mail)
        if reply.code != 250:
            return self.settle(refusal(reply))
        for number in waiting:
            self._judge(number, (yield from ask(self._rcpt(number), "RCPT", self._patience.rcpt)))
        if not self._accepted:
            return None
        go_ahead = yield from ask("DATA", "DATA", self._patience.data)
        yield from self._content(go_ahead)
        return None

    def _pipelined(self, mail: str, waiting: list[int]) -> Dialogue[None]:
        """Everything at once, then the replies: RFC 2920."""
        yield Say((mail, *map(self._rcpt, waiting), "DATA"))
        reply = yield from hear("MAIL", self._patience.mail)
        if reply.code != 250:
            self.settle(refusal(reply))
        for number in waiting:
            self._judge(number, (yield from hear("RCPT", self._patience.rcpt)))
        go_ahead = yield from hear("DATA", self._patience.data)
        if self._accepted:
            yield from self._content(go_ahead)
        elif go_ahead.code == 354:
            yield from self._nothing()

    def _judge(self, number: int, reply: Reply) -> None:
        if number in self.answers:  # MAIL was refused: the rest only follows from that
            return
        if 200 <= reply.code < 300:
            self._accepted.append(number)
        elif reply.code == 552 and self._accepted and reply.status in ("", "5.5.3"):
            # RFC 5321 §4.5.3.1.10: "too many recipients" was 552 in RFC 821, and means 452.
            self.answers[number] = Reply(452, "4.5.3", reply.text)
        else:
            self.answers[number] = refusal(reply)

    def _content(self, go_ahead: Reply) -> Dialogue[None]:
        if go_ahead.code != 354:
            return self.settle(refusal(go_ahead))
        replies = len(self._accepted) if self._lmtp else 1
        yield Pour(replies, self._patience.block)
        if self._lmtp:
            # RFC 2033 §4.2: one reply for each accepted recipient, in their order.
            for number in self._accepted:
                self.answers[number] = _final((yield from hear("the end of data", self._patience.final)))
        else:
            self.settle(_final((yield from hear("the end of data", self._patience.final))))
        return None

    def _nothing(self) -> Dialogue[None]:
        """RFC 2920 §3.1: 354 although every recipient was refused; end the data at once, whatever it says then."""
        replies = 0 if self._lmtp else 1
        yield Pour(replies, self._patience.block, empty=True)
        if replies:
            yield from hear("the end of data", self._patience.final)


def _final(reply: Reply) -> Reply:
    return reply if 200 <= reply.code < 300 else refusal(reply)


def _sendable(address: Address) -> bool:
    """No control characters, which would end the command, and none above ASCII: that takes SMTPUTF8."""
    return str(address).isascii() and str(address).isprintable()
