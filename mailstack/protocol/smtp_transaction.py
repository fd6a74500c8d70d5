"""One letter in one session: MAIL, RCPT, DATA, and what becomes of each recipient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mailstack.model.address import Address
from mailstack.model.letter import Recipient
from mailstack.model.reply import Reply
from mailstack.model.value import frozen
from mailstack.model.xtext import in_ascii
from mailstack.protocol.smtp_dialogue import Break, Dialogue, Patience, Pour, Say, ask, hear, refusal
from mailstack.protocol.smtp_limits import within

#: A recipient too many for this transaction: RFC 5321 §4.5.3.1.10, where 552 is what RFC 821 had.
TOO_MANY = frozenset({(452, ""), (452, "4.5.3"), (552, ""), (552, "5.5.3")})


@frozen
class Envelope:
    """What is to be sent, and to whom: recipients by number."""

    sender: Address | None
    recipients: Mapping[int, Recipient]
    size: int  #: octets with CRLF line ends; a few too many do no harm, RFC 1870 §3
    eight_bit: bool
    smtputf8: bool = False  #: the header has UTF-8; the addresses speak for themselves
    require_tls: bool = False  #: the session must be as RFC 8689 wants it, if there is a sender to be told of failure
    ret: str = ""
    envid: str = ""


class Transaction:
    """``answers`` grows as the server speaks: the verdict for each recipient number. Those without one at the end are
    for a further transaction: the server takes fewer at a time, and has taken some."""

    def __init__(self, envelope: Envelope, patience: Patience, lmtp: bool) -> None:
        self.envelope = envelope
        self._patience = patience
        self._lmtp = lmtp
        self._accepted: list[int] = []
        self._extensions: Mapping[str, str] = {}
        self._verified = False
        self._utf8 = False
        self._surplus: dict[int, Reply] = {}
        self.answers: dict[int, Reply] = {}
        self.heard = False  #: MAIL was answered: what happens now may be due to the letter
        self.poured = False  #: the end of data was sent: only its answer tells whose the letter is
        self.open = False  #: the server may still be in the middle of it

    def settle(self, reply: Reply) -> None:
        """The same verdict for all that have none yet."""
        for number in self.envelope.recipients:
            self.answers.setdefault(number, reply)

    def run(self, extensions: Mapping[str, str], verified: bool, reset: bool = False) -> Dialogue[None]:
        """``verified``: the session has TLS, and the server a certificate of its name. ``reset``: the one before was
        left open."""
        self._extensions, self._verified = extensions, verified
        self.open = reset
        problem = self._unfit()
        if problem is not None:
            self.settle(problem)
            return
        for number, recipient in self.envelope.recipients.items():
            unfit = self._unfit_address(recipient.address, "the recipient's address", recipient.orcpt)
            if unfit is not None:
                self.answers[number] = unfit
        open = {n: each.address for n, each in self.envelope.recipients.items() if n not in self.answers}
        waiting = within(extensions.get("LIMITS", ""), open)
        if not waiting:
            return
        self._utf8 = self._needs_utf8(waiting)
        talk = self._pipelined if "PIPELINING" in extensions else self._in_turn
        yield from talk(self._mail(), waiting, reset)

    def _unfit(self) -> Reply | None:
        """Why the server cannot take this letter, known from its extensions alone."""
        limit = self._extensions.get("SIZE", "")
        size = self.envelope.size
        # RFC 1870 §3: a limit of 0 is none.
        if limit.isascii() and limit.isdigit() and 0 < int(limit) < size:
            return Reply(552, "5.3.4", f"The message is too big for the server: {size} octets, it takes {limit}")
        if self.envelope.smtputf8 and "SMTPUTF8" not in self._extensions:
            return _no_smtputf8("the header of the message")
        if self.envelope.eight_bit and "8BITMIME" not in self._extensions:
            # RFC 6152 §3: convert or return; conversion would break signatures.
            return Reply(554, "5.6.3", "The message has 8-bit characters, which the server does not take")
        sender = self.envelope.sender
        return None if sender is None else self._unfit_address(sender, "the sender's address", self.envelope.envid)

    def _unfit_address(self, address: Address, what: str, parameters: str = "") -> Reply | None:
        """No control characters, which would end the command, and none above ASCII without SMTPUTF8."""
        if not (str(address).isprintable() and parameters.isprintable()):
            return Reply(553, "5.1.3", f"There are characters in {what} that no server can take")
        if not address.isascii and "SMTPUTF8" not in self._extensions:
            return _no_smtputf8(what)
        return None

    def _needs_utf8(self, waiting: list[int]) -> bool:
        """RFC 6531 §3.4: the parameter is given when it is needed, and only then."""
        addresses = [self.envelope.recipients[number].address for number in waiting]
        if self.envelope.sender is not None:
            addresses.append(self.envelope.sender)
        return self.envelope.smtputf8 or not all(address.isascii for address in addresses)

    # ---- The commands

    def _mail(self) -> str:
        return " ".join([f"MAIL FROM:<{self._written(self.envelope.sender)}>", *self._mail_parameters()])

    def _mail_parameters(self) -> Iterator[str]:
        envelope = self.envelope
        if "SIZE" in self._extensions:
            yield f"SIZE={envelope.size}"
        if envelope.eight_bit:
            yield "BODY=8BITMIME"
        if self._utf8:
            yield "SMTPUTF8"
        if envelope.require_tls and self._verified and "REQUIRETLS" in self._extensions:
            yield "REQUIRETLS"
        # RFC 3461 §5.2.1: what was said is passed on as it was said, and nothing is added.
        if "DSN" in self._extensions and envelope.ret:
            yield f"RET={envelope.ret}"
        if "DSN" in self._extensions and envelope.envid:
            yield f"ENVID={envelope.envid}"

    def _rcpt(self, number: int) -> str:
        recipient = self.envelope.recipients[number]
        command = f"RCPT TO:<{self._written(recipient.address)}>"
        if "DSN" not in self._extensions:
            return command
        if recipient.notify:
            command += f" NOTIFY={','.join(sorted(recipient.notify))}"
        if recipient.orcpt:
            command += f" ORCPT={recipient.orcpt if self._utf8 else in_ascii(recipient.orcpt)}"
        return command

    def _written(self, address: Address | None) -> str:
        if address is None:
            return ""
        return address.unicode if self._utf8 else str(address)

    # ---- The conversation

    def _in_turn(self, mail: str, waiting: list[int], reset: bool) -> Dialogue[None]:
        """One command, one reply."""
        if reset:
            yield Say(("RSET",))
            yield from self._reset()
        yield Say((mail,))
        if not (yield from self._begun()):
            return
        for number in waiting:
            self._judge(number, (yield from ask(self._rcpt(number), "RCPT", self._patience.rcpt)))
        if self._accepted:
            go_ahead = yield from ask("DATA", "DATA", self._patience.data)
            yield from self._content(go_ahead)

    def _pipelined(self, mail: str, waiting: list[int], reset: bool) -> Dialogue[None]:
        """Everything at once, then the replies: RFC 2920."""
        yield Say((*(("RSET",) if reset else ()), mail, *map(self._rcpt, waiting), "DATA"))
        if reset:
            yield from self._reset()
        yield from self._begun()
        for number in waiting:
            self._judge(number, (yield from hear("RCPT", self._patience.rcpt)))
        go_ahead = yield from hear("DATA", self._patience.data)
        if self._accepted:
            yield from self._content(go_ahead)
        elif go_ahead.code == 354:
            yield from self._nothing()

    def _reset(self) -> Dialogue[None]:
        reply = yield from hear("RSET", self._patience.mail)
        if reply.code != 250:
            yield Break(Reply(451, "4.5.0", f"RSET was not understood: {reply}"))
        self.open = False

    def _begun(self) -> Dialogue[bool]:
        """Whether MAIL was accepted; else that is the verdict for all."""
        reply = yield from hear("MAIL", self._patience.mail)
        self.heard = True
        self.open = reply.code == 250
        if not self.open:
            self.settle(refusal(reply))
        return self.open

    def _judge(self, number: int, reply: Reply) -> None:
        if number in self.answers:  # MAIL was refused: the rest only follows from that
            return
        if 200 <= reply.code < 300:
            self._accepted.append(number)
        elif self._accepted and (reply.code, reply.status) in TOO_MANY:
            self._surplus[number] = Reply(452, "4.5.3", reply.text)
        else:
            self.answers[number] = refusal(reply)

    def _content(self, go_ahead: Reply) -> Dialogue[None]:
        if go_ahead.code != 354:
            self.settle(refusal(go_ahead))
            return
        replies = len(self._accepted) if self._lmtp else 1
        yield Pour(replies, self._patience.block)
        self.poured = True
        if self._lmtp:
            # RFC 2033 §4.2: one reply for each accepted recipient, in their order.
            for number in self._accepted:
                self.answers[number] = _final((yield from hear("the end of data", self._patience.final)))
        else:
            verdict = _final((yield from hear("the end of data", self._patience.final)))
            self.answers.update(dict.fromkeys(self._accepted, verdict))
        self.open = False  # RFC 5321 §4.1.1.4
        if all(400 <= self.answers[number].code < 500 for number in self._accepted):
            # No time for any of them, so it need not be asked for the others.
            self.answers |= self._surplus

    def _nothing(self) -> Dialogue[None]:
        """RFC 2920 §3.1: 354 although every recipient was refused; end the data at once, whatever it says then."""
        replies = 0 if self._lmtp else 1
        yield Pour(replies, self._patience.block, empty=True)
        if replies:
            yield from hear("the end of data", self._patience.final)


def _no_smtputf8(what: str) -> Reply:
    """RFC 6531 §3.5: it goes back, for nobody but its sender can make it ASCII."""
    return Reply(553, "5.6.7", f"SMTPUTF8 is needed for {what}, but the server does not offer it")


def _final(reply: Reply) -> Reply:
    return reply if 200 <= reply.code < 300 else refusal(reply)
