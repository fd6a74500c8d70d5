"""What the length of the queue costs: letters that wait, while fresh ones come and go."""

from __future__ import annotations

import contextlib
import pathlib
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from statistics import median

import load
from attrs import frozen
from figures import Row, Series
from load import Shape
from pop3 import processor
from setting import Setting

from mailstack.spool.reader import Reader
from mailstack.spool.schema import prepare

CONTENT = b"Received: by mail.example.org\nSubject: it waits\n\n" + (b"x" * 76 + b"\n") * 50
LINKS = 30_000  # of one file, as messages; ext4 allows 65,000
DESTINATIONS = 100
TRIED = 3600.0  # seconds since these letters have come
MIB = 1.048576  # MB
LOOKS = 5
IN_MEMORY = 20  # destinations of which the queue has letters in memory, as in a busy server


# ---- A queue that is full


def fill(data: pathlib.Path, count: int, destinations: int, first: float, last: float) -> None:
    """Letters that were tried a few times, with rows in bulk; their next attempts are between ``first`` and ``last``,
    Unix times. Files are hard links."""
    messages = data / "spool/messages"
    messages.mkdir(parents=True)
    came = min(first, time.time()) - TRIED
    ids = [f"0{number:011d}" for number in range(count)]
    domains = [f"d{number % destinations}.example.com" for number in range(count)]
    step = (last - first) / max(1, count)
    with closing(sqlite3.connect(data / "spool/queue.db")) as db:
        db.execute("PRAGMA journal_mode = WAL")
        prepare(db)
        measures = (came, len(CONTENT), CONTENT.count(b"\n"), zlib.crc32(CONTENT))
        db.executemany(
            "INSERT INTO messages (id, sender, arrived, size, lines, relay_offset, eight_bit, checksum, batch)"
            " VALUES (?, 'somebody@example.org', ?, ?, ?, 0, 0, ?, 1)",
            ((id, *measures) for id in ids),
        )
        db.executemany(
            "INSERT INTO recipients (id, number, address, original, state, attempts, next_attempt, destination)"
            " VALUES (?, 0, ?, ?, 'deferred', 3, ?, ?)",
            (
                (id, f"u@{name}", f"u@{name}", first + number * step, f"mx:{name}")
                for number, (id, name) in enumerate(zip(ids, domains, strict=True))
            ),
        )
        db.execute("UPDATE counter SET batch = 2")
        db.commit()
    for number, id in enumerate(ids):
        if number % LINKS == 0:
            original = messages / id
            original.write_bytes(CONTENT)
        else:
            (messages / id).hardlink_to(original)


class Waiting:
    """This server with so many letters that wait, none of them due for an hour, and the next hop of fresh ones."""

    def __init__(self, setting: Setting, name: str, count: int) -> None:
        self._messages = setting.amounts.part(0.25)
        self.root = setting.folder(name)
        now = time.time()
        # Not later than the longest pause of the schedule, or they would be taken for a wrong clock's.
        fill(self.root / "data", count, DESTINATIONS, now + 3600, now + 3 * 3600)
        users = ["somebody", *(f"u{number}" for number in range(1, 9))]
        routes = f"sink.example = smtp:[127.0.0.1]:{setting.sink}\n* = mx"
        self.server = setting.ours(self.root, users=users, routes=routes)
        self._unused = iter(users[1:])

    def greeted(self) -> float:
        """Start it; seconds until the first 220."""
        start = time.perf_counter()
        self.server.start()
        return time.perf_counter() - start

    def memory(self) -> float:
        """MB, a moment after the start."""
        time.sleep(1)
        return load.memory(self.server.pid()) * MIB

    def into_maildir(self) -> float:
        """Milliseconds of processor for a letter that comes and is delivered."""
        user = next(self._unused)
        maildir = self.server.mail / "example.org" / user
        shape = Shape(self._messages, keep_open=True)
        return self._computed(lambda: load.inbound(self.server.port, [maildir], f"{user}@example.org", shape))

    def relayed(self, sink: load.Sink) -> float:
        shape = Shape(self._messages, keep_open=True)
        return self._computed(lambda: load.relay(self.server.port, sink, shape))

    def _computed(self, work: Callable[[], float]) -> float:
        before = processor(self.server.pid())
        work()
        time.sleep(0.2)  # what is done after the letter has arrived: its rows go
        return (processor(self.server.pid()) - before) * 1e3 / self._messages

    def look(self, due: bool) -> float:
        """Milliseconds of a look at all: with the queue's own queries, in this process. ``due``: all of it is."""
        now = time.time() + (4 * 3600 if due else 0)
        here = [f"mx:d{number}.example.com" for number in range(IN_MEMORY)]
        with contextlib.closing(Reader(self.root / "data/spool/queue.db")) as reader:
            times = []
            for number in range(LOOKS):
                start = time.perf_counter()
                reader.destinations(now, 500, ["local", *here], number % 2 == 1)
                reader.untold(50, "", set())
                reader.next_due(now)
                times.append((time.perf_counter() - start) * 1e3)
        return median(times)


@frozen
class Costs:
    """The lines of the plot, by their names; points are added one length at a time."""

    lines: dict[str, list[tuple[float, float]]]

    def note(self, name: str, x: float, y: float) -> None:
        self.lines.setdefault(name, []).append((x, y))


def by_length(setting: Setting) -> Iterator[Series]:
    costs = Costs({})
    for count in setting.amounts.queue:
        waiting = Waiting(setting, f"queue-{count}", count)
        try:
            with load.Sink(setting.sink, setting.mount.parent / f"sink-{count}") as sink:
                _cost_of(waiting, count, sink, min(3, setting.amounts.rounds), costs)
        finally:
            waiting.server.stop()
        costs.note("look", count, waiting.look(due=False))
        costs.note("look, all due", count, waiting.look(due=True))
    yield Series("queue", costs.lines)


def _cost_of(waiting: Waiting, count: int, sink: load.Sink, rounds: int, costs: Costs) -> None:
    costs.note("start", count, waiting.greeted())
    costs.note("memory", count, waiting.memory())
    for name, measure in (("deliver", waiting.into_maildir), ("relay", lambda: waiting.relayed(sink))):
        measure()
        costs.note(name, count, median(measure() for _ in range(rounds)))


# ---- 100,000


def startup(setting: Setting) -> Iterator[Row]:
    """Of the memory, what a server without letters takes is left out."""
    rounds, seconds, more = min(3, setting.amounts.rounds), [], []
    empty, full = Waiting(setting, "queued-none", 0), Waiting(setting, "queued", setting.amounts.queued)
    for _ in range(rounds):
        without = _started(empty)[1]
        took, memory = _started(full)
        seconds.append(took)
        more.append(memory - without)
    yield Row("memory-queued", more)
    yield Row("startup-queued", seconds)


def _started(waiting: Waiting) -> tuple[float, float]:
    try:
        return waiting.greeted(), waiting.memory()
    finally:
        waiting.server.stop()
