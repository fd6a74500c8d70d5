"""The pages of a SQLite database that SQLite itself does not read any more, and the rows that stand in them.

https://www.sqlite.org/fileformat2.html, as far as tables WITHOUT ROWID need it: their rows are the cells of index
pages. The log (WAL) is read to its end, also behind a frame whose checksum is wrong, where SQLite stops.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from attrs import Factory, define

MAGIC = b"SQLite format 3\0"
WAL_MAGIC = (0x377F0682, 0x377F0683)
WAL_HEADER, FRAME_HEADER = 32, 24  # octets
DEFAULT_PAGE = 4096
LEAF, INTERIOR = 0x0A, 0x02  # index pages, the first octet of a page
TABLE_LEAF = 0x0D  # likewise, of a table that has its own keys
MOST_OVERFLOW = 1_000  # pages of one row
_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}  # serial type: octets

Value = int | float | str | bytes | None


@define
class Image:
    """The newest state of each page: where it stands in which file."""

    size: int
    places: dict[int, tuple[BinaryIO, int]] = Factory(dict)

    def page(self, number: int) -> bytes:
        """Blocking. b"" when it cannot be had."""
        if number not in self.places:
            return b""
        file, at = self.places[number]
        try:
            return os.pread(file.fileno(), self.size, at)
        except OSError:  # a bad place of the disk: the others may be good
            return b""


def image(database: BinaryIO | None, wal: BinaryIO | None) -> Image:
    """What there is of both."""
    found = Image(_page_size(database, wal))
    if database is not None:
        octets = os.fstat(database.fileno()).st_size
        found.places.update({at // found.size + 1: (database, at) for at in range(0, octets, found.size)})
    if wal is not None:
        whole = list(frames(wal, found.size))
        last = max((number for number, (_, _, ends) in enumerate(whole, 1) if ends), default=0)
        # Not what was begun, and never ended.
        found.places.update({page: (wal, at) for page, at, _ in whole[:last]})
    return found


def _page_size(database: BinaryIO | None, wal: BinaryIO | None) -> int:
    sizes = []
    if wal is not None:
        head = os.pread(wal.fileno(), WAL_HEADER, 0)
        sizes += [int.from_bytes(head[8:12], "big")] if int.from_bytes(head[:4], "big") in WAL_MAGIC else []
    if database is not None:
        head = os.pread(database.fileno(), 100, 0)
        sizes += [int.from_bytes(head[16:18], "big")] if head[:16] == MAGIC else []
    return next((size for size in sizes if 512 <= size <= 32768 and size & (size - 1) == 0), DEFAULT_PAGE)


def frames(wal: BinaryIO, size: int = DEFAULT_PAGE) -> Iterator[tuple[int, int, bool]]:
    """Number of the page, offset of its content, and whether a transaction ends with it, in the order in which they
    were written. Of the log's last round alone: what stands behind it is older."""
    octets, salt = os.fstat(wal.fileno()).st_size, _salt(wal)
    for at in range(WAL_HEADER, octets - FRAME_HEADER - size + 1, FRAME_HEADER + size):
        frame = os.pread(wal.fileno(), FRAME_HEADER, at)
        if frame[8:16] == salt:
            yield int.from_bytes(frame[:4], "big"), at + FRAME_HEADER, frame[4:8] != b"\0\0\0\0"


def _salt(wal: BinaryIO) -> bytes:
    """Of the log's last round; where the header is damaged, that of the first frame, which was written with it."""
    head = os.pread(wal.fileno(), WAL_HEADER + FRAME_HEADER, 0)
    if len(head) < WAL_HEADER:
        return b""
    magic = int.from_bytes(head[:4], "big")
    words = struct.unpack(f"{'>' if magic & 1 else '<'}6I", head[:24])
    one = two = 0
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    if magic in WAL_MAGIC and (one, two) == struct.unpack(">2I", head[24:32]):
        return head[16:24]
    return head[WAL_HEADER + 8 : WAL_HEADER + 16]


def known_frames(database: Path) -> tuple[int, bytes]:
    """How many frames of the log the index beside it (queue.db-shm) knows of, and in which round: its salts. Before
    SQLite has opened the database, what the process before knew; afterwards, what SQLite believes.
    https://www.sqlite.org/walformat.html: the number stands at octet 16, the salts at 32."""
    index = database.with_name(f"{database.name}-shm")
    try:
        with index.open("rb") as file:
            head = file.read(48)
    except OSError:
        return 0, b""
    return (struct.unpack_from("=I", head, 16)[0], head[32:40]) if len(head) == 48 else (0, b"")


