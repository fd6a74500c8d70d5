"""The tables of the queue, and how those of an older mailstack become them."""

from __future__ import annotations

import sqlite3

from mailstack.spool.states import IS_UNREPORTED, WAITING, listed

VERSION = 9  #: ``PRAGMA user_version``
#: The default of some builds of SQLite. A page that was let go must look like none, wherever a salvage comes upon it.
WIPE = "PRAGMA secure_delete = ON"
SQLITE = (3, 38, 0)  #: has the operator ->> that the statements use

SCHEMA = f"""
CREATE TABLE IF NOT EXISTS messages (
    id TEXT PRIMARY KEY,
    sender TEXT NOT NULL,            -- '' is the null sender
    arrived REAL NOT NULL,           -- Unix time
    size INTEGER NOT NULL,           -- octets of the file
    lines INTEGER NOT NULL,
    relay_offset INTEGER NOT NULL,
    eight_bit INTEGER NOT NULL,
    checksum INTEGER NOT NULL,       -- CRC-32 of the file
    warned INTEGER NOT NULL DEFAULT 0,
    batch INTEGER NOT NULL,          -- the transaction that added it, see recovery
    smtputf8 INTEGER NOT NULL DEFAULT 0,
    require_tls INTEGER NOT NULL DEFAULT 0,
    ret TEXT NOT NULL DEFAULT '',    -- FULL, HDRS
    envid TEXT NOT NULL DEFAULT '',  -- xtext
    not_before REAL NOT NULL DEFAULT 0, -- Unix time of the first attempt, if that is later than arrived
    hold TEXT NOT NULL DEFAULT '',   -- if that was the sender's wish: for;SECONDS or until;DATE
    seal INTEGER NOT NULL DEFAULT -1, -- CRC-32 of what never changes of the envelope; -1: of an older mailstack
    account TEXT NOT NULL DEFAULT '' -- the address with which its sender was logged in
) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS recipients (
    id TEXT NOT NULL,
    number INTEGER NOT NULL,
    address TEXT NOT NULL,
    original TEXT NOT NULL,
    state TEXT NOT NULL,             -- active, deferred, hold, sent, bounced, delivered, relayed, expanded, reported,
                                     -- dropped
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt REAL NOT NULL,
    code INTEGER NOT NULL DEFAULT 0, -- the last reply
    status TEXT NOT NULL DEFAULT '',
    reply TEXT NOT NULL DEFAULT '',
    relay TEXT NOT NULL DEFAULT 'none', -- who gave it
    notify TEXT NOT NULL DEFAULT '', -- NEVER, or SUCCESS, FAILURE, DELAY with commas
    orcpt TEXT NOT NULL DEFAULT '',
    expanded INTEGER NOT NULL DEFAULT 0, -- an alias that leads to several, who have rows of their own
    destination TEXT NOT NULL DEFAULT '', -- where it goes next: 'local', or the key of a route
    PRIMARY KEY (id, number)
) WITHOUT ROWID, STRICT;
-- With the state in it, an index answers alone: 100,000 rows are looked over in 10 ms.
CREATE INDEX IF NOT EXISTS waiting ON recipients (next_attempt, destination, state) WHERE state IN {listed(WAITING)};
CREATE INDEX IF NOT EXISTS in_line ON recipients (destination, next_attempt, state) WHERE state IN {listed(WAITING)};
CREATE INDEX IF NOT EXISTS of_account ON messages (account, id) WHERE account != '';
CREATE INDEX IF NOT EXISTS unreported ON recipients (id) WHERE {IS_UNREPORTED};
CREATE TABLE IF NOT EXISTS history (  -- what attempts came to, while the letter is in the queue
    id TEXT NOT NULL,
    number INTEGER NOT NULL,
    at REAL NOT NULL,                -- Unix time
    state TEXT NOT NULL,             -- what the recipient came to be
    code INTEGER NOT NULL,
    status TEXT NOT NULL,
    reply TEXT NOT NULL,
    relay TEXT NOT NULL,             -- 'admin:' and a name: what that administrator did;
                                     -- 'sender:' and an address: what the sender did
    PRIMARY KEY (id, number, at)
) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS unsaved (  -- letters of which a copy is still to be saved in a Sent folder
    id TEXT PRIMARY KEY,
    account TEXT NOT NULL            -- whose
) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS contents ( -- of small letters whose files are not durable yet
    id TEXT PRIMARY KEY,
    content BLOB NOT NULL
) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS notes (  -- what another process has done, for the server's log
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    fields TEXT NOT NULL             -- a JSON object
) STRICT;
CREATE TABLE IF NOT EXISTS counter (batch INTEGER NOT NULL) STRICT;
INSERT INTO counter SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM counter);
PRAGMA user_version = {VERSION};
"""

#: What older versions have not.
ADDED = (
    ("messages", "smtputf8", "INTEGER NOT NULL DEFAULT 0"),
    ("messages", "require_tls", "INTEGER NOT NULL DEFAULT 0"),
    ("messages", "ret", "TEXT NOT NULL DEFAULT ''"),
    ("messages", "envid", "TEXT NOT NULL DEFAULT ''"),
    ("recipients", "notify", "TEXT NOT NULL DEFAULT ''"),
    ("recipients", "orcpt", "TEXT NOT NULL DEFAULT ''"),
    ("recipients", "expanded", "INTEGER NOT NULL DEFAULT 0"),
    ("messages", "not_before", "REAL NOT NULL DEFAULT 0"),
    ("recipients", "destination", "TEXT NOT NULL DEFAULT ''"),
    ("messages", "hold", "TEXT NOT NULL DEFAULT ''"),
    ("messages", "seal", "INTEGER NOT NULL DEFAULT -1"),
    ("messages", "account", "TEXT NOT NULL DEFAULT ''"),
)


def check_sqlite() -> None:
    """OSError: the library is too old."""
    if sqlite3.sqlite_version_info < SQLITE:
        raise OSError(f"SQLite {sqlite3.sqlite_version} is too old, the queue needs {'.'.join(map(str, SQLITE))}")


def version(db: sqlite3.Connection) -> int:
    """0: a new database. OSError: a newer mailstack made it, and what stands there would be misread."""
    found: int = db.execute("PRAGMA user_version").fetchone()[0]
    if found > VERSION:
        raise OSError(f"the queue database is of a newer mailstack (version {found}, this one knows {VERSION})")
    return found


def must_be_current(db: sqlite3.Connection) -> None:
    """OSError: it is of another version than ours, and only a server that starts brings it up to ours."""
    if version(db) != VERSION:
        raise OSError("the queue is one of an older mailstack: start the server once, which brings it up to date")


def prepare(db: sqlite3.Connection) -> None:
    """Make the tables, or bring them up to this version, in place. Blocking; before anything else. OSError as
    :func:`version`; sqlite3.Error."""
    if 0 < version(db) < VERSION:
        _upgrade(db)
    db.executescript(SCHEMA)


def _upgrade(db: sqlite3.Connection) -> None:
    """All of it or nothing. A version 1 that runs on this database again sets its mark back, but leaves the columns:
    so those that are there are left alone."""
    db.execute("BEGIN IMMEDIATE")
    try:
        for table, column, kind in ADDED:
            if column not in {row[1] for row in db.execute(f"PRAGMA table_info({table})")}:
                db.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
        for index in ("bounced", "waiting", "in_line", "unreported"):
            db.execute(f"DROP INDEX IF EXISTS {index}")
        db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
