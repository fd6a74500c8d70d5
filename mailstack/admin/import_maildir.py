"""``mailstack import maildir``: a Maildir that another server has written, with its sub-folders. Nothing is changed
there, and no symbolic link is followed: who imports may be root, and the owner of the Maildir anybody."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path

from attrs import frozen

from mailstack.admin import import_uidls as uidls
from mailstack.admin.import_keywords import Keywords, keywords_of
from mailstack.admin.import_known import Known, Offer
from mailstack.admin.import_place import Place, as_owner, as_root, running
from mailstack.admin.import_run import Found, Interrupts, Progress, Tally
from mailstack.admin.import_uidls import Shown, Uidls
from mailstack.admin.site import Failed, warn
from mailstack.maildir import names

PIECE = 256 * 1024  # octets that are read at once
UNSHOWN = (2, 0)  # in the order: after all that were shown


@frozen
class Source:
    """``control``: where Dovecot keeps its lists, if not in the Maildir (CONTROL= of mail_location)."""

    root: Path
    control: Path
    uidl: str  #: auto, courier, mailstack, or a format of Dovecot
    again: bool = False
    dry_run: bool = False

    @property
    def name(self) -> str:
        return f"maildir {self.root}"

    def folders(self) -> list[str]:
        """``""`` first, then ``.Junk`` and the like. Failed."""
        if not _is_maildir(self.root):
            raise Failed(f"{self.root} is no Maildir: it has no folders new and cur")
        found = [""]
        for entry in sorted(os.scandir(self.root), key=lambda entry: entry.name):
            if entry.name in ("new", "cur", "tmp") or not entry.is_dir(follow_symlinks=False):
                if entry.is_symlink() and entry.name.startswith("."):
                    warn(f"{entry.path} is a symbolic link, and left out")
            elif _is_maildir(Path(entry.path)):
                if entry.name.startswith("."):
                    found.append(entry.name)
                else:
                    warn(f"{entry.path} is a folder of another layout (LAYOUT=fs) and left out; import it by itself")
        return found


@frozen
class Letter:
    """A file: ``place`` is ``new`` or ``cur``."""

    base: str
    place: str
    info: str  #: what follows the colon
    size: int  #: octets as stored
    modified: int

    @property
    def file(self) -> str:
        return f"{self.place}/{self.base}{f':{self.info}' if self.info else ''}"


class Unreadable(Exception):
    """One letter can't be had; says why."""


def bring(place: Place, source: Source, tally: Tally) -> None:
    """One folder. Failed, OSError."""
    folder = source.root / place.folder
    if folder.resolve() == place.maildir.resolve():
        raise Failed(f"{folder} is the Maildir of {place.account} itself")
    letters = list(_scan(source.root, place.folder))
    shown = _uidls(source, place.folder, letters)([each.base for each in letters])
    letters.sort(key=lambda each: shown[each.base].order if each.base in shown else (*UNSHOWN, names.age(each.base)))
    offers = [_offer(each, shown.get(each.base)) for each in letters]
    if source.dry_run:
        with as_owner(place.settings.server.data):
            _choose(place.look(source.name, source.again), letters, offers, tally)
        return
    theirs = keywords_of(folder)
    with (
        Interrupts() as interrupts,
        as_owner(place.settings.server.data),
        place.open(source.name, source.again) as (box, known, record),
    ):
        wanted = _choose(known, letters, offers, tally)
        keywords = Keywords.between(theirs, place.maildir, [letter.info for letter, _ in wanted])
        with running(box, known, record.own, tally, interrupts) as run:
            progress = Progress(tally, place.folder or "INBOX")
            try:
                for letter, offer in wanted:
                    flags = None if letter.place == "new" else keywords.flags(letter.info)
                    try:
                        found = Found(offer, _came(letter), letter.modified, flags)
                        run.bring(found, _pieces(source.root, place.folder, letter), progress, wire=False)
                    except Unreadable as error:
                        tally.refuse(letter.file, str(error))
            finally:
                progress.end()


