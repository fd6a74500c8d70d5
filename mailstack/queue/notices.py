"""Letters to the postmaster, about what the server has seen. They go through the spool as every letter."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from mailstack.interfaces.log import IEventLog
from mailstack.interfaces.spool import ISpool
from mailstack.message.voice import Voice
from mailstack.model.address import Address
from mailstack.model.letter import Letter
from mailstack.queue.mailer import Mailer

Message = Callable[[str, Voice], bytes]


@frozen
class Notices:
    mailer: Mailer
    spool: ISpool
    postmaster: Address
    voice: Callable[[], Voice]
    log: IEventLog
    now: Callable[[], float]
    wake: Callable[[Letter], None]

    async def send(self, message: Message) -> bool:
        """``message`` gets the queue id and the voice, and gives header and body, LF line ends. What goes wrong is
        logged, also that there is no postmaster. False: the disk has not taken it, and might another time."""
        try:
            letter = await self._add(message)
        except OSError as error:
            self.log.warn("notice", what=f"cannot write to the postmaster: {error}")
            return False
        except Exception as error:
            self.log.failure("notice", repr(error))
        else:
            if letter is None:
                self.log.warn("notice", what=f"nobody to write to: {self.postmaster} leads to nobody")
                return True
            self.log.event(letter.id, what=f"notice to the postmaster, {self.postmaster}")
            self.wake(letter)
        return True

    async def _add(self, message: Message) -> Letter | None:
        recipients = self.mailer.recipients(self.postmaster)
        if not recipients:
            return None
        letter, content = self.mailer.compose(recipients, lambda id: message(id, self.voice()), self.now())
        await self.spool.add(letter, content)
        return letter
