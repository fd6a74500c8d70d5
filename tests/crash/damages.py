"""The kinds of damage, and which letters each of them touches."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random

from attrs import frozen

from mailstack.spool.pages import FRAME_HEADER, WAL_HEADER, image, rows
from tests.crash.damaged_spool import Master

PAGE = 4096
ALL = frozenset({"*"})  #: "*" among them stands for all


@frozen
class Harm:
    """``touched``: the letters of whose rows or file some octet was changed."""

    what: str
    touched: frozenset[str]


Make = Callable[[Path, Master, Random], Harm]

#: What may stand in the place of a file.
OTHERS: dict[str, Callable[[Path], object]] = {
    "gone": lambda path: None,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("hello\n" * 999),
    "folder": lambda path: path.mkdir(),
    "link": lambda path: path.symlink_to("/etc/hostname"),
    "fifo": lambda path: os.mkfifo(path),
}


def choose(spool: Path, master: Master, rng: Random) -> Harm:
    """Damage one thing."""
    makes = [_file] * 4 + [_database] * 5 + ([_log] * 5 + [_index] if "queue.db-wal" in master.files else [])
    return rng.choice(makes)(spool, master, rng)


# ---- Letters' files


def _file(spool: Path, master: Master, rng: Random) -> Harm:
    id = rng.choice(sorted(master.letters))
    path = spool / "messages" / id
    octets = path.read_bytes()
    kind = rng.choice(
        ["cut", "zero", "longer", "flip", "flips", "hole", "folder", "link", "fifo", "gone", "swap", "other"]
    )
    touched = {id}
    if kind == "swap":
        other = rng.choice(sorted(master.letters.keys() - {id}))
        touched.add(other)
        path.write_bytes(master.letters[other].content)
        (path.parent / other).write_bytes(octets)
    elif kind in OTHERS:
        path.unlink()
        OTHERS[kind](path)
    else:
        path.write_bytes(_changed(octets, kind, rng))
    return Harm(f"{kind} of messages/{id}", frozenset(touched))


def _changed(octets: bytes, kind: str, rng: Random) -> bytes:
    """Other octets, in any case."""
    at = rng.randrange(len(octets))
    if kind == "cut":
        new = octets[:at]
    elif kind == "zero":
        new = b""
    elif kind == "longer":
        new = octets + rng.randbytes(rng.randrange(1, 5000))
    elif kind == "hole":
        new = octets[:at] + bytes(min(512, len(octets) - at)) + octets[at + 512 :]
    elif kind == "other":
        new = rng.randbytes(len(octets))
    else:
        new = flipped(octets, at, rng)
        new = flipped(new, (at + 1) % len(octets), rng) if kind == "flips" else new
    return new if new != octets else octets + b"x"


def flipped(octets: bytes, at: int, rng: Random) -> bytes:
    return octets[:at] + bytes([octets[at] ^ 1 << rng.randrange(8)]) + octets[at + 1 :]


# ---- The database


def _database(spool: Path, master: Master, rng: Random) -> Harm:
    path = spool / "queue.db"
    octets = path.read_bytes()
    pages = len(octets) // PAGE
    kind = rng.choice(
        ["flip"] * 6
        + ["header"] * 3
        + ["page", "zero page", "swap", "double", "cut", "cut", "gone", "empty", "text", "folder", "more"]
    )
    what = f"{kind} of queue.db"
    if kind in OTHERS:
        path.unlink()
        OTHERS[kind](path)
        return Harm(what, ALL)
    if kind == "more":
        path.write_bytes(octets + rng.randbytes(rng.choice([1, 17, PAGE, 3 * PAGE])))
        return Harm(what, frozenset())
    if kind == "cut":
        at = max(0, min(len(octets) - 1, PAGE * rng.randrange(pages + 1) + rng.choice([0, 0, 1, -1, 17, -100, 2048])))
        path.write_bytes(octets[:at])
        return Harm(f"{what} at {at}", _on(spool, master, range(at // PAGE + 1, pages + 1)))
    if kind in ("flip", "header"):
        at = rng.randrange(100) if kind == "header" else rng.randrange(len(octets))
        path.write_bytes(flipped(octets, at, rng))
        page = at // PAGE + 1
        # Whose id it was, and whose it is now: with ids as close as these, a bit makes one of another.
        return Harm(f"{what} at {at}", _on(spool, master, [page]) | _ids(path.read_bytes(), {page}, spool))
    one, other = rng.randrange(pages), rng.randrange(pages)
    here, there = (octets[n * PAGE : (n + 1) * PAGE] for n in (one, other))
    new = {
        "page": {one: rng.randbytes(PAGE)},
        "zero page": {one: bytes(PAGE)},
        "swap": {one: there, other: here},
        "double": {one: there},
    }[kind]
    changed = b"".join(new.get(n, octets[n * PAGE : (n + 1) * PAGE]) for n in range(pages))
    path.write_bytes(changed)
    return Harm(f"{what}, pages {one + 1} {other + 1}", _on(spool, master, {one + 1, other + 1}))


# ---- Its log, and the log's index


def _log(spool: Path, master: Master, rng: Random) -> Harm:
    path = spool / "queue.db-wal"
    octets = path.read_bytes()
    step = PAGE + FRAME_HEADER
    frames = (len(octets) - WAL_HEADER) // step
    kind = rng.choice(["flip"] * 5 + ["header", "cut", "cut", "cut", "zero frame", "swap", "gone", "empty", "folder"])
    what = f"{kind} of queue.db-wal"
    if kind in OTHERS:
        path.unlink()
        OTHERS[kind](path)
        return Harm(what, ALL)
    if kind == "cut":
        at = max(0, WAL_HEADER + step * rng.randrange(frames) + rng.choice([0, 0, 1, -1, FRAME_HEADER, 2048]))
        path.write_bytes(octets[:at])
        return Harm(f"{what} at {at}", ALL)
    if kind == "header":
        at = rng.randrange(WAL_HEADER)
        path.write_bytes(flipped(octets, at, rng))
        return Harm(f"{what} at {at}", ALL)
    if kind == "flip":
        at = rng.randrange(WAL_HEADER, len(octets))
        path.write_bytes(flipped(octets, at, rng))
        frame = (at - WAL_HEADER) // step
        inside = (at - WAL_HEADER) % step >= FRAME_HEADER
        return Harm(f"{what} at {at}", _in_frames(spool, master, octets, [frame]) if inside else ALL)
    one, other = rng.randrange(frames), rng.randrange(frames)
    here, there = (octets[WAL_HEADER + n * step : WAL_HEADER + (n + 1) * step] for n in (one, other))
    new = {one: bytes(step)} if kind == "zero frame" else {one: there, other: here}
    parts = (new.get(n, octets[WAL_HEADER + n * step : WAL_HEADER + (n + 1) * step]) for n in range(frames))
    path.write_bytes(octets[:WAL_HEADER] + b"".join(parts))
    return Harm(f"{what}, frames {one + 1} {other + 1}", ALL)


def _index(spool: Path, master: Master, rng: Random) -> Harm:
    """SQLite makes it anew from the log."""
    path = spool / "queue.db-shm"
    octets = path.read_bytes()
    kind = rng.choice(["flip", "flip", "noise", "empty", "gone", "folder", "cut"])
    if kind in ("gone", "folder"):
        path.unlink()
        if kind == "folder":
            path.mkdir()
    else:
        path.write_bytes(
            {
                "flip": flipped(octets, rng.randrange(136), rng),
                "noise": rng.randbytes(len(octets)),
                "empty": b"",
                "cut": octets[: rng.randrange(len(octets))],
            }[kind]
        )
    return Harm(f"{kind} of queue.db-shm", frozenset())


# ---- Whom it touches


def _on(spool: Path, master: Master, numbers: Iterable[int]) -> frozenset[str]:
    """Letters with rows in these pages of the database, as long as the log has no newer state of them; and those whose
    rows are only there because of the log's. A killed server's letters stand in both, so there it is all."""
    if "queue.db-wal" in master.files:
        return ALL
    return _ids(master.files["queue.db"], set(numbers), spool)


def _in_frames(spool: Path, master: Master, octets: bytes, frames: Iterable[int]) -> frozenset[str]:
    """Letters with rows in these frames, of whatever age."""
    step = PAGE + FRAME_HEADER
    found = frozenset[str]()
    for frame in frames:
        at = WAL_HEADER + frame * step + FRAME_HEADER
        found |= _ids(bytes(PAGE) + octets[at : at + PAGE], {2}, spool)
    return found


def _ids(octets: bytes, numbers: set[int], spool: Path) -> frozenset[str]:
    scratch = spool.parent / "scratch"
    scratch.write_bytes(octets)
    with scratch.open("rb") as file:
        whole = image(file, None)
        whole.size = PAGE
        whole.places = {n: (file, (n - 1) * PAGE) for n in numbers if n * PAGE <= len(octets)}
        found = frozenset(
            str(row[0]) for row in rows(whole) if len(row) > 2 or [type(each) for each in row] == [str, str]
        )
    scratch.unlink()
    return found


def clear(root: Path) -> None:
    shutil.rmtree(root / "data", ignore_errors=True)