def _choose(
    known: Known, letters: Sequence[Letter], offers: Sequence[Offer], tally: Tally
) -> list[tuple[Letter, Offer]]:
    known.compare(offers)
    pairs = list(zip(letters, offers, strict=True))
    wanted = [(letter, offer) for letter, offer in pairs if not known.has(offer)]
    tally.found, tally.known, tally.wanted = len(pairs), len(pairs) - len(wanted), len(wanted)
    tally.wanted_octets = sum(letter.size for letter, _ in wanted)
    return wanted


def _offer(letter: Letter, shown: Shown | None) -> Offer:
    stem = letter.base.partition(",")[0]
    return Offer(stem, stem if shown is None else shown.uid, names.wire_size(letter.base))


def _came(letter: Letter) -> int:
    return names.age(letter.base)[0] or letter.modified


# ---- Under which ids they were shown


def _uidls(source: Source, folder: str, letters: Sequence[Letter]) -> Uidls:
    path, control = source.root / folder, source.control / folder
    try:
        match source.uidl:
            case "auto":
                return _guess(path, control, letters)
            case "courier":
                return uidls.couriers(path)
            case "mailstack":
                return uidls.mailstacks
        return uidls.dovecots(control, source.uidl)
    except FileNotFoundError as error:
        if folder:
            return uidls.by_names  # others show the mailbox alone by POP3, so there it does not matter
        raise Failed(
            f"{error.filename} is not there, so the unique-ids that mail programs know cannot be told. If Dovecot keeps"
            " it elsewhere (CONTROL= in mail_location): --control FOLDER; if it showed the files' names: --uidl %f"
        ) from None
    except uidls.Unreadable as error:
        raise Failed(f"{error}; see --uidl") from None


def _guess(path: Path, control: Path, letters: Sequence[Letter]) -> Uidls:
    """By what the server has left. FileNotFoundError: it is Dovecot's, but the list is not there."""
    if (control / uidls.DOVECOT_LIST).exists():
        return uidls.dovecots(control, uidls.DOVECOT_FORMAT)
    if (path / uidls.COURIER_LIST).exists():
        return uidls.couriers(path)
    if any(path.glob("dovecot[.-]*")):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(control / uidls.DOVECOT_LIST))
    ours = any(names.letter_id(each.base) is not None for each in letters)
    return uidls.mailstacks if ours else uidls.by_names


# ---- Files


def _is_maildir(path: Path) -> bool:
    return all(_is_folder(path / part) for part in ("new", "cur"))


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _scan(root: Path, folder: str) -> Iterator[Letter]:
    """``new`` first: what is moved to ``cur`` meanwhile is seen once, as it was."""
    seen = set()
    for place in ("new", "cur"):
        with _held(root, folder, place) as held, os.scandir(held) as entries:
            for entry in entries:
                base, _, info = entry.name.partition(":")
                if entry.name.startswith(".") or base in seen or not entry.is_file(follow_symlinks=False):
                    continue
                with suppress(FileNotFoundError):
                    state = entry.stat(follow_symlinks=False)
                    seen.add(base)
                    yield Letter(base, place, info, state.st_size, int(state.st_mtime))


@contextmanager
def _held(root: Path, *parts: str) -> Iterator[int]:
    """A folder below the root, as a file descriptor. Its owner may put a link in the place of each part at any moment,
    also between a look at it and this: so none is followed. OSError."""
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in filter(None, parts):
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
            os.close(fd)
            fd = below
        yield fd
    finally:
        os.close(fd)


def _pieces(root: Path, folder: str, letter: Letter) -> Iterator[bytes]:
    """Unreadable: the letter is gone, or the disk refuses it."""
    try:
        with as_root():
            opened = _open(root, folder, letter)
        with os.fdopen(opened, "rb", buffering=0) as file:
            while piece := file.read(PIECE):
                yield piece
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from None


def _open(root: Path, folder: str, letter: Letter) -> int:
    """Another program may have given it other flags meanwhile. What was a file may be a pipe by now."""
    renamed = (each.file for each in _scan(root, folder) if each.base == letter.base)
    for name in chain((letter.file,), renamed):
        place, _, file = name.partition("/")
        with suppress(FileNotFoundError), _held(root, folder, place) as held:
            fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=held)
            if stat.S_ISREG(os.fstat(fd).st_mode):
                return fd
            os.close(fd)
    raise FileNotFoundError(errno.ENOENT, "another program has removed it meanwhile")
