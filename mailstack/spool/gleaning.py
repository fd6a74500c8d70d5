"""What can still be read of a damaged queue database: letters, with all that belongs to them."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from operator import ne
from pathlib import Path
from typing import Any

from attrs import Factory, define, frozen

from mailstack.model.address import Address
from mailstack.spool.pages import Value, image, rows
from mailstack.spool.rows import UNSEALED, seal
from mailstack.spool.schema import SCHEMA
from mailstack.spool.states import DONE, STATES, WAITING

Row = dict[str, Any]  # by column, of whatever type it should be
TABLES = ("messages", "recipients", "history", "unsaved", "contents")
MOST_ROWS = 50_000_000  # a damaged tree may lead in circles
_OF_MESSAGE = (
    *("id", "sender", "size", "lines", "relay_offset", "eight_bit", "checksum", "smtputf8", "require_tls"),
    *("ret", "envid", "hold"),
)
_OF_RECIPIENT = ("address", "original", "notify", "orcpt", "expanded")
_REAL = ("arrived", "not_before", "next_attempt", "at")


@define
class Gleaned:
    """One letter."""

    message: Row
    recipients: dict[int, Row] = Factory(dict)
    history: list[Row] = Factory(list)
    unsaved: Row | None = None
    contents: Row | None = None
    doubtful: bool = False  #: of some recipient there are several states, and nobody knows which one is right

    def add(self, recipient: Row) -> None:
        """Of several states of one the first is taken with which most is still to be done; the first, if they are not
        about the same one."""
        number = recipient["number"]
        known = self.recipients.setdefault(number, recipient)
        states = {known["state"], recipient["state"]}
        if len(states) == 1 or _identity(known) != _identity(recipient):
            return
        self.recipients[number] = min(known, recipient, key=_progress)
        self.doubtful |= not states <= set(DONE)

    @property
    def sound(self) -> bool:
        """Whether all of the envelope is there, as it was accepted."""
        try:
            those = [self.recipients[number] for number in range(len(self.recipients))]
            mark = self.message["seal"]
            if mark == UNSEALED:
                for each in those:
                    Address.parse(each["address"])
            elif mark != seal(tuple(self.message[name] for name in _OF_MESSAGE), map(_identity, those)):
                return False
            return bool(those) and all(each["state"] in STATES for each in those)
        except (KeyError, ValueError, TypeError):
            return False


def _mended(message: Row) -> Row:
    """Who has sent it is no part of the envelope: a letter goes its way without."""
    return message if isinstance(message["account"], str) else {**message, "account": ""}


def _identity(recipient: Row) -> tuple[Any, ...]:
    return tuple(recipient[name] for name in _OF_RECIPIENT)


def _progress(recipient: Row) -> int:
    state = recipient["state"]
    return 2 if state in DONE else 0 if state in WAITING else 1


@frozen
class Columns:
    """Of a table of this version: names in order, and what stands there by default."""

    names: tuple[str, ...]
    defaults: Mapping[str, Any]

    @classmethod
    def of(cls, db: sqlite3.Connection, table: str) -> Columns:
        found = db.execute(f"PRAGMA table_info({table})").fetchall()
        defaults = {row[1]: db.execute(f"SELECT {row[4]}").fetchone()[0] for row in found if row[4] is not None}
        return cls(tuple(row[1] for row in found), defaults)


def columns() -> dict[str, Columns]:
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(SCHEMA)
        return {table: Columns.of(db, table) for table in TABLES}


def glean(copy: Path, files: Iterable[str], newer: bool) -> dict[str, Gleaned]:
    """All letters that are sound, of a copy of the database (and its log) that may be changed. For those in ``files``
    that no tree leads to, all pages are looked through; for all of them, if the log may have ``newer`` pages than the
    trees have. Blocking. OSError when not even the copy can be opened."""
    wanted = set(files)
    # Before SQLite opens the copy, for then the log is not what it was.
    raw = copy.with_name("raw.db"), copy.with_name("raw.db-wal")
    found = {id: each for id, each in _by_tree(copy, wanted).items() if each.sound}
    # SQLite stops where the log is damaged; what stands behind that is newer.
    missing = wanted if newer else wanted - found.keys()
    if missing:
        pieced = _by_pages(raw[0], raw[1], missing)
        found.update((id, each) for id, each in pieced.items() if not each.doubtful or id not in found)
    return found


# ---- As far as SQLite finds it


def _by_tree(copy: Path, files: set[str]) -> dict[str, Gleaned]:
    known, found = columns(), dict[str, Gleaned]()
    with closing(sqlite3.connect(copy, isolation_level=None)) as db:
        db.text_factory = lambda octets: octets.decode("utf-8", "replace")
        for row in _table(db, "messages", known["messages"], files):
            found.setdefault(row["id"], Gleaned(_mended(row)))
        for table in TABLES[1:]:
            for row in _table(db, table, known[table], found):
                letter = found.get(row["id"])
                if letter is not None:
                    _put(letter, table, row)
    return found


def _put(letter: Gleaned, table: str, row: Row) -> None:
    if table == "recipients":
        letter.add(row)  # one more, if a bit in the id of another letter is wrong
    elif table == "history":
        letter.history.append(row)
    elif table == "unsaved":
        letter.unsaved = row
    elif isinstance(row["content"], bytes):
        letter.contents = row


def _table(db: sqlite3.Connection, table: str, wanted: Columns, ids: Iterable[str]) -> Iterator[Row]:
    """One after the other up to the first error, then for each id by itself: the way there may be another one."""
    with suppress(sqlite3.Error, UnicodeError):
        there = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        # A bit in the name of one column leaves all where they are.
        renamed = len(there) == len(wanted.names) and sum(map(ne, there, wanted.names)) == 1
        names = [name for name in wanted.names if renamed or name in there]
        query = f"SELECT {'*' if renamed else ', '.join(names)} FROM {table}"
        seen = set[str]()
        try:
            for count, row in enumerate(db.execute(query)):
                seen.add(row[0])
                yield {**wanted.defaults, **dict(zip(names, row, strict=True))}
                if count > MOST_ROWS:
                    break
            return
        except (sqlite3.Error, UnicodeError):
            pass
        for id in list(ids):
            with suppress(sqlite3.Error, UnicodeError):
                for row in db.execute(f"{query} WHERE id = ?", (id,)):
                    yield {**wanted.defaults, **dict(zip(names, row, strict=True))}


# ---- In whatever page it stands


def _by_pages(database: Path, log: Path, missing: set[str]) -> dict[str, Gleaned]:
    known = columns()
    messages: dict[str, list[Row]] = {}
    recipients: dict[str, dict[int, list[Row]]] = {}
    unsaved: dict[str, Row] = {}
    contents: dict[str, Row] = {}
    with _opened(database) as db, _opened(log) as wal:
        for values in rows(image(db, wal)):
            if not values or values[0] not in missing:
                continue
            id = str(values[0])
            if row := _row(known["messages"], values):
                messages.setdefault(id, []).append(row)
            elif row := _row(known["recipients"], values):
                recipients.setdefault(id, {}).setdefault(row["number"], []).append(row)
            elif len(values) == 2 and isinstance(values[1], str):
                unsaved[id] = {"id": id, "account": values[1]}
            elif len(values) == 2 and isinstance(values[1], bytes):
                contents[id] = {"id": id, "content": values[1]}
    found = {}
    for id, candidates in messages.items():
        letter = next(_pieced(candidates, recipients.get(id, {})), None)
        if letter is not None:
            letter.unsaved, letter.contents = unsaved.get(id), contents.get(id)
            found[id] = letter
    return found


class _opened:
    """A file, or None where there is none."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb") if path.is_file() else None

    def __enter__(self) -> Any:
        return self._file

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


