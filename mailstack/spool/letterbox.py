"""Letters come in from another process: the command line puts them beside those of the server, which may be running or
not, with the same promise."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from zope.interface import implementer

from mailstack.durable import sync_paths
from mailstack.interfaces.spool import IIncoming, ILetterbox
from mailstack.model.address import path
from mailstack.model.letter import Letter
from mailstack.spool import notes, reserve
from mailstack.spool.adding import add_letters
from mailstack.spool.errors import Busy, as_os_error
from mailstack.spool.incoming import Arrivals, FileIncoming, ended
from mailstack.spool.neighbours import beyond_doubt, connected, neighbour
from mailstack.spool.schema import must_be_current

#: The batch of letters whose files are durable before their rows: a crash cuts off none of them.
DURABLE = -1
UNSURE = (
    "the letter is in the queue, but the disk has just refused a write of the server's: it may be lost if the power"
    " fails, and may arrive twice if it is sent again"
)


@implementer(ILetterbox)
class Letterbox:
    """Blocking, whatever ``async`` says. All OSErrors are about the spool."""

    def __init__(self, data: Path, destination: Callable[[str], str], uid: int, message_id: str = "") -> None:
        """``destination``: by domain, where a recipient goes next. ``uid`` and ``message_id`` are for the log.

        FileNotFoundError: no server has been here yet. PermissionError: not for us. OSError: the database is of
        another mailstack, or cannot be read.
        """
        self._database = data / "spool" / "queue.db"
        self._messages = data / "spool" / "messages"
        self._destination = destination
        self._uid = uid
        self._message_id = message_id
        self.unsure = ""  #: why the last letter was not promised, though it is in the queue
        for place in (self._database, self._messages):
            place.stat()
            if not os.access(place, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))
        try:
            with neighbour(self._messages.parent), closing(connected(self._database)) as db:
                must_be_current(db)
        except sqlite3.Error as error:
            raise as_os_error(error) from error

    def receive(self, id: str) -> IIncoming:
        return FileIncoming(f"{self._messages}/{id}", Arrivals())

    async def add(self, letter: Letter, content: IIncoming) -> None:
        """The file is durable before its row is written. While there is no row, a server that is just starting puts
        the file aside. So it is looked for once more when nobody else can write, and nothing is said of a letter
        without. OSError, and :attr:`unsure`: the letter is there, but a power loss may take it."""
        incoming = ended(content)
        try:
            if not reserve.whole(self._messages.parent):
                raise OSError(errno.ENOSPC, "the room that is left is for the outcomes of letters that are here")
            if not beyond_doubt(self._messages.parent):
                raise Busy(errno.EAGAIN, "the disk has refused a write of the server's, which is not made good yet")
            incoming.finish()
            file = Path(incoming.name)
            sync_paths([file, self._messages])
            self._enter(letter, file)
        except (OSError, sqlite3.Error) as error:
            incoming.discard()
            raise as_os_error(error) from error
        incoming.keep()
        if not beyond_doubt(self._messages.parent):
            self.unsure = UNSURE
            raise OSError(errno.EIO, UNSURE)

    def _enter(self, letter: Letter, file: Path) -> None:
        """The row belongs to no batch of the server. One of our own would be the last one then, and the server's last
        one would be believed without a look."""
        with neighbour(self._messages.parent), closing(connected(self._database)) as db:
            db.execute("BEGIN IMMEDIATE")
            if file.stat().st_size != letter.size:
                raise OSError(errno.EIO, "the message file has changed")
            add_letters(db, [letter], self._destination)
            db.execute("UPDATE messages SET batch = ? WHERE id = ?", (DURABLE, letter.id))
            notes.leave(db, letter.id, **self._line(letter))
            db.execute("COMMIT")

    def _line(self, letter: Letter) -> dict[str, object]:
        """What the log shall tell, in the words of Postfix's pickup and qmgr."""
        sender, number = path(letter.sender), letter.addressees
        id = {"message-id": self._message_id} if self._message_id else {}
        return {"uid": self._uid, "from_": sender, "size": letter.wire_size, "nrcpt": number, **id}
