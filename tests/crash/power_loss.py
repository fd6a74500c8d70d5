"""The power goes at random moments under a mixed load, again and again: what is not synced is lost.

    .venv/bin/python -m tests.crash.power_loss [--rounds 300] [--file-system ext4|xfs|both]
        [--sync filesystem|file|both] [--no-sync] [--seed N]

The data folder is on a loop device. Its file system is shut down without a flush; for a moment the server meets a disk
that refuses everything; then it is killed, the file system is mounted again and replays its journal, and the server
starts. Every 25 rounds all that waits goes its way, and each letter that was acknowledged must be at all its places.
POP3 clients remove letters meanwhile: what was answered stays removed, nothing else goes.

``--no-sync`` is the proof that this could fail: the server believes that it syncs, and strace lets no such call
through. Then mail must be lost, or the command fails.

What the file system has sent to the device counts as written: a cache in the disk itself is not played.
Needs root, and mkfs.xfs or strace for what they are about.
"""

from __future__ import annotations

import random
import signal
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests.crash.campaign import (
    LONGEST,
    Campaign,
    Play,
    Progress,
    Tally,
    options,
    populate,
    sections,
    side_by_side,
    told,
)
from tests.crash.deletions import LETTERS, NOT_REMOVED, Box, Client, Plan, outcome
from tests.crash.disk import MAKE, Disk, lacking
from tests.crash.judge import Book, Crash
from tests.crash.load import ACCOUNTS
from tests.crash.remote import Remote
from tests.live.office import Office
from tests.live.waiting import eventually

MODES = ("filesystem", "file")
READERS = ("reader0", "reader1")
REFUSING = 0.3  # seconds that the server meets a disk that refuses
PATIENCE = 5.0  # seconds until the judge comes where mail is to be lost: some of what is left cannot be delivered
SHOWN = 10  # of the losses that were to be

_CALLS = "fsync,fdatasync,syncfs,sync_file_range"
#: The tracer is a grandchild, so the server has the process id; no other call is slowed down.
NO_SYNC = f"strace -D -f --seccomp-bpf -qq -o /dev/null -e trace={_CALLS} -e inject={_CALLS}:retval=0".split()


class PowerLosses:
    """The rounds of one server on one disk."""

    def __init__(self, campaign: Campaign, disk: Disk, pool: ThreadPoolExecutor, boxes: Sequence[Box]) -> None:
        self.campaign, self.disk, self._pool, self._boxes = campaign, disk, pool, boxes

    def strike(self) -> Crash:
        campaign = self.campaign
        clients = [self._reader(box) for box in self._boxes]
        reading = [self._pool.submit(client.play) for client in clients]
        time.sleep(campaign.rng.uniform(0, LONGEST))
        began = time.time()
        self.disk.cut()
        time.sleep(campaign.rng.uniform(0, REFUSING))
        self._end(reading)
        self.disk.unmount()
        self.disk.mount()
        self._forget_the_boot()
        for client in clients:
            self._note(client, began)
        crash = campaign.crash(began, power=True)
        campaign.load.go()
        return crash

    def _forget_the_boot(self) -> None:
        """Whose power has failed starts again, and knows by that not to believe the index of the database's log."""
        lock = self.campaign.office.data / "spool/lock"
        if lock.exists():  # without syncs it is lost, too
            lock.write_bytes(b"")

    def strike_when_trusted(self) -> Crash:
        """When there is something to lose."""
        book = self.campaign.book
        before = len(book.acknowledged)
        eventually(lambda: len(book.acknowledged) > before)
        return self.strike()

    def _reader(self, box: Box) -> Client:
        """Its mailbox is full, and that is durable; it has logged in, which compares what is listed."""
        rng = self.campaign.rng
        box.fill(rng)
        self.disk.sync()
        marked = rng.sample(range(LETTERS), rng.randrange(1, LETTERS))
        client = Client(box, Plan(marked, rng.uniform(0, LONGEST), rng.choice([None, 0, 0, rng.uniform(0, 0.1)])))
        client.log_in(self.campaign.office.port.pop3)
        return client

    def _end(self, reading: Sequence[Future[None]]) -> None:
        """The server must live until then. SIGBUS is beyond it: SQLite maps the index of its log into memory, and the
        kernel has no other way to say that a page of it cannot be had any more."""
        office, tally = self.campaign.office, self.campaign.tally
        if office.ended == -signal.SIGBUS:
            tally.note("ended by SIGBUS, as the disk refused")
        elif office.ended is not None:
            tally.problems.append(f"it ended by itself: {office.ended}")
        office.kill()
        self.campaign.load.pause()
        for each in reading:
            each.result()

    def _note(self, client: Client, began: float) -> None:
        came = outcome(client)
        if came == NOT_REMOVED and client.answered_at > began:
            # xfs calls the fsync of a folder a success when it has given up what was to be written. A machine without
            # power would not have answered any more.
            came = "answered and not removed, without power"
        self.campaign.tally.note(f"POP3 {came}")
        if came.isupper():
            self.campaign.tally.problems.append(f"POP3: {came}")


