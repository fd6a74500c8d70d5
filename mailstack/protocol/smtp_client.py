"""The client's side of SMTP and LMTP without I/O: octets in, actions out.

The owner does the actions of :meth:`SmtpClient.start` and of each call that follows, and gives up by
:meth:`~SmtpClient.timed_out` when ``waiting`` has been the same object for longer than its ``timeout``.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from mailstack.model.reply import Reply
from mailstack.model.value import frozen
from mailstack.protocol.replies import Garbled, ReplyReader
from mailstack.protocol.smtp_dialogue import Break, Dialogue, Hear, Patience, Pour, Rest, Say, Secure, Wait
from mailstack.protocol.smtp_limits import limits
from mailstack.protocol.smtp_opening import Manner, Opening, breaks_promise
from mailstack.protocol.smtp_transaction import Envelope, Transaction


@frozen
class Send:
    data: bytes


@frozen
class Close:
    """All is over. ``polite``: QUIT was sent, its answer may be waited for, briefly."""

    polite: bool


#: ``Secure``: start TLS, then call ``secured()``. ``Pour``: send the message and its end, then call ``poured()``.
Action = Send | Secure | Pour | Close

NO_LETTER = Envelope(None, {}, 0, False)


class SmtpClient:
    """One session with one server, in which letter after letter may be sent.

    While it is ``resting`` the owner gives it a letter, or says that there is none; so it is after the opening, and
    after each letter that was not the last which the server takes. Before the first rest, ``unfit`` may say why the
    server is of no use. ``answers`` are those to the last letter: the verdict for each recipient, but for those that
    are for a further transaction, see :class:`.Transaction`.

    ``broken`` says why the session ended without a verdict on the last letter. If that was before the end of data was
    sent (``all_sent``), the letter is surely not there.
    """

    def __init__(self, manner: Manner, patience: Patience) -> None:
        self._opening = Opening(manner, patience)
        self._patience = patience
        self._lmtp = manner.lmtp
        self._transaction = Transaction(NO_LETTER, patience, self._lmtp)
        self._under_way = False
        self._dialogue = self._run()
        self._reader = ReplyReader()
        self._owed = 1  # replies; the greeting is the first
        self.waiting: Wait | None = None
        self.unfit: Reply | None = None
        self.broken: Reply | None = None

    @property
    def next_hop_reports(self) -> bool:
        """Whether the server has taken over what the sender wants to hear (DSN): its success is not ours to report."""
        return "DSN" in self._opening.extensions

    @property
    def resting(self) -> bool:
        return isinstance(self.waiting, Rest)

    @property
    def answers(self) -> dict[int, Reply]:
        return self._transaction.answers

    @property
    def heard_of_it(self) -> bool:
        """MAIL was answered: what happens then may be due to the letter."""
        return self._transaction.heard

    @property
    def all_sent(self) -> bool:
        """The end of data was sent: only the answer to it tells whose the letter is."""
        return self._transaction.poured

    def _run(self) -> Dialogue[None]:
        self.unfit = yield from self._opening.run()
        if self.unfit is None:
            yield Rest()
            yield from self._letters()
        yield Say(("QUIT",))

    def _letters(self) -> Dialogue[None]:
        """One after the other. RFC 9422 §4: each transaction counts, also one that did not come to MAIL, as the others
        only wait for the next session. After the last one there is no rest, but QUIT."""
        left = limits(self._opening.extensions.get("LIMITS", "")).get("MAILMAX", inf)
        unfinished = False
        while self._under_way:
            yield from self._transact(unfinished)
            unfinished = self._transaction.open
            self._under_way = False
            left -= 1
            if left <= 0:
                return
            yield Rest()

    def _transact(self, unfinished: bool) -> Dialogue[None]:
        extensions, verified = self._opening.extensions, self._opening.verified
        envelope = self._transaction.envelope
        # RFC 8689 §5: a report goes its way as best it can.
        if envelope.require_tls and envelope.sender is not None:
            problem = breaks_promise(verified, extensions)
            if problem is not None:
                self._transaction.settle(problem)
                self._transaction.open = unfinished
                return
        yield from self._transaction.run(extensions, verified, unfinished)

    # ---- What happens to us

    def trust(self) -> None:
        """TLS was up before, and it is known who the other side is."""
        self._opening.verified = True

    def start(self) -> Sequence[Action]:
        """The connection is there."""
        return self._go(None)

    def send(self, envelope: Envelope) -> Sequence[Action]:
        """Up to the next rest, if all goes well. Only while it is resting."""
        self._transaction = Transaction(envelope, self._patience, self._lmtp)
        self._under_way = True
        return self._go(None)

    def quit(self) -> Sequence[Action]:
        """There are no more letters. Only while it is resting."""
        return self._go(None)

    def receive(self, data: bytes) -> Sequence[Action]:
        actions: list[Action] = []
        if self.waiting is None:
            return actions
        self._reader.feed(data)
        while self.waiting is not None and (reply := self._reader.next()) is not None:
            actions += self._heard(reply)
        return actions

    def secured(self) -> Sequence[Action]:
        """TLS is up."""
        return self._go(None)

    def poured(self) -> Sequence[Action]:
        """The end of data was sent."""
        assert isinstance(self.waiting, Pour)
        self._owed += self.waiting.replies
        return self._go(None)

    def timed_out(self) -> Sequence[Action]:
        waiting = self.waiting
        if waiting is None or isinstance(waiting, Rest):
            return ()
        return self._break(Reply(451, "4.4.2", f"Timed out after {waiting.timeout:.0f} s, {self._where()}"))

    def lost(self, reason: str) -> Sequence[Action]:
        """The connection is gone."""
        text = f"Lost the connection, {self._where()}: {reason}"
        if isinstance(self.waiting, Secure):
            return self._break(self._opening.insecure(text))
        return self._break(Reply(451, "4.4.2", text))

    def fail(self, verdict: Reply) -> Sequence[Action]:
        """It ends here; ``verdict`` is for all that was not decided yet. Nothing, when the end came before."""
        if self.waiting is None:
            return ()
        self.waiting = None
        self._dialogue.close()
        if self._under_way:
            self._transaction.settle(verdict)
        elif self._transaction.envelope is NO_LETTER:
            self.unfit = verdict
        return (Close(polite=False),)

    # ---- The dialogue goes on

    def _where(self) -> str:
        return f"while waiting for {self.waiting.to}" if self.waiting else "at the end"

    def _break(self, verdict: Reply) -> Sequence[Action]:
        if self.waiting is not None and (self._under_way or self._transaction.envelope is NO_LETTER):
            self.broken = verdict
        return self.fail(verdict)

    def _heard(self, reply: Reply | Garbled) -> Sequence[Action]:
        if isinstance(reply, Garbled):
            return self._nonsense(reply.reason)
        if reply.code == 421:  # RFC 5321 §3.8: the server closes, at any time
            return self._break(reply)
        if isinstance(self.waiting, Pour) and reply.code >= 400:  # no need to send the rest: it is refused
            return self.fail(reply)
        if not self._owed or not isinstance(self.waiting, Hear):
            return self._nonsense(f"a reply before its command: {reply}")
        self._owed -= 1
        return self._go(reply)

    def _nonsense(self, reason: str) -> Sequence[Action]:
        return self._break(Reply(451, "4.5.0", f"Protocol error, {self._where()}: {reason}"))

    def _go(self, reply: Reply | None) -> Sequence[Action]:
        """Up to the next thing to wait for."""
        actions: list[Action] = []
        try:
            step = self._dialogue.send(reply)
            while isinstance(step, Say):
                # What came before its command was an attack or a fault, RFC 2920 §5; so it is with what comes
                # between the 220 and TLS.
                if self._speaks_out_of_turn():
                    return [*actions, *self._nonsense("a reply before its command")]
                self._owed += len(step.commands)
                actions.append(Send("".join([f"{command}\r\n" for command in step.commands]).encode()))
                step = next(self._dialogue)
        except StopIteration:
            self.waiting = None
            return [*actions, Close(polite=True)]
        if isinstance(step, Break):
            return [*actions, *self._break(step.verdict)]
        self.waiting = step
        if isinstance(step, Hear | Rest):
            return actions
        if self._speaks_out_of_turn():
            return [*actions, *self._nonsense("a reply before its command")]
        return [*actions, step]

    def _speaks_out_of_turn(self) -> bool:
        return not self._owed and self._reader.pending
