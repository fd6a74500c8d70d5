"""The queue database for who only looks, whether a server runs or not."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from mailstack.spool.diagnosis import diagnosed
from mailstack.spool.errors import as_os_error
from mailstack.spool.files import any_mail

PATIENCE = 10.0  # seconds to wait for the server
#: Not a word about what stands in the file.
_ELSEWHERE = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
)


@contextmanager
def looked_at(folder: Path, running: bool) -> Iterator[tuple[Path, str]]:
    """Where to read the database of ``folder`` (spool), and what is wrong with it, behind "the queue database".
    Blocking. OSError.

    While no server runs, a copy: even a look at the database would change what the next start needs to see what was
    lost of the log."""
    database = folder / "queue.db"
    if running:
        yield database, _integrity(database)
        return
    with tempfile.TemporaryDirectory(prefix="mailstack-queue-") as name:
        copy = Path(name) / "queue.db"
        for ending in ("", "-wal", "-shm"):
            source = database.with_name(f"queue.db{ending}")
            if source.is_file():
                shutil.copyfile(source, copy.with_name(f"queue.db{ending}"))
            elif source.is_symlink() or source.exists():
                copy.with_name(f"queue.db{ending}").mkdir()
        with suppress(FileNotFoundError):
            shutil.copyfile(folder / "lock", copy.with_name("lock"))
        messages = folder / "messages"
        yield copy, diagnosed(copy, messages.is_dir() and any_mail(messages))


def _integrity(database: Path) -> str:
    try:
        with closing(read_only(database)) as db:
            (line,) = db.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        if (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _ELSEWHERE:
            raise as_os_error(error) from error
        return f"cannot be read ({error})"
    return "" if line == "ok" else f"is damaged ({' '.join(str(line).split())})"


def read_only(database: Path) -> sqlite3.Connection:
    db = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=PATIENCE)
    db.text_factory = lambda octets: octets.decode("utf-8", "replace")
    return db