def play(
    file_system: str,
    mode: str,
    synced: bool,
    folder: Path,
    rounds: int,
    seed: str,
    progress: Progress,
) -> Tally:
    """One server on one disk. What is not on the disk is safe: accounts, mail.ini, the log."""
    book = Book()
    with Disk(file_system, folder) as disk, Remote(book, random.Random(f"{seed}-remote")) as remote:
        office = Office(
            folder, sections(remote.port, {"server": {"data": str(disk.path / "data")}, "spool": {"sync": mode}})
        )
        office.data = disk.path / "data"
        office.under = () if synced else NO_SYNC
        populate(office, [*ACCOUNTS, *READERS])
        boxes = _boxes(office) if synced else []
        # That is a process of its own, whose syncs are real, and those of ext4 make durable what others have written.
        campaign = Campaign(office, remote, book, seed, by_sendmail=synced)
        try:
            with ThreadPoolExecutor(len(READERS)) as pool:
                losses = PowerLosses(campaign, disk, pool, boxes)
                if synced:
                    return campaign.run(rounds, losses.strike, progress)
                campaign.patience = PATIENCE
                return campaign.run(rounds, losses.strike_when_trusted, progress)
        finally:
            campaign.close()


def _boxes(office: Office) -> list[Box]:
    boxes = [Box(user, office.maildir(user)) for user in READERS]
    for box in boxes:
        for part in ("tmp", "new", "cur"):
            (box.maildir / part).mkdir(parents=True)
    return boxes


def main() -> int:
    parser = options("Cut the power at random moments under a mixed load.", 300)
    parser.add_argument("--file-system", choices=[*MAKE, "both"], default="both")
    parser.add_argument("--sync", choices=[*MODES, "both"], default="both", help="[spool] sync")
    parser.add_argument("--no-sync", action="store_true", help="let no sync through: mail must be lost")
    chosen = parser.parse_args()
    systems = list(MAKE) if chosen.file_system == "both" else [chosen.file_system]
    modes = MODES if chosen.sync == "both" else [chosen.sync]
    for each in systems:
        if lack := lacking(each):
            parser.error(lack)
    plays: dict[str, tuple[Play, int]] = {
        f"{system}-{mode}": (partial(play, system, mode, not chosen.no_sync), -(-chosen.rounds // len(modes)))
        for system in systems
        for mode in modes
    }
    tally = side_by_side(plays, chosen.seed)
    what = "power lost, no syncs" if chosen.no_sync else "power lost"
    problems = told(f"seed {chosen.seed}, {what}", tally, SHOWN if chosen.no_sync else None)
    return int(not tally.verdict.lost if chosen.no_sync else bool(problems))


if __name__ == "__main__":
    sys.exit(main())
