"""The history of letters on the disk: ``state/history/2026-11-26.jsonl`` below ``data``, a file a day (UTC), a JSON
object a line.

The objects are those of the log with ``[log] format = json``. Who reads must bear with a torn line, with lines that
somebody has edited, and with times that do not ascend, as a clock may be set back.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from math import ceil
from pathlib import Path

from attrs import frozen

from mailstack.durable import write_all
from mailstack.model.moment import precise

#: Shares of [log] keep_size that one day may have: of all, and of what one client can make us write without end.
DAY_SHARE, NOISE_SHARE = 1 / 2, 1 / 4
_NAME = re.compile(r"(\d{4}-\d{2}-\d{2})\.jsonl\Z", re.ASCII)
_QUOTED = json.encoder.encode_basestring

Fields = Mapping[str, object]
#: Unix time, the queue id or a word, the fields of each line, and those that all of them share.
Entry = tuple[float, str, Sequence[Fields], Fields]


@frozen
class Event:
    """One line. ``fields`` have Postfix's names, as in the log, and text for values."""

    time: float  #: Unix time
    id: str  #: the queue id, or a word
    fields: Mapping[str, str]

    def field(self, name: str) -> str:
        """ "" where it is missing."""
        return self.fields.get(name, "")


@frozen
class Day:
    date: date
    path: Path
    size: int  #: octets


def folder_below(data: Path) -> Path:
    return data / "state" / "history"


def day_of(moment: float) -> date:
    return datetime.fromtimestamp(moment, UTC).date()


def path_of(folder: Path, day: date) -> Path:
    return folder / f"{day.isoformat()}.jsonl"


def encode(entries: Iterable[Entry]) -> str:
    """A line each. All values are text: so it takes half of the time that a JSON encoder does."""
    lines: list[str] = []
    for moment, id, several, shared in entries:
        start = f'{{"time":"{precise(moment)}","id":{_QUOTED(id)}'
        end = f"{_pairs(shared)}}}\n"
        lines += [f"{start}{_pairs(fields)}{end}" for fields in several]
    return "".join(lines)


def _pairs(fields: Fields) -> str:
    pairs = [f',"{name.rstrip("_")}":{_QUOTED(str(value))}' for name, value in fields.items() if value is not None]
    return "".join(pairs)


def decode(line: bytes) -> Event | None:
    """None: not one of ours."""
    try:
        facts = json.loads(line)
        moment, id = facts.pop("time"), facts.pop("id")
        return Event(datetime.fromisoformat(moment).timestamp(), str(id), {key: str(facts[key]) for key in facts})
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None


def days(folder: Path) -> list[Day]:
    """The oldest first; none where there is no history. OSError."""
    return sorted(_days(folder), key=lambda each: each.date)


def _days(folder: Path) -> Iterator[Day]:
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        found = _NAME.match(entry.name)
        if found is None:
            continue  # an editor's, or the administrator's own
        try:
            yield Day(date.fromisoformat(found[1]), Path(entry.path), entry.stat().st_size)
        except (ValueError, FileNotFoundError):
            continue  # no day of the calendar, or removed meanwhile


def append(path: Path, octets: bytes) -> int:
    """One write; the size of the file afterwards. What a crash or a full disk has torn stays a line by itself.
    OSError, and then a part may be there."""
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(fd).st_size
        torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
        write_all(fd, b"\n" + octets if torn else octets)
        return size + torn + len(octets)
    finally:
        os.close(fd)


def size_of(path: Path) -> int:
    """0 where it is not there. OSError."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def prune(folder: Path, today: date, keep: timedelta, most: int) -> list[Day]:
    """Remove days that ended longer ago than ``keep``, then the oldest ones while all together have more than ``most``
    octets, but never today's; returns what was removed. OSError."""
    found, kept = days(folder), timedelta(days=ceil(keep / timedelta(days=1)))
    total, removed = sum(each.size for each in found), []
    for each in found:
        # What happened in a day's last moment is kept that long, too.
        old = each.date + kept < today
        if each.date >= today or not (old or total > most):
            continue
        each.path.unlink(missing_ok=True)
        total -= each.size
        removed.append(each)
    return removed
