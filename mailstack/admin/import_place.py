"""Where letters are brought: an account of ours, a folder of its Maildir, and the record beside it."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import time

from attrs import evolve, frozen

from mailstack.accounts.users import canonical
from mailstack.admin.import_box import Box, NoRoom, bases
from mailstack.admin.import_known import Known
from mailstack.admin.import_moments import Moments
from mailstack.admin.import_record import InUse, Past, Record, look
from mailstack.admin.import_run import Interrupts, Run, Tally
from mailstack.admin.site import Failed, Site, warn
from mailstack.config.settings import Settings
from mailstack.durable import FilesystemSync, Sync, own_filesystem, sync_paths
from mailstack.maildir import folders, names
from mailstack.model.address import Address
from mailstack.model.maildir_name import below_mail

ROOM = 2  # messages of [limits] message_size that stay free on the disk, for the mail that comes in


@frozen
class Place:
    settings: Settings
    account: Address
    folder: str  #: ``.Junk``; "": the mailbox itself

    @property
    def maildir(self) -> Path:
        root = self.settings.server.data / "mail" / below_mail(self.account)
        return root / self.folder if self.folder else root

    def within(self, name: str, new: str) -> Place:
        """The folder of this name, or of the same but for the case of letters; ``new`` if there is none. OSError."""
        try:
            found = folders.find(self.maildir, name)
        except FileNotFoundError:
            return evolve(self, folder=new)
        return evolve(self, folder="" if found == self.maildir else found.name)

    @property
    def record(self) -> Path:
        return self.settings.server.data / "state/import" / below_mail(self.account) / (self.folder or "INBOX")

    def look(self, source: str, again: bool) -> Known:
        """What is known now, for a trial: nothing is made or changed."""
        pasts, own = look(self.record, source)
        there = bases(self.maildir)
        if again:
            for id in own.gone(set(names.unique_ids(there))):
                del own.letters[id]
        return Known(source, pasts, there)

    @contextmanager
    def open(self, source: str, again: bool) -> Iterator[tuple[Box, Known, Record]]:
        """Failed, OSError."""
        try:
            record = Record(self.record, source)
        except InUse:
            raise Failed(f"another import into the mailbox of {self.account} goes on") from None
        limits, host = self.settings.limits, self.settings.server.hostname
        with closing(record), _sync(self.settings) as sync:
            box = Box(self.maildir, record, sync, host, ROOM * limits.message_size)
            there = box.open()
            if again:
                record.forget(set(names.unique_ids(there)))
            yield box, Known(source, record.pasts, there), record


@contextmanager
def running(box: Box, known: Known, past: Past, tally: Tally, interrupts: Interrupts) -> Iterator[Run]:
    """One run. Whatever ends it, what was brought by then is imported. Why it ended stands in ``tally.problem``, if not
    the source is why."""
    last = max((each.moment for each in past.letters.values()), default=0)
    run = Run(box, known, Moments(time(), tally.wanted, last), tally, interrupts)
    try:
        try:
            yield run
        finally:
            run.end()
    except NoRoom as error:
        tally.problem = str(error)
    except OSError as error:
        tally.problem = f"{error.filename or box.folder}: {error.strerror or error}"
    except KeyboardInterrupt:
        tally.problem = "stopped"


def account(site: Site, text: str) -> Address:
    """Failed: there is no such account, or its mail is somebody else's."""
    settings = site.settings
    try:
        found = canonical(str(site.address(text)), settings.server.domains)
    except ValueError as error:
        raise Failed(str(error)) from None
    if found.key not in site.users().accounts:
        raise Failed(f"there is no account {found}; make it first: mailstack user add {found}")
    _check_owner(settings.server.data)
    return found


def warn_of_expiry(place: Place) -> None:
    """Letters keep the time at which they came to the old server, so ``[pop3] expire`` takes the old ones."""
    days = place.settings.pop3.expire
    if days is not None and not place.folder:
        warn(
            f"[pop3] expire = {days}d: what came to the old server longer ago will be removed from the inbox here,"
            " within hours; if it is to stay, say expire = never, and restart the server, before you import"
        )


def _check_owner(data: Path) -> None:
    owner = data.stat().st_uid
    if owner == os.geteuid():
        return
    name = _user(owner)
    if os.geteuid() != 0:
        raise Failed(f"{data} belongs to {name}: run this as {name}, or as root")
    warn(f"you are root, and {data} belongs to {name}: so will what is imported")


def become_owner(data: Path) -> None:
    """As root, where nothing else needs it: what is written belongs to whom the mail belongs to, and nothing that this
    user has prepared leads elsewhere."""
    owner = data.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.setgroups([owner.st_gid])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)


@contextmanager
def as_owner(data: Path) -> Iterator[None]:
    """The same for a while, where root must read what others may not: see :func:`as_root`."""
    owner = data.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        yield
        return
    group, groups = os.getegid(), os.getgroups()
    os.setgroups([owner.st_gid])
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


@contextmanager
def as_root() -> Iterator[None]:
    """Within :func:`as_owner`, for what only root may open; if it was root who called."""
    user = os.geteuid()
    if 0 not in os.getresuid():
        yield
        return
    os.seteuid(0)
    try:
        yield
    finally:
        os.seteuid(user)


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


@contextmanager
def _sync(settings: Settings) -> Iterator[Sync]:
    """As ``[spool] sync`` has it."""
    mode, data = settings.spool.sync, settings.server.data
    if mode == "file" or (mode == "auto" and not own_filesystem(data)):
        yield sync_paths
        return
    whole = FilesystemSync(data)
    try:
        yield whole
    finally:
        whole.close()
