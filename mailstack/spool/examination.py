"""A look at the disk, every second or so, while all is well and while it is not."""

from __future__ import annotations

from contextlib import suppress

from mailstack.spool.batch import Batch
from mailstack.spool.commit import ALL, GroupCommit, InThread
from mailstack.spool.files import Files
from mailstack.spool.health import Health


class Examination:
    """Where the last batch failed, it also writes one of its own now and then: so it is found out that the disk takes
    something again, without anybody's mail; and neighbours do not wait for the next mail."""

    def __init__(self, health: Health, commit: GroupCommit, files: Files, in_thread: InThread) -> None:
        self._health = health
        self._files = files
        self._commit = commit
        self._in_thread = in_thread
        self._running = False

    async def run(self) -> None:
        if self._running:
            return  # the disk has not answered yet
        self._running = True
        try:
            self._health.seen(await self._in_thread(self._health.look))
            if self._health.due(self._commit.in_doubt):
                with suppress(OSError):  # which is what we wanted to know
                    await self._commit.join(_probe, must=ALL)
            if self._files.discarded and self._health.fit:
                await self._in_thread(self._files.unlink_discarded)
        finally:
            self._running = False


def _probe(batch: Batch) -> None:
    batch.probe = True
