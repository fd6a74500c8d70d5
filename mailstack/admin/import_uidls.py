"""The unique-ids under which another server has shown the letters of a Maildir, from what it has left there.

======================  ==========================================================================================
the server              its UIDL
======================  ==========================================================================================
Dovecot                 ``pop3_uidl_format`` (``%08Xu%08Xv``) of the UID and UIDVALIDITY in ``dovecot-uidlist``; but
                        the field ``P`` of a letter wins, and an empty one means the file's name
Courier                 ``UID<n>-<v>``, or ``UID<n>``, from ``courierpop3dsizelist``; the file's name where n is 0
mailstack               what its file names say (:mod:`mailstack.maildir.names`)
qmail, vpopmail, …      the file's name without its flags
======================  ==========================================================================================

A letter in no list was never shown to anybody.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from hashlib import md5
from pathlib import Path

from attrs import frozen

from mailstack.maildir import names

DOVECOT_LIST, COURIER_LIST = "dovecot-uidlist", "courierpop3dsizelist"
DOVECOT_FORMAT = "%08Xu%08Xv"  # Dovecot's default since 1.1

MOST = 256 * 1024 * 1024  # octets of a list: two million letters
MAX_LINE = 16 * 1024  # characters

#: https://doc.dovecot.org/2.3/configuration_manual/config_file/config_variables/: a width, modifiers, a variable.
_VARIABLE = re.compile(r"%(?:0(?P<width>[0-9]{1,2}))?(?P<modifiers>[XLUM]*)(?P<name>[uvfg%])")
_NUMBER = re.compile(r"[0-9]{1,18}\Z")
_HEAD = re.compile(r"(?:3 (?P<fields>.*)|1 (?P<validity>[0-9]{1,18}) [0-9]+)\Z")
_COURIER_HEAD = re.compile(r"/[23] [0-9]+ [0-9]+\Z")
_COURIER_LINE = re.compile(r"(?P<name>.+) [0-9]+ (?P<uid>[0-9]{1,18}):(?P<validity>[0-9]{1,18})(?::[0-9]+)?\Z")
_COURIER_ESCAPED = re.compile(r"[^!#-&(-*,-~]")


class Unreadable(Exception):
    """A list that should be there is not, or is not understood."""


@frozen
class Shown:
    """How one letter was shown. ``order`` sorts: as POP3 numbered them."""

    uid: str
    order: tuple[int, int, tuple[int, str]]


#: For the base names of a folder: base name to how it was shown; what was shown to nobody is left out.
Uidls = Callable[[Sequence[str]], dict[str, Shown]]


def by_names(bases: Sequence[str]) -> dict[str, Shown]:
    return {base: Shown(base, (0, 0, names.age(base))) for base in bases}


def mailstacks(bases: Sequence[str]) -> dict[str, Shown]:
    ordered = sorted(bases, key=names.age)
    uids = names.unique_ids(ordered)
    return {base: Shown(uid, (0, 0, names.age(base))) for base, uid in zip(ordered, uids, strict=True)}


def dovecots(folder: Path, format: str) -> Uidls:
    """Unreadable; FileNotFoundError when there is no list and the format needs one; OSError; ValueError: see
    :func:`template`."""
    show = template(format)
    listed_only = any(found["name"] in "uv" for found in _VARIABLE.finditer(format))
    try:
        validity, rows = _dovecot_list(folder / DOVECOT_LIST)
    except FileNotFoundError:
        if listed_only:
            raise
        validity, rows = 0, {}

    def uidls(bases: Sequence[str]) -> dict[str, Shown]:
        shown = {base: _as_dovecot(base, rows[base], validity, show) for base in bases if base in rows}
        if not listed_only:
            unlisted = by_names([base for base in bases if base not in rows])
            shown |= {base: Shown(show(0, 0, base, base), (2, *each.order[1:])) for base, each in unlisted.items()}
        return shown

    return uidls


def couriers(folder: Path) -> Uidls:
    """Unreadable, OSError."""
    shown = dict(_courier_list(folder / COURIER_LIST))
    return lambda bases: {base: Shown(shown[base], (0, 0, names.age(base))) for base in bases if base in shown}


# ---- Dovecot

#: UID, UIDVALIDITY, file name, GUID
Template = Callable[[int, int, str, str], str]


@frozen
class _Row:
    uid: int
    fields: dict[str, str]  #: by their letters


def template(format: str) -> Template:
    """ValueError: it has what Dovecot knows and we cannot compute from a Maildir, or nothing that differs."""
    rest = _VARIABLE.sub("", format)
    if "%" in rest:
        raise ValueError(f"{format!r} has more than %u, %v, %f and %g, with a width (%08u) and X, L, U, M before them")
    if not any(found["name"] in "ufg" for found in _VARIABLE.finditer(format)):
        raise ValueError(f"{format!r} is the same for all letters")

    def show(uid: int, validity: int, name: str, guid: str) -> str:
        values = {"u": str(uid), "v": str(validity), "f": name, "g": guid, "%": "%"}
        return _VARIABLE.sub(lambda found: _formatted(found, values[found["name"]]), format)

    return show


def _formatted(found: re.Match[str], value: str) -> str:
    for modifier in found["modifiers"]:
        match modifier:
            case "X":
                value = f"{int(value):x}" if value.isdigit() else value
            case "L":
                value = value.lower()
            case "U":
                value = value.upper()
            case "M":
                value = md5(value.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()
    return value.rjust(int(found["width"] or 0), "0")


def _as_dovecot(base: str, row: _Row, validity: int, show: Template) -> Shown:
    kept = row.fields.get("P")
    uid = show(row.uid, validity, base, row.fields.get("G") or base) if kept is None else kept or base
    # O is an order that a migration to Dovecot has kept; letters with it come first.
    order = row.fields.get("O", "")
    return Shown(uid, (0, int(order), (row.uid, base)) if _NUMBER.match(order) else (1, row.uid, (0, base)))


def _dovecot_list(path: Path) -> tuple[int, dict[str, _Row]]:
    lines = read_lines(path)
    head = _HEAD.match(next(lines, ""))
    if head is None:
        raise Unreadable(f"{path}: this is no dovecot-uidlist of version 1 or 3")
    validity = head["validity"] or _fields(head["fields"].split(" ")).get("V", "")
    if not _NUMBER.match(validity):
        raise Unreadable(f"{path}: it has no UIDVALIDITY")
    return int(validity), dict(filter(None, (_dovecot_row(line, head["fields"] is None) for line in lines)))


def _dovecot_row(line: str, old: bool) -> tuple[str, _Row] | None:
    uid, _, rest = line.partition(" ")
    fields, _, name = ("", "", rest) if old else rest.partition(":")
    return (names.base(name), _Row(int(uid), _fields(fields.split(" ")))) if _NUMBER.match(uid) and name else None


def _fields(words: Sequence[str]) -> dict[str, str]:
    return {word[0]: word[1:] for word in words if word}


# ---- Courier


def _courier_list(path: Path) -> Iterator[tuple[str, str]]:
    lines = read_lines(path)
    head = next(lines, "")
    if not _COURIER_HEAD.match(head):
        raise Unreadable(f"{path}: this is no courierpop3dsizelist of version 2 or 3 (Courier 0.43 and later)")
    for each in filter(None, map(_COURIER_LINE.match, lines)):
        base, uid, validity = names.base(each["name"]), int(each["uid"]), int(each["validity"])
        counted = f"UID{uid}-{validity}" if validity else f"UID{uid}"
        yield base, counted if uid else _courier_escaped(base)


def _courier_escaped(base: str) -> str:
    octets = base.encode("utf-8", "surrogateescape").decode("latin-1")
    return _COURIER_ESCAPED.sub(lambda found: f"+{ord(found[0]):02X}", octets)


def read_lines(path: Path) -> Iterator[str]:
    """Of a file whose owner may be anybody, while root reads it: no links, pipes or devices, and not without end.
    Unreadable, OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(fd, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        state = os.fstat(fd)
        if not stat.S_ISREG(state.st_mode):
            raise Unreadable(f"{path} is no file")
        if state.st_size > MOST:
            raise Unreadable(f"{path} is larger than any list that a mail server keeps")
        while line := file.readline(MAX_LINE):
            if not line.endswith("\n") and len(line) == MAX_LINE:
                raise Unreadable(f"{path}: a line has more than {MAX_LINE:,} characters")
            yield line.removesuffix("\n")
