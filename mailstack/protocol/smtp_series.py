"""The client's side of SMTP for letter after letter in one session, as after ATRN (RFC 2645)."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from mailstack.model.reply import Reply
from mailstack.protocol.smtp_client import Action, SmtpClient
from mailstack.protocol.smtp_dialogue import Dialogue, Patience, Rest, Say, ask
from mailstack.protocol.smtp_limits import limits
from mailstack.protocol.smtp_opening import Manner, breaks_promise
from mailstack.protocol.smtp_transaction import Envelope, Transaction

#: For recipients that the last letter of a session leaves over.
NO_MORE = Reply(452, "4.5.3", "The server takes no more in this session (MAILMAX)")
NO_LETTER = Envelope(None, {}, 0, False)


class SmtpSeries(SmtpClient):
    """While it is ``resting`` the owner gives it the next letter; ``answers`` are those to the last one."""

    def __init__(self, manner: Manner, patience: Patience) -> None:
        super().__init__(manner, NO_LETTER, patience)
        self._patience = patience
        self.secure = False  #: TLS was up before, and the other side has logged in: we know who it is
        self._envelope: Envelope | None = None

    @property
    def resting(self) -> bool:
        return isinstance(self.waiting, Rest)

    def send(self, envelope: Envelope) -> Sequence[Action]:
        """Up to the next rest, if all goes well. Only while it is resting."""
        self._envelope = envelope
        self._transaction = Transaction(envelope, self._patience, lmtp=False)
        return self._go(None)

    def quit(self) -> Sequence[Action]:
        """There are no more. Only while it is resting."""
        self._envelope = None
        return self._go(None)

    def _run(self) -> Dialogue[None]:
        self.unfit = yield from self._opening.run()
        if self.unfit is None:
            self.began = True
            yield Rest()
            yield from self._letters()
        yield Say(("QUIT",))

    def _letters(self) -> Dialogue[None]:
        # RFC 9422 §4. After the last one there is no rest, but QUIT. One that did not come to MAIL counts too: the
        # others only wait for the next session.
        left = limits(self._opening.extensions.get("LIMITS", "")).get("MAILMAX", inf)
        while self._envelope is not None:
            yield from self._transact(self._envelope)
            left -= 1
            if left <= 0:
                self._transaction.settle(NO_MORE)
                return
            yield Rest()
            if self._envelope is None:
                return
            # What was refused may have left a transaction open.
            reply = yield from ask("RSET", "RSET", self._patience.mail)
            if reply.code != 250:
                # Says nothing of the letter.
                self._transaction.settle(Reply(451, "4.5.0", f"RSET was not understood: {reply}"))
                return

    def _transact(self, envelope: Envelope) -> Dialogue[None]:
        extensions = self._opening.extensions
        # RFC 8689 §5: a report goes its way as best it can.
        if envelope.require_tls and envelope.sender is not None:
            problem = breaks_promise(self.secure, extensions)
            if problem is not None:
                self._transaction.settle(problem)
                return
        yield from self._transaction.run(extensions, self.secure)