def _row(wanted: Columns, values: list[Value]) -> Row | None:
    """None: it is of another table. A row that was not written since a column was added has it not."""
    if len(values) > len(wanted.names) or any(name not in wanted.defaults for name in wanted.names[len(values) :]):
        return None
    row = {**wanted.defaults, **dict(zip(wanted.names, values, strict=False))}
    for name, value in row.items():
        if name in _REAL and isinstance(value, int):
            row[name] = float(value)  # as SQLite stores it to save room
        elif value is None or (name in ("number", "size", "checksum", "seal") and not isinstance(value, int)):
            return None
    if not isinstance(row.get("address", ""), str) or not isinstance(row.get("sender", ""), str):
        return None
    return row


def _pieced(messages: list[Row], recipients: dict[int, list[Row]]) -> Iterator[Gleaned]:
    """The letters that can be made of that, if there are old rows among them."""
    for message in messages:
        letter = Gleaned(_mended(message))
        for candidates in recipients.values():
            if any(_identity(each) != _identity(candidates[-1]) for each in candidates):
                return
            for each in reversed(candidates):
                letter.add(each)
        if letter.sound:
            yield letter


def valid_id(id: str) -> bool:
    """Whether a letter can be called so."""
    return re.fullmatch(r"[0-9A-Za-z]{1,64}", id) is not None
