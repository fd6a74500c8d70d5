"""The locks that SQLite has on the database stay: without them, the command line would take itself for the last one
that uses it, and remove the log that the server goes on writing."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mailstack.model.condition import DAMAGED
from mailstack.spool import opening
from mailstack.spool.disk import DiskSpool
from mailstack.spool.errors import Damaged
from mailstack.spool.health import WARY
from tests.spool.contract import all_due, letter
from tests.spool.test_spool import Runner, open_spool

LOOK = """
import sys
from pathlib import Path
from mailstack.model.selection import EVERYTHING
from mailstack.spool.desk import QueueDesk
print(*(each.id for each in QueueDesk(Path(sys.argv[1])).letters(EVERYTHING)))
"""


class Server:
    def __init__(self, data: Path) -> None:
        self.data = data
        self.run = Runner()
        self.spool: DiskSpool = open_spool(data, self.run)
        self.log = data / "spool/queue.db-wal"

    def add(self, id: str) -> None:
        incoming = self.spool.receive(id)
        incoming.write(b"x\n")
        self.run(self.spool.add(letter(id), incoming))

    def neighbour(self) -> list[str]:
        """The letters that another process sees."""
        done = subprocess.run([sys.executable, "-c", LOOK, self.data], capture_output=True, text=True, check=True)
        return done.stdout.split()

    def after_a_crash(self) -> list[str]:
        copy = self.data.with_name("copy")
        shutil.copytree(self.data, copy)
        run = Runner()
        spool = open_spool(copy, run)
        try:
            return [due.letter.id for due in all_due(spool, run, 1e12)]
        finally:
            spool.close()


def keeps_its_log(server: Server) -> None:
    server.add("L1")
    before = server.log.stat().st_ino
    assert server.neighbour() == ["L1"]
    assert server.log.stat().st_ino == before
    server.add("L2")
    assert sorted(server.after_a_crash()) == ["L1", "L2"]
    server.spool.close()


def test_after_sqlite_has_called_the_database_malformed(tmp_path: Path) -> None:
    """Which may be a read that failed: the database is looked at."""
    server = Server(tmp_path / "data")
    server.spool._health.noticed(Damaged(errno.EIO, "queue database: malformed"))
    server.run.clock.advance(WARY)
    server.run(server.spool.examine())
    assert DAMAGED not in server.spool._health._standing
    keeps_its_log(server)


def test_after_a_start_for_which_there_was_no_room_at_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is opened twice then."""
    before = Server(tmp_path / "data")
    before.spool.close()
    tries: list[Any] = []

    def full(*args: Any) -> Any:
        tries.append(args)
        if len(tries) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return recover(*args)

    recover = opening.recover
    monkeypatch.setattr(opening, "recover", full)
    server = Server(tmp_path / "data")
    assert len(tries) == 2
    keeps_its_log(server)


def test_a_log_that_is_gone_is_noticed(tmp_path: Path) -> None:
    """Nothing that is written into a file without a name would be found after a crash."""
    server = Server(tmp_path / "data")
    server.add("L1")
    server.log.unlink()
    with pytest.raises(OSError, match=r"queue\.db-wal"):
        server.add("L2")
    assert not Path(server.spool.path("L2")).exists()
    server.spool.close()
