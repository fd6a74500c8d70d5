"""The client's side of SMTP and LMTP without I/O: octets in, actions out.

The owner does the actions of :meth:`SmtpClient.start` and of each call that follows, and gives up by
:meth:`~SmtpClient.timed_out` when ``waiting`` has been the same object for longer than its ``timeout``.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from mailstack.model.reply import Reply
from mailstack.protocol.replies import Garbled, ReplyReader
from mailstack.protocol.smtp_dialogue import Dialogue, Hear, Patience, Pour, Rest, Say, Secure, Wait
from mailstack.protocol.smtp_opening import Manner, Opening
from mailstack.protocol.smtp_transaction import Envelope, Transaction


@frozen
class Send:
    data: bytes


@frozen
class Close:
    """All is known. ``polite``: QUIT was sent, its answer may be waited for, briefly."""

    polite: bool


#: ``Secure``: start TLS, then call ``secured()``. ``Pour``: send the message and its end, then call ``poured()``.
#: ``Rest``: see :mod:`.smtp_series`.
Action = Send | Secure | Pour | Rest | Close


class SmtpClient:
    """One session with one server, in which one letter is sent.

    ``began``: the server is ready, and hears of the letter from now on. At the end, either ``unfit`` says why it
    did not come to that, so another server may be tried; or ``answers`` has the verdict for each recipient that was
    tried: a server that takes few at a time (RFC 9422) leaves some for another session.
    """

    def __init__(self, manner: Manner, envelope: Envelope, patience: Patience) -> None:
        self._opening = Opening(manner, patience)
        self._transaction = Transaction(envelope, patience, manner.lmtp)
        self.began = False
        self._dialogue = self._run()
        self._reader = ReplyReader()
        self._owed = 1  # replies; the greeting is the first
        self.waiting: Wait | None = None
        self.unfit: Reply | None = None

    @property
    def next_hop_reports(self) -> bool:
        """Whether the server has taken over what the sender wants to hear (DSN): its success is not ours to report."""
        return "DSN" in self._opening.extensions

    @property
    def answers(self) -> dict[int, Reply]:
        return self._transaction.answers

    def _run(self) -> Dialogue[None]:
        self.unfit = yield from self._opening.run()
        if self.unfit is None:
            self.began = True
            yield from self._transaction.run(self._opening.extensions, self._opening.verified)
        yield Say(("QUIT",))

    # ---- What happens to us

    def start(self) -> Sequence[Action]:
        """The connection is there."""
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
        if waiting is None:
            return ()
        return self.fail(Reply(451, "4.4.2", f"Timed out after {waiting.timeout:.0f} s, {self._where()}"))

    def lost(self, reason: str) -> Sequence[Action]:
        """The connection is gone."""
        if isinstance(self.waiting, Secure):
            return self.fail(self._opening.insecure(f"Lost the connection, {self._where()}: {reason}"))
        return self.fail(Reply(451, "4.4.2", f"Lost the connection, {self._where()}: {reason}"))

    def fail(self, verdict: Reply) -> Sequence[Action]:
        """It ends here; ``verdict`` is for all that was not decided yet. Nothing, when the end came before."""
        if self.waiting is None:
            return ()
        self.waiting = None
        self._dialogue.close()
        if self.began:
            self._transaction.settle(verdict)
        else:
            self.unfit = verdict
        return (Close(polite=False),)

    # ---- The dialogue goes on

    def _where(self) -> str:
        return f"while waiting for {self.waiting.to}" if self.waiting else "at the end"

    def _heard(self, reply: Reply | Garbled) -> Sequence[Action]:
        if isinstance(reply, Garbled):
            return self._nonsense(reply.reason)
        if reply.code == 421:  # RFC 5321 §3.8: the server closes, at any time
            return self.fail(reply)
        if isinstance(self.waiting, Pour) and reply.code >= 400:  # no need to send the rest: it is refused
            return self.fail(reply)
        if not self._owed or not isinstance(self.waiting, Hear):
            return self._nonsense(f"a reply before its command: {reply}")
        self._owed -= 1
        return self._go(reply)

    def _nonsense(self, reason: str) -> Sequence[Action]:
        return self.fail(Reply(451, "4.5.0", f"Protocol error, {self._where()}: {reason}"))

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
                actions.append(Send("".join(f"{command}\r\n" for command in step.commands).encode()))
                step = next(self._dialogue)
        except StopIteration:
            self.waiting = None
            return [*actions, Close(polite=True)]
        self.waiting = step
        if isinstance(step, Hear):
            return actions
        if self._speaks_out_of_turn():
            return [*actions, *self._nonsense("a reply before its command")]
        return [*actions, step]

    def _speaks_out_of_turn(self) -> bool:
        return not self._owed and self._reader.pending
