"""What a session leaves in the log, in Postfix's words: one line a fact."""

from __future__ import annotations

import errno
import os

from mailstack.intake.transaction import OUR_FAULT, disk_reply
from mailstack.intake.visitor import Visitor
from mailstack.interfaces.log import IEventLog
from mailstack.model.address import Address, path
from mailstack.model.letter import Letter
from mailstack.model.reply import Reply

NO_ID = "NOQUEUE"  # what Postfix writes where there is no queue id yet


class Record:
    """The lines of one session."""

    def __init__(self, log: IEventLog, visitor: Visitor) -> None:
        self._log = log
        self._visitor = visitor

    @property
    def _helo(self) -> str:
        return f"<{self._visitor.hello.name}>"

    def accepted(self, letter: Letter, message_id: str) -> None:
        self._log.event(
            letter.id,
            client=str(self._visitor),
            from_=path(letter.sender),
            size=letter.wire_size,
            nrcpt=letter.addressees,
            proto=self._visitor.protocol,
            helo=self._helo,
            sasl_username=self._visitor.user,
            **{"message-id": message_id or None},
        )

    def refused(self, verb: str, reply: Reply, sender: Address | None, recipient: Address | None = None) -> Reply:
        """Returns the reply."""
        self._log.event(
            NO_ID,
            what=f"reject: {verb} from {self._visitor}: {reply};",
            from_=path(sender),
            to=path(recipient) if recipient else None,
            proto=self._visitor.protocol,
            helo=self._helo,
            sasl_username=self._visitor.user,
        )
        return reply

    def logged_in(self, mechanism: str) -> None:
        what = f"{self._visitor}: SASL {mechanism} authentication succeeded,"
        self._log.event(NO_ID, what=what, sasl_username=self._visitor.user, tls=self._visitor.tls or None)

    def not_logged_in(self, mechanism: str, name: str, refusal: Reply) -> Reply:
        """Returns the refusal. One that is temporary is not the client's failure: fail2ban must not count it."""
        verdict = "failed" if refusal.permanent else "put off"
        what = f"{self._visitor}: SASL {mechanism} authentication {verdict}: {refusal},"
        self._log.event(NO_ID, what=what, sasl_username=name)
        return refusal

    def denied(self, verb: str, refusal: Reply) -> Reply:
        """What has nothing to do with a letter; returns the refusal."""
        self._log.event(
            NO_ID, what=f"reject: {verb} from {self._visitor}: {refusal},", sasl_username=self._visitor.user
        )
        return refusal

    def asked(self, verb: str, reply: Reply) -> Reply:
        """Waiting mail was asked for, and there is some or there is none; returns the reply."""
        self._log.event(NO_ID, what=f"{verb} from {self._visitor}: {reply},", sasl_username=self._visitor.user)
        return reply

    def vouched_for(self, proxy: str) -> None:
        """Somebody is logged in because the proxy says so."""
        what = f"{self._visitor}: logged in by XCLIENT from {proxy},"
        self._log.event(NO_ID, what=what, sasl_username=self._visitor.user)

    def lost(self, id: str) -> None:
        """The client has gone in the middle of a message; it keeps it."""
        self._log.event(id, what=f"lost connection with {self._visitor} before the end of the message", helo=self._helo)

    def too_many_errors(self) -> None:
        self._log.event(NO_ID, what=f"too many errors from {self._visitor}", helo=self._helo)

    def too_much(self, limit: int, pause: float) -> None:
        """An account has sent to as many recipients as it may in an hour; ``pause`` in seconds."""
        user = self._visitor.user
        what = f"{user} has sent to {limit} recipients within an hour, its limit: more are put off for {pause:.0f} s,"
        self._log.warn(NO_ID, what=what, client=str(self._visitor), sasl_username=user)

    def hopeless(self, what: str) -> None:
        self._log.event(NO_ID, what=f"{what} from {self._visitor}: cut off")

    def trouble(self, id: str, error: Exception) -> Reply:
        """Something went wrong on our side; returns what the client hears. Call it in the ``except`` clause."""
        if isinstance(error, MemoryError):
            error = OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        if not isinstance(error, OSError):
            self._log.failure(id, repr(error))
            return OUR_FAULT
        reply = disk_reply(error)
        self._log.warn(id, what=f"put off {self._visitor}: {error}: {reply}")
        return reply
