"""The folders of a Maildir: Maildir++ keeps them beside the inbox, ``Work/2026`` as ``.Work.2026``.

A path is never made of what a client says: it can only be one of those that are there, or one of ``STANDARD``.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from unicodedata import normalize

from mailstack.model.folder import INBOX, alike
from mailstack.protocol import modified_utf7

#: Those that are empty while they are not there: programs ask for them before there is a letter in them, and do not
#: set up the account if they are refused. The names are Dovecot's (RFC 6154).
STANDARD = ("Sent", "Drafts", "Junk", "Trash", "Archive")
MAX_WRITTEN = 200  # octets on the disk


def find(maildir: Path, name: str) -> Path:
    """The Maildir of a folder; of the inbox for "" and INBOX. The name exactly, else the only one that is the same but
    for the case of letters. FileNotFoundError: there is none. Other OSErrors: the disk."""
    wanted = alike(name)
    if wanted in ("", INBOX):
        return maildir
    found = dict(_folders(maildir))
    if name in found:
        return found[name]
    same = [path for each, path in found.items() if alike(each) == wanted]
    if not same:
        same = [maildir / f".{each}" for each in STANDARD if each.casefold() == wanted]
        # Something else than a folder, or one that is not to be followed.
        same = [path for path in same if not os.path.lexists(path)]
    if len(same) != 1:
        raise FileNotFoundError(errno.ENOENT, "no such folder", f"{maildir}/{name}")
    return same[0]


def _folders(maildir: Path) -> Iterator[tuple[str, Path]]:
    """By name, with a slash between levels."""
    try:
        entries = os.scandir(maildir)
    except FileNotFoundError:
        return
    with entries:
        for entry in entries:
            if entry.name.startswith(".") and _is_own(entry) and (name := _name(entry.name[1:])):
                yield name, Path(entry.path)


def _is_own(entry: os.DirEntry[str]) -> bool:
    """No link leads out of the Maildir."""
    if not entry.is_dir(follow_symlinks=False):
        return False
    return not any(Path(entry.path, part).is_symlink() for part in ("new", "cur"))


def _name(written: str) -> str:
    """Without its dot; "" for what can be no folder."""
    levels = written.split(".")
    if not all(levels):
        return ""
    try:
        decoded = [normalize("NFC", modified_utf7.decode(level)) for level in levels]
    except ValueError:
        return ""
    # A slash or a dot within a level is no name that anybody could say.
    return "" if any("/" in level or "." in level for level in decoded) else "/".join(decoded)


def written(name: str) -> str:
    """``Sent/2019`` is ``.Sent.2019``, and letters beyond ASCII are in IMAP's UTF-7 (RFC 3501 §5.1.3), as Dovecot and
    Courier have it. ValueError: it can be no folder."""
    levels = name.split("/")
    if not all(levels) or any(level.startswith(".") or not level.isprintable() for level in levels):
        raise ValueError(f"{name!r} can be no folder")
    found = "." + ".".join(modified_utf7.encode(level) for level in levels)
    if len(found) > MAX_WRITTEN:
        raise ValueError(f"{name!r} is too long for a folder")
    return found


def shown(written: str) -> str:
    """For people: the name of a folder that is called ``written`` on the disk, or that itself where it is none that
    anybody could say. "" for "", the inbox."""
    bare = written.removeprefix(".")
    return _name(bare) or bare
