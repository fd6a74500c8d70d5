"""Where a letter is handed over: to the receiver's own code in this process, or to the server's port.

Who may write the spool (root, and the user whom it belongs to) needs no server. Everybody else of this machine asks the
server by SMTP, as any program on it may.
"""

from __future__ import annotations

import os
import selectors
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic, time

from mailstack.accounts.directory import Directory
from mailstack.accounts.returns import key_file
from mailstack.admin.caller import Call, Unanswered
from mailstack.admin.exchange import Exchange, replies
from mailstack.admin.quiet_log import QuietLog
from mailstack.admin.rehearsal import without_server
from mailstack.admin.sendmail_errors import EX_NOPERM, EX_OSERR, EX_SOFTWARE, EX_TEMPFAIL, Unsent
from mailstack.config.hosts import Target, reached_here
from mailstack.config.settings import Settings
from mailstack.delivery.route import destination
from mailstack.intake.free_space import FreeSpace
from mailstack.intake.reception import Reception
from mailstack.spool.letterbox import Letterbox

PIECE = 64 * 1024  # octets that are passed on at once
PATIENCE = 60.0  # seconds for an answer of the server


class Trouble(QuietLog):
    """A log that keeps what went wrong on our side."""

    def __init__(self) -> None:
        self.bugs: list[str] = []
        self.warnings: list[str] = []

    def warn(self, id: str, **fields: object) -> None:
        self.warnings.append(str(fields.get("what") or fields.get("note")))

    def failure(self, id: str, note: str) -> None:
        self.bugs.append(note)


def spool_is_ours(data: Path) -> bool:
    """Whether we may write there; then we are the one whom it belongs to. Unsent: nobody can tell."""
    folder = data / "spool"
    try:
        owner = (folder / "queue.db").stat()
        if os.geteuid() == 0:
            _become(owner.st_uid, owner.st_gid)
        return os.access(folder / "queue.db", os.W_OK) and os.access(folder / "messages", os.W_OK)
    except PermissionError:
        return False
    except FileNotFoundError:
        reason = f"there is no queue in {folder} yet: start the server once; nothing was sent"
        raise Unsent(EX_TEMPFAIL, reason) from None
    except OSError as error:
        raise Unsent(EX_OSERR, f"{folder}: {error.strerror}; nothing was sent") from None


def _become(uid: int, gid: int) -> None:
    """What root makes in the spool must belong to whom the spool belongs to."""
    if (uid, gid) != (0, 0):
        os.setgroups([gid])
        os.setgid(gid)
        os.setuid(uid)


class Inside:
    """A session with the receiver's own code. Unsent: the spool cannot be used."""

    def __init__(self, settings: Settings, userid: int, new_id: Callable[[], str], message_id: str = "") -> None:
        """``message_id`` is for the log."""
        self._trouble = Trouble()
        directory = Directory(settings, monotonic, time, self._trouble)
        data = settings.server.data
        if settings.accounts.srs:
            # Before the server has made the key, there are no return addresses.
            with suppress(FileNotFoundError):
                directory.remember(key_file(data).read_bytes())
        try:
            self._letterbox = Letterbox(data, partial(destination, settings), userid, message_id)
        except OSError as error:
            raise Unsent(EX_TEMPFAIL, f"{_words(error)}; nothing was sent") from None
        free_space = FreeSpace(data, monotonic)
        around = without_server(
            settings, directory, self._letterbox, self._trouble, new_id=new_id, free_space=free_space
        )
        self.exchange = Exchange(Reception(around, "", loopback=True, userid=userid))
        self.greeting = replies(self.exchange.greeting)

    def say(self, octets: bytes) -> list[str]:
        heard = replies(self.exchange.hear(octets))
        if self._letterbox.unsure:
            raise Unsent(EX_TEMPFAIL, self._letterbox.unsure)
        if self._trouble.bugs:
            raise Unsent(EX_SOFTWARE, f"a bug, please report it: {self._trouble.bugs[0]}; nothing was sent")
        if self._trouble.warnings and heard and heard[-1].startswith("4"):
            raise Unsent(EX_TEMPFAIL, f"{self._trouble.warnings[-1]}; nothing was sent")
        return heard

    def give(self, message: bytes) -> list[str]:
        return self.say(message)

    def converse(self) -> None:
        """SMTP on standard input and output."""
        said = self.exchange.greeting
        while True:
            _write(said)
            if self._letterbox.unsure:
                raise Unsent(EX_TEMPFAIL, self._letterbox.unsure)
            heard = b"" if self.exchange.closed else os.read(0, PIECE)
            if not heard:
                break
            said = self.exchange.hear(heard)
        self.exchange.hang_up()


def port_of(settings: Settings) -> Target:
    """Unsent: there is none that we could find."""
    target = reached_here(settings.smtp.listen)
    if target is None:
        owner = "only root and the user whom the queue belongs to may use it, and [smtp] listen has no port to ask"
        raise Unsent(EX_NOPERM, f"{owner}; nothing was sent")
    return target


def call(target: Target) -> Call:
    """A session over a socket. Unsent: nobody answers."""
    try:
        return Call(target, PATIENCE)
    except Unanswered as error:
        raise _unanswered(error) from None


def _connected(target: Target) -> socket.socket:
    try:
        return socket.create_connection((target.host, target.port))
    except OSError as error:
        raise _unanswered(error) from None


def _unanswered(error: Exception) -> Unsent:
    reason = "the queue belongs to another user, and the server does not answer"
    return Unsent(EX_TEMPFAIL, f"{reason}: {error}; nothing was sent")


def pass_on(target: Target) -> None:
    """Standard input and output are the connection. OSError."""
    with _connected(target) as connection, selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        selector.register(0, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in selector.select()}
            if connection.fileno() in ready:
                said = connection.recv(PIECE)
                if not said:
                    return
                _write(said)
            if 0 in ready:
                heard = os.read(0, PIECE)
                if heard:
                    connection.sendall(heard)
                else:
                    connection.shutdown(socket.SHUT_WR)
                    selector.unregister(0)


def _write(octets: bytes) -> None:
    while octets:
        octets = octets[os.write(1, octets) :]


def _words(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"
