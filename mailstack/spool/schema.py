"""The tables of the queue."""

#: Recipients with these states wait for an attempt. The others: ``hold`` waits for the administrator, ``sent`` and
#: ``reported`` are done, ``bounced`` waits for the report to the sender.
SCHEMA = """
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
    batch INTEGER NOT NULL           -- the transaction that added it, see recovery
) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS recipients (
    id TEXT NOT NULL,
    number INTEGER NOT NULL,
    address TEXT NOT NULL,
    original TEXT NOT NULL,
    state TEXT NOT NULL,             -- active, deferred, hold, sent, bounced, reported
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt REAL NOT NULL,
    code INTEGER NOT NULL DEFAULT 0, -- the last reply
    status TEXT NOT NULL DEFAULT '',
    reply TEXT NOT NULL DEFAULT '',
    relay TEXT NOT NULL DEFAULT 'none', -- who gave it
    PRIMARY KEY (id, number)
) WITHOUT ROWID, STRICT;
CREATE INDEX IF NOT EXISTS waiting ON recipients (next_attempt) WHERE state IN ('active', 'deferred');
CREATE INDEX IF NOT EXISTS bounced ON recipients (id) WHERE state = 'bounced';
CREATE TABLE IF NOT EXISTS counter (batch INTEGER NOT NULL) STRICT;
INSERT INTO counter SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM counter);
PRAGMA user_version = 1;
"""
