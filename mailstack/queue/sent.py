"""Copies of what our users have sent, for their Sent folders: after the 250, beside the queue.

A copy is a row of its own, no recipient: nothing that becomes of it delays the letter or shows in a report.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from mailstack.interfaces.delivery import GONE, KNOWN, SAVED, Copy, ISentFolders
from mailstack.interfaces.log import IEventLog
from mailstack.interfaces.spool import IDurable, ISpool
from mailstack.model.letter import Letter

POLL = 60.0  # seconds until the second try at a copy that could not be saved
SLOWEST = 3600.0  # seconds between two tries at one letter, which begin with POLL and are doubled
AT_ONCE = 100  # letters that share one wait for the disk
MOST_FAILED = 1_000  # letters in memory that wait for another try; with more, all wait
GRACE = 3.0  # seconds that copies get to end when the server stops

#: What the log says of a copy; ``mailstack why`` goes by these.
WORDS = {
    SAVED: "saved in",
    KNOWN: "not saved, as a letter with its Message-ID is there already:",
    GONE: "not saved, as the account or the letter is no more:",
}


@frozen
class Trouble:
    """A letter whose copy could not be saved."""

    pause: float  #: seconds, the last one
    until: float  #: Unix time of the next try


class SentCopies(Service):
    name = "sent"

    def __init__(
        self,
        spool: ISpool,
        folders: ISentFolders,
        durable: IDurable,
        in_thread: Callable[..., Awaitable[Any]],
        lifetime: float,
        log: IEventLog,
        clock: IReactorTime,
        now: Callable[[], float],
        poll: float = POLL,
    ) -> None:
        """``lifetime``: seconds after which a copy is given up; ``now`` is Unix time; ``poll``: seconds between looks
        at what could not be saved, or is held back."""
        self._pause = poll
        self._spool = spool
        self._folders = folders
        self._durable = durable
        self._in_thread = in_thread
        self._lifetime = lifetime
        self._log = log
        self._clock = clock
        self._now = now
        self._failed: dict[str, Trouble] = {}
        self._poll: IDelayedCall | None = None
        self._again = False
        self._work: Deferred[None] | None = None

    def startService(self) -> None:
        Service.startService(self)
        self._look()

    def stopService(self) -> Deferred[None]:
        """What is not done is in the spool as it was, and found at the next start."""
        Service.stopService(self)
        if self._poll is not None and self._poll.active():
            self._poll.cancel()
        done = Deferred.fromCoroutine(self._settled())
        done.addTimeout(GRACE, self._clock)
        return done.addErrback(lambda _: None)

    async def _settled(self) -> None:
        if self._work is not None:
            await self._work

    def wake(self, letter: Letter) -> None:
        """One that was just accepted. If its sender holds it back, it is not sent yet: so it is saved when it is."""
        wait = letter.not_before - self._now()
        if wait < self._pause:  # or it is found by then
            self._clock.callLater(max(0.0, wait), self._begin)

    def _look(self) -> None:
        self._poll = self._clock.callLater(self._pause, self._look)
        old = self._now() - 2 * SLOWEST  # the administrator has dropped them
        self._failed = {id: each for id, each in self._failed.items() if each.until > old}
        self._begin()

    def _begin(self) -> None:
        self._again = True
        if self.running and self._work is None:
            self._work = Deferred()
            Deferred.fromCoroutine(self._run()).addBoth(self._ended, self._work)

    def _ended(self, result: Any, work: Deferred[None]) -> None:  # Any: what addBoth gives
        self._work = None
        work.callback(None)

    async def _run(self) -> None:
        try:
            while self._again and self.running:
                self._again = False
                while self.running and await self._round():
                    pass
        except OSError as error:
            self._log.warn("sent", what=f"copies for Sent folders have to wait: {error}")
        except Exception as error:
            self._log.failure("sent", repr(error))

    async def _round(self) -> bool:
        """Whether there may be more."""
        now = self._now()
        waiting = [id for id, each in self._failed.items() if each.until > now]
        if len(waiting) >= MOST_FAILED:
            return False
        letters = await self._spool.unsaved(now, AT_ONCE, waiting)
        if not letters:
            return False
        copies = await self._copies(letters)
        done = [letter.id for letter, copy in zip(letters, copies, strict=True) if self._is_done(letter, copy)]
        if done:
            # After the folders, as the letter's file may go with it.
            await self._spool.saved(done)
        return True

    async def _copies(self, letters: Sequence[Letter]) -> Sequence[Copy]:
        """None of a damaged letter."""
        faults = await self._spool.faults(letters)
        if faults:
            await self._spool.quarantine(faults)
        sound = [letter for letter in letters if letter.id not in faults]
        copies = iter(await self._save(sound) if sound else ())
        return [Copy("", error=faults[letter.id]) if letter.id in faults else next(copies) for letter in letters]

    async def _save(self, letters: Sequence[Letter]) -> Sequence[Copy]:
        try:
            # In a Sent folder nobody would mend a letter of which a power loss has left a part.
            await self._durable.flush((), [letter.id for letter in letters], self._durable.failed_syncs())
        except OSError as error:
            return [Copy("", error=str(error)) for _ in letters]
        before = self._durable.failed_syncs()
        return await self._durably(await self._in_thread(self._folders.save, letters), before)

    async def _durably(self, copies: Sequence[Copy], before: int) -> Sequence[Copy]:
        files = [copy.file for copy in copies if copy.file is not None]
        if not files:
            return copies
        try:
            await self._durable.flush({file.parent for file in files}, (), before)
        except OSError as error:
            for file in files:
                # The next try must write the folder anew, or its sync would succeed for nothing.
                with suppress(OSError):
                    file.unlink()
            return [Copy("", error=str(error)) if copy.file else copy for copy in copies]
        return copies

    def _is_done(self, letter: Letter, copy: Copy) -> bool:
        """Saved, or never to be; the log is told what it came to."""
        folder = f"<{letter.sent_by}/Sent>"
        before = self._failed.pop(letter.id, None)
        if copy.fate:
            self._log.event(letter.id, what=WORDS[copy.fate], folder=folder)
            return True
        if self._now() - letter.released > self._lifetime:
            self._log.warn(letter.id, what=f"not saved, and given up: {copy.error}:", folder=folder)
            return True
        pause = min(2 * before.pause, SLOWEST) if before else POLL
        self._failed[letter.id] = Trouble(pause, self._now() + pause)
        self._log.warn(letter.id, what=f"not saved yet, next try in {pause:.0f} s: {copy.error}:", folder=folder)
        return False
