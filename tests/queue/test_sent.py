"""Copies for Sent folders: made after the 250, tried again, given up; the letter itself never waits."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface import implementer

from mailstack.interfaces.delivery import Copy, ISentFolders
from mailstack.interfaces.spool import Result
from mailstack.model.letter import Letter
from mailstack.model.reply import Reply
from mailstack.queue.sent import AT_ONCE, MOST_FAILED, POLL, SentCopies
from mailstack.spool.memory import MemorySpool
from tests.fakes import ListLog, NoDisk, at_once, in_place
from tests.spool.contract import ALICE, letter

NOW = 10_000.0
LIFETIME = 86_400.0


@implementer(ISentFolders)
class Folders:
    """Gives what it is told to, and else saves."""

    def __init__(self) -> None:
        self.saved: list[str] = []
        self.rounds: list[int] = []
        self.fates: dict[str, Copy] = {}
        self.error = ""

    def save(self, letters: Sequence[Letter]) -> Sequence[Copy]:
        self.rounds.append(len(letters))
        return [self._save(letter) for letter in letters]

    def _save(self, letter: Letter) -> Copy:
        if self.error:
            return Copy("", error=self.error)
        self.saved.append(letter.id)
        return self.fates.get(letter.id, Copy("saved", Path(f"/mail/.Sent/cur/{letter.id}")))


class Office:
    def __init__(self, in_thread: Callable[..., Awaitable[Any]] = in_place, lifetime: float = LIFETIME) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.spool = MemorySpool()
        self.folders = Folders()
        self.disk = NoDisk()
        self.log = ListLog()
        self.copies = SentCopies(
            self.spool, self.folders, self.disk, in_thread, lifetime, self.log, self.clock, self.clock.seconds
        )

    def submit(self, id: str, not_before: float = 0.0, wake: bool = True) -> None:
        added = letter(id, "x@far.test", arrived=self.clock.seconds(), not_before=not_before, sent_by=ALICE)
        at_once(self.spool.add(added, self.spool.receive(id)))
        if wake:
            self.copies.wake(added)

    def left(self) -> list[str]:
        return [each.id for each in at_once(self.spool.unsaved(1e12, 10_000))]


def test_a_copy_follows_the_letter() -> None:
    """Saved, durable, and only then done with."""
    office = Office()
    office.copies.startService()
    office.submit("L1")
    assert office.folders.saved == [], "not before the client has its answer"
    office.clock.advance(0)
    assert office.folders.saved == ["L1"]
    assert office.disk.flushed == [{Path("/mail/.Sent/cur")}]
    assert office.left() == []
    assert office.log.events == [("L1", {"what": "saved in", "folder": "<alice@office.test/Sent>"})]
    assert "L1" in office.spool.stored, "the letter has not been sent yet"


def test_what_a_crash_has_left_is_found_at_the_start() -> None:
    office = Office()
    for number in range(2 * AT_ONCE + 1):
        office.submit(f"L{number:03}", wake=False)
    office.copies.startService()
    assert office.left() == []
    assert office.folders.rounds == [AT_ONCE, AT_ONCE, 1]


def test_letters_that_come_meanwhile_share_a_round() -> None:
    waiting: list[Deferred[None]] = []

    async def in_thread(function: Any, *args: Any) -> Any:
        waiting.append(Deferred())
        await waiting[-1]
        return function(*args)

    office = Office(in_thread)
    office.copies.startService()
    for number in range(5):
        office.submit(f"L{number}")
        office.clock.advance(0)
    waiting[0].callback(None)
    waiting[1].callback(None)
    assert office.folders.rounds == [1, 4]
    assert office.left() == []


def test_what_is_held_back_is_saved_when_it_is_sent() -> None:
    office = Office()
    office.copies.startService()
    office.submit("SOON", not_before=NOW + 30.0)
    office.submit("LATER", not_before=NOW + 100.0)
    office.clock.advance(29.9)
    assert office.folders.saved == []
    office.clock.advance(0.1)
    assert office.folders.saved == ["SOON"]
    office.clock.advance(POLL)
    assert office.folders.saved == ["SOON"]
    office.clock.advance(POLL)
    assert office.folders.saved == ["SOON", "LATER"]


def test_other_ends_are_told() -> None:
    office = Office()
    office.folders.fates = {"L1": Copy("known"), "L2": Copy("gone")}
    office.submit("L1")
    office.submit("L2")
    office.copies.startService()
    assert office.left() == []
    assert office.disk.flushed == []
    assert ["not saved" in str(fields["what"]) for _, fields in office.log.events] == [True, True]


def test_a_copy_that_fails_is_tried_again_later_and_later() -> None:
    """The log says when; the letter has gone long ago, and its file stays."""
    office = Office()
    office.folders.error = "No space left on device"
    office.copies.startService()
    office.submit("L1")
    office.clock.advance(0)
    at_once(office.spool.settle({"L1": [Result(0, "sent", Reply(250, "2.0.0", "ok"))]}))
    assert "L1" in office.spool.stored
    office.clock.pump([POLL] * 60)
    tries = [str(fields["what"]) for _, fields in office.log.warnings]
    assert tries[0] == "not saved yet, next try in 60 s: No space left on device:"
    assert "next try in 120 s" in tries[1] and "next try in 1920 s" in tries[5]
    assert len(tries) == 6
    office.folders.error = ""
    office.clock.pump([POLL] * 60)
    assert office.folders.saved == ["L1"]
    assert office.spool.stored == {}


def test_a_copy_that_fails_for_days_is_given_up() -> None:
    office = Office()
    office.folders.error = "Read-only file system"
    office.copies.startService()
    office.submit("L1")
    office.clock.pump([POLL] * int(LIFETIME / POLL + 100))
    assert office.left() == []
    assert str(office.log.warnings[-1][1]["what"]).startswith("not saved, and given up: Read-only file system")


def test_one_that_fails_does_not_hold_up_the_others() -> None:
    office = Office()
    office.folders.fates = {"L1": Copy("", error="odd")}
    for number in range(3):
        office.submit(f"L{number}")
    office.copies.startService()
    assert office.left() == ["L1"]


def test_failures_in_memory_are_bounded() -> None:
    office = Office()
    office.folders.error = "full"
    for number in range(MOST_FAILED + 500):
        office.submit(f"L{number:04}", wake=False)
    office.copies.startService()
    assert len(office.copies._failed) < MOST_FAILED + AT_ONCE
    office.folders.error = ""
    office.clock.pump([POLL] * 3)
    assert office.left() == []


def test_a_letter_that_is_not_durable_has_no_copy() -> None:
    office = Office()
    office.disk.error_of_letters = OSError(errno.EIO, "Input/output error")
    office.submit("L1")
    office.copies.startService()
    assert office.folders.saved == [] and office.left() == ["L1"]
    office.disk.error_of_letters = None
    office.clock.advance(POLL)
    assert office.folders.saved == ["L1"] and office.left() == []


def test_a_sync_that_fails_leaves_no_copy(tmp_path: Path) -> None:
    """The next try must write the folder anew."""
    office = Office()
    file = tmp_path / "copy"
    file.touch()
    office.folders.fates = {"L1": Copy("saved", file)}
    office.disk.error = OSError(errno.EIO, "Input/output error")
    office.submit("L1")
    office.copies.startService()
    assert not file.exists()
    assert office.left() == ["L1"]
    office.disk.error = None
    office.clock.advance(POLL)
    assert office.left() == []


def test_a_spool_that_cannot_be_read_or_a_bug_is_told_and_tried_again() -> None:
    for error, told in ((OSError(errno.EIO, "damaged"), 1), (RuntimeError("a bug"), 0)):
        office = Office()
        right, office.spool.saved = office.spool.saved, _raising(error)  # type: ignore[method-assign]
        office.submit("L1")
        office.copies.startService()
        assert (len(office.log.warnings), len(office.log.failures)) == (told, 1 - told)
        office.spool.saved = right  # type: ignore[method-assign]
        office.clock.advance(POLL)
        assert office.left() == []


def _raising(error: Exception) -> Any:
    async def saved(ids: Sequence[str]) -> None:
        raise error

    return saved


def test_a_stop_waits_for_the_copy_at_hand() -> None:
    waiting: list[Deferred[None]] = []

    async def in_thread(function: Any, *args: Any) -> Any:
        waiting.append(Deferred())
        await waiting[-1]
        return function(*args)

    office = Office(in_thread)
    office.submit("L1")
    office.submit("L2", wake=False)
    office.copies.startService()
    stopped = office.copies.stopService()
    assert not stopped.called
    waiting[0].callback(None)
    assert stopped.called
    office.submit("L3")
    office.clock.advance(2 * POLL)
    assert office.left() == ["L3"]
    assert not office.clock.getDelayedCalls()


def test_a_stop_does_not_wait_for_ever() -> None:
    async def in_thread(function: Any, *args: Any) -> Any:
        await Deferred()

    office = Office(in_thread)
    office.submit("L1")
    office.copies.startService()
    stopped = office.copies.stopService()
    office.clock.advance(5.0)
    assert stopped.called
    assert office.left() == ["L1"]
