"""The least that could do the same: what this machine, Twisted and SQLite leave for a server that looks at nothing.

    with Ceiling(root, port) as server: ...      # server.mail

It knows verbs, and answers yes. Letters are files, rows are in SQLite, with the contents of small ones; one sync of its
log serves all that waits, and during it their files are written; the replies leave after it; delivery is a hard link,
and files and links are synced later, as in mailstack, but without policy, syntax, header, log, queue, retries or
reports. So its figure is a ceiling for how fast mailstack could be on this disk, and no server to use.
"""

from __future__ import annotations

import os
import pathlib
import sqlite3
import subprocess
import sys
from itertools import count

from postfix import wait_greeting
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.python.failure import Failure

CHECKPOINT = 1000  # letters
LOGGED = 16 * 1024  # octets of one whose content the database has
LEISURE = 0.025  # seconds
LONGEST = 1000  # connections that wait to be accepted
END = b"\r\n.\r\n"


class Ceiling:
    """All mail goes into one Maildir."""

    def __init__(self, root: pathlib.Path, port: int) -> None:
        self.root, self.port = root, port
        self.mail = root / "mail"

    def __enter__(self) -> Ceiling:
        for folder in ("messages", "mail/new"):
            (self.root / folder).mkdir(parents=True)
        self._process = subprocess.Popen([sys.executable, __file__, str(self.root), str(self.port)])
        try:
            wait_greeting(self.port)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.terminate()
        self._process.wait(30)


class Store:
    """One batch after the other; while one is on its way to the disk, the next one gathers."""

    def __init__(self, root: str) -> None:
        from twisted.internet import reactor

        from mailstack.durable import FilesystemSync, LogSync
        from mailstack.server.threads import Threads

        self._reactor = reactor
        self._root = root
        self._sync = FilesystemSync(pathlib.Path(root))
        self._disk, self._files = Threads("disk", 1, reactor), Threads("files", 1, reactor)
        self._db = sqlite3.connect(f"{root}/queue.db", isolation_level=None, check_same_thread=False)
        for setting in ("journal_mode = WAL", "synchronous = NORMAL", "wal_autocheckpoint = 0"):
            self._db.execute(f"PRAGMA {setting}")
        columns = "id TEXT PRIMARY KEY, sender TEXT, recipient TEXT, content BLOB"
        self._db.execute(f"CREATE TABLE letters ({columns}) WITHOUT ROWID")
        self._sync_log = LogSync(pathlib.Path(f"{root}/queue.db-wal"))
        self._ids = count()
        self._came: list[tuple[Session, str, bytes]] = []
        self._linked: list[str] = []
        self._delivered: list[str] = []
        self._busy = self._syncing = False
        self._since = 0

    def add(self, session: Session, content: bytes) -> None:
        self._came.append((session, f"{next(self._ids):012}", content))
        self._soon()

    def _soon(self) -> None:
        if not self._busy and (self._came or self._delivered):
            self._busy = True
            self._reactor.callLater(0, self._run)

    def _run(self) -> None:
        came, self._came = self._came, []
        over, self._delivered = self._delivered, []
        self._db.execute("BEGIN")
        logged = all(len(content) <= LOGGED for _, _, content in came)
        if not logged:
            self._write(came)
        rows = [(id, content if logged else None) for _, id, content in came]
        self._db.executemany("INSERT INTO letters VALUES (?, 'a', 'b', ?)", rows)
        self._db.executemany("DELETE FROM letters WHERE id = ?", [(id,) for id in over])
        self._db.execute("COMMIT")
        synced = self._disk.run(self._sync_log) if logged else self._disk.run(self._sync, ())
        if logged:
            self._write(came)
        synced.addCallback(lambda _: self._synced(came, over)).addErrback(self._give_up)

    def _write(self, came: list[tuple[Session, str, bytes]]) -> None:
        for _, id, content in came:
            file = os.open(f"{self._root}/messages/{id}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            os.write(file, content)
            os.close(file)

    def _give_up(self, reason: Failure) -> None:
        reason.printTraceback()
        self._reactor.stop()

    def _synced(self, came: list[tuple[Session, str, bytes]], over: list[str]) -> None:
        for session, id, _ in came:
            session.say(b"250 2.0.0 Ok: queued as %s\r\n" % id.encode())
        for id in over:
            os.unlink(f"{self._root}/messages/{id}")  # noqa: PTH108  # a Path costs as much as the call
        for _, id, _ in came:
            os.link(f"{self._root}/messages/{id}", f"{self._root}/mail/new/{id}")
        self._linked += [id for _, id, _ in came]
        self._files_soon()
        self._since += len(came)
        if self._since > CHECKPOINT:
            self._since = 0
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        self._busy = False
        self._soon()

    def _files_soon(self) -> None:
        if not self._syncing and self._linked:
            self._syncing = True
            self._reactor.callLater(LEISURE, self._sync_files)

    def _sync_files(self) -> None:
        linked, self._linked = self._linked, []
        synced = self._files.run(self._sync, ())
        synced.addCallback(lambda _: self._files_synced(linked)).addErrback(self._give_up)

    def _files_synced(self, linked: list[str]) -> None:
        self._delivered += linked
        self._syncing = False
        self._files_soon()
        self._soon()


class Session(Protocol):
    def connectionMade(self) -> None:
        self._body: list[bytes] | None = None
        self.say(b"220 ceiling\r\n")

    def say(self, octets: bytes) -> None:
        """At once, as one answer always fits into the kernel's buffer."""
        self.transport.socket.send(octets)

    def dataReceived(self, data: bytes) -> None:
        if self._body is not None:
            self._body.append(data)
            # It may come in two pieces.
            if data.endswith(END) or (len(data) < len(END) and b"".join(self._body).endswith(END)):
                content, self._body = b"".join(self._body), None
                self.factory.store.add(self, content.replace(b"\r\n", b"\n"))
        elif data.startswith(b"DATA"):
            self._body = []
            self.say(b"354 go on\r\n")
        elif data.startswith(b"QUIT"):
            self.say(b"221 bye\r\n")
            self.transport.loseConnection()
        else:
            self.say(b"250 ok\r\n")


def serve(root: str, port: int) -> None:
    from mailstack.startup import choose_reactor

    choose_reactor()
    from twisted.internet import reactor

    factory = ServerFactory.forProtocol(Session)
    factory.noisy, factory.store = False, Store(root)
    reactor.listenTCP(port, factory, LONGEST, "127.0.0.1")
    reactor.run()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
