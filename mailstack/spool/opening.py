"""The database of the queue, opened: whatever was left is looked at, and repaired."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from time import time

from mailstack.durable import LogSync, Sync
from mailstack.spool.errors import as_os_error
from mailstack.spool.neighbours import Doubt
from mailstack.spool.reader import Reader
from mailstack.spool.recovery import Repairs, recover
from mailstack.spool.salvage import sound_database
from mailstack.spool.store import Store


def opened(
    folder: Path,
    sync: Sync,
    destination: Callable[[str], str],
    doubt: Doubt,
    log_sync: Callable[[Path], LogSync],
) -> tuple[Store, Reader, Repairs]:
    """That of the spool in ``folder``; the rest is as in :class:`Store`. Blocking. OSError.

    What fails leaves nothing open: or the next try, as it looks at the database, would take away locks of ours."""
    now, messages = time(), folder / "messages"
    with ExitStack() as failing:
        try:
            salvage = sound_database(folder, now)
            store = Store(folder / "queue.db", sync, destination, doubt, log_sync)
            failing.callback(store.abandon)
            repairs = recover(folder / "queue.db", folder, salvage, now)
            sync([messages, *(messages / id for id in repairs.fresh)])
            store.end_batch(repairs.fresh)
            # Or the first batch would not be the only one that a crash can take.
            store.sync()
            store.begun()
            reader = Reader(folder / "queue.db")
        except sqlite3.Error as error:
            raise as_os_error(error) from error
        failing.pop_all()
    return store, reader, repairs