def written_frames(database: Path) -> tuple[int, int, bytes]:
    """How many frames the log has, how many up to the last end of a transaction, and their salts; zeros without a log.
    OSError."""
    try:
        with database.with_name(f"{database.name}-wal").open("rb") as wal:
            salt = _salt(wal)
            whole = [ends for _, _, ends in frames(wal, _page_size(None, wal))]
    except FileNotFoundError:
        return 0, 0, b""
    return len(whole), max((number for number, ends in enumerate(whole, 1) if ends), default=0), salt


def logged_numbers(database: Path, page: int) -> Iterator[int]:
    """All that a table with one number in it has ever been in the log; ``page`` is where it stands. OSError."""
    with database.with_name(f"{database.name}-wal").open("rb") as wal:
        size = _page_size(None, wal)
        for number, at, _ in frames(wal, size):
            content = os.pread(wal.fileno(), size, at) if number == page else b""
            if content[:1] == bytes([TABLE_LEAF]) and content[3:5] == b"\0\1":
                yield from _number(content)


def _number(content: bytes) -> Iterator[int]:
    """Of the only row; none where the page is torn."""
    with suppress(ValueError, IndexError, struct.error):
        length, at = _varint(content, int.from_bytes(content[8:10], "big"))
        _, at = _varint(content, at)  # its key
        (value,) = _record(_exactly(content[at : at + length], length))
        if isinstance(value, int):
            yield value


def rows(found: Image) -> Iterator[list[Value]]:
    """The rows in all pages that look like pages of an index. In one that was let go there are none, as it was wiped
    (``schema.WIPE``); or it has changed places with another one."""
    for number in sorted(found.places):
        content = found.page(number)
        if len(content) == found.size:
            yield from _cells(found, content, 100 if number == 1 else 0)


def _cells(found: Image, content: bytes, start: int) -> Iterator[list[Value]]:
    kind = content[start]
    if kind not in (LEAF, INTERIOR):
        return
    count = int.from_bytes(content[start + 3 : start + 5], "big")
    pointers = start + (12 if kind == INTERIOR else 8)
    if pointers + 2 * count > len(content):
        return
    for at in struct.unpack_from(f">{count}H", content, pointers):
        try:
            yield _record(_payload(found, content, at + (4 if kind == INTERIOR else 0)))
        except (ValueError, IndexError, struct.error):
            continue  # this one is damaged; the next one may be good


def _payload(found: Image, content: bytes, at: int) -> bytes:
    length, at = _varint(content, at)
    most, least = (found.size - 12) * 64 // 255 - 23, (found.size - 12) * 32 // 255 - 23
    if length <= most:
        return _exactly(content[at : at + length], length)
    here = least + (length - least) % (found.size - 4)
    here = here if here <= most else least
    parts, following = [content[at : at + here]], int.from_bytes(content[at + here : at + here + 4], "big")
    left = length - here
    for _ in range(MOST_OVERFLOW):
        if left <= 0:
            break
        page = found.page(following)
        parts.append(page[4 : 4 + left])
        left -= len(page) - 4
        following = int.from_bytes(page[:4], "big")
        if not page:
            break
    return _exactly(b"".join(parts), length)


def _exactly(octets: bytes, length: int) -> bytes:
    if len(octets) != length:
        raise ValueError("a row that is cut off")
    return octets


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(9):
        octet = content[at + index]
        if index == 8:
            return value << 8 | octet, at + 9
        value = value << 7 | octet & 0x7F
        if octet < 0x80:
            return value, at + index + 1
    raise ValueError("no number")


def _record(payload: bytes) -> list[Value]:
    """The values of a row. ValueError, IndexError, struct.error."""
    end, at = _varint(payload, 0)
    if end > len(payload):
        raise ValueError("no row")
    kinds = []
    while at < end:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    at, values = end, list[Value]()
    for kind in kinds:
        value, size = _value(payload, at, kind)
        values.append(value)
        at += size
    if at != len(payload):
        raise ValueError("no row")
    return values


def _value(payload: bytes, at: int, kind: int) -> tuple[Value, int]:
    if kind == 0:
        return None, 0
    if kind in (8, 9):
        return kind - 8, 0
    if kind in _INTEGERS:
        size = _INTEGERS[kind]
        return int.from_bytes(_exactly(payload[at : at + size], size), "big", signed=True), size
    if kind == 7:
        return struct.unpack_from(">d", payload, at)[0], 8
    if kind < 12:
        raise ValueError("no kind of value")
    size = (kind - 12) // 2
    octets = _exactly(payload[at : at + size], size)
    return (octets.decode("utf-8") if kind % 2 else octets), size
