"""What becomes durable together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from attrs import Factory, define

from mailstack.interfaces.spool import Result
from mailstack.model.deed import Deed
from mailstack.model.entry import Changed
from mailstack.model.letter import Letter
from mailstack.model.selection import Selection
from mailstack.model.value import frozen
from mailstack.spool.incoming import FileIncoming

#: Octets in files that are written one after the other, while all else waits: some milliseconds.
AT_ONCE = 1024 * 1024
#: Letters of one batch for which it costs less to sync all files at once than to write their contents twice.
CROWD = 40
#: Seconds by which a letter may come from the future: clocks are set by that much, and it does no harm.
TOLERANCE = 60.0


@frozen
class Settlement:
    """The results of one attempt at one letter."""

    id: str
    results: Sequence[Result]


@frozen
class Reported:
    """The sender of a letter has been told: what became of these recipients, and so many times of its delay."""

    id: str
    numbers: Sequence[int]
    warned: int


@frozen
class Hastened:
    """A recipient whose next attempt is not to be later than that."""

    id: str
    number: int
    next_attempt: float


@frozen
class Corrected:
    """A letter that came while the clock was wrong."""

    id: str
    arrived: float
    not_before: float

    @classmethod
    def now(cls, id: str, arrived: float, not_before: float, hold: str, now: float) -> Corrected:
        """As if it had come now. One that is held back is so until the moment that its sender has named, or for as long
        as was asked, or as long as our own pause is."""
        if hold.startswith("until;"):
            return cls(id, now, not_before if not_before > now else 0.0)
        return cls(id, now, now + not_before - arrived if not_before > arrived else 0.0)


@define
class Order:
    """What somebody in a session does to a letter; ``changed`` is what it came to."""

    deed: Deed
    id: str
    selection: Selection
    changed: Changed = Factory(Changed)


@define
class Newcomer:
    """A letter on its way in."""

    letter: Letter
    file: FileIncoming
    logged: bool  #: its content stands in the database, too, until its file is durable
    paths: Sequence[Path] = ()  #: to be synced by themselves; none where one sync is for all files
    error: OSError | None = None  #: the disk has refused its file, and it does not come in

    def write(self) -> None:
        """Its file. What the disk refuses of one letter concerns no other."""
        try:
            self.file.finish(hurry=not self.logged)
        except OSError as error:
            self.error = error


@define
class Batch:
    """One transaction and one sync."""

    letters: list[Letter] = Factory(list)
    contents: list[tuple[str, bytes]] = Factory(list)  #: of those that are logged, by id
    files: bool = False  #: some are not: their files have to be synced
    newcomers: list[Newcomer] = Factory(list)  #: whose files are not written yet
    octets: int = 0  #: of those
    settlements: list[Settlement] = Factory(list)
    reported: list[Reported] = Factory(list)
    hastened: list[Hastened] = Factory(list)
    corrected: list[Corrected] = Factory(list)
    #: letters on hold from now on, and what is wrong with them
    quarantined: list[tuple[str, str]] = Factory(list)
    orders: list[Order] = Factory(list)
    saved: list[str] = Factory(list)  #: letters whose copy for a Sent folder is made, or given up
    firm: list[str] = Factory(list)  #: letters whose files are durable by now
    paths: set[Path] = Factory(set)  #: of files, where each is synced by itself
    must: int = 0  #: how far the reserve may be used for it: not at all, up to its half, all of it
    probe: bool = False  #: written even if there is nothing in it
    failed_syncs: int = 0  #: of files, when it was closed

    def enter(self, newcomer: Newcomer) -> None:
        """Its file is written later, together with others, if there are not too many."""
        newcomer.logged &= bool(newcomer.paths) or len(self.newcomers) < CROWD
        if not newcomer.logged:
            self.files = True
            self.paths.update(newcomer.paths)
        if self.octets + newcomer.file.size > AT_ONCE:
            newcomer.write()
            self._take(newcomer)
        else:
            self.newcomers.append(newcomer)
            self.octets += newcomer.file.size

    def close(self) -> None:
        """No more come. Where the sync is for files, they are written now; else there is time for that during it."""
        newcomers = list(self.newcomers)
        for newcomer in newcomers:
            newcomer.logged &= bool(newcomer.paths) or not self.files
        if self.files:
            self.write_files()
        for newcomer in newcomers:
            self._take(newcomer)

    def _take(self, newcomer: Newcomer) -> None:
        if newcomer.error is None:
            self.letters.append(newcomer.letter)
            if newcomer.logged:
                self.contents.append((newcomer.letter.id, newcomer.file.whole))

    def write_files(self) -> list[str]:
        """Those that are not written yet; the letters whose files the disk refuses."""
        newcomers, self.newcomers = self.newcomers, []
        for newcomer in newcomers:
            newcomer.write()
        return [newcomer.letter.id for newcomer in newcomers if newcomer.error is not None]

    @property
    def has_rows(self) -> bool:
        changes = self.letters or self.settlements or self.reported or self.saved or self.hastened or self.corrected
        return bool(changes or self.firm or self.quarantined or self.orders or self.probe)

    @property
    def touched(self) -> list[str]:
        """Letters that may have nothing left to do."""
        ids = [settlement.id for settlement in self.settlements] + [report.id for report in self.reported]
        return list(dict.fromkeys(ids + self.saved))
