"""The aliases file, in the form of aliases(5): ``name: target, target``.

``name`` counts in every domain of ours, ``name@domain`` in one, ``@domain`` for what nobody else has. A target is an
address, a name of the first domain, or ``:include:path``. Programs and files are no targets here. What cannot be
understood is reported and left out; the rest works.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import frozen

from mailstack.accounts.lines import BrokenLine, text_of
from mailstack.accounts.quoting import Logical, logical_lines, split
from mailstack.model.address import Address
from mailstack.model.domain import to_ascii

INCLUDE = ":include:"
MAX_INCLUDE_DEPTH = 5  # include files in include files

#: What other systems take for a target, by its beginning, and why we do not.
NO_TARGETS = {
    "|": "programs are not run from here",
    '"|': "programs are not run from here",
    "/": "mail is put into mailboxes, not into files",
    "./": "mail is put into mailboxes, not into files",
    "~": "mail is put into mailboxes, not into files",
    ":": "only :include: is known",
    "\\": "leave out the backslash; an alias that names itself means the mailbox",
}


@frozen
class Alias:
    """``unsure``: not one target could be understood, or some could not be read. Nobody can tell where mail goes."""

    key: str  #: ``name``, ``name@domain`` or ``@domain``, lower case
    targets: tuple[Address, ...]
    unsure: bool
    path: Path
    line: int


@frozen
class Aliases:
    """What an aliases file says, with all that it includes (``files``)."""

    aliases: Mapping[str, Alias]
    broken: tuple[BrokenLine, ...] = ()
    files: tuple[Path, ...] = ()


def read(path: Path, domains: Sequence[str]) -> Aliases:
    """OSError when the file itself cannot be read; an included one makes its alias unsure."""
    return AliasReader(domains).read(path)


class AliasReader:
    """Reads one aliases file, once."""

    def __init__(self, domains: Sequence[str]) -> None:
        self._domains = domains
        self._aliases: dict[str, Alias] = {}
        self._broken: list[BrokenLine] = []
        self._files: list[Path] = []

    def read(self, path: Path) -> Aliases:
        for line in logical_lines(self._text(path)):
            try:
                self._entry(path, line)
            except ValueError as error:
                self._report(path, line, str(error))
        return Aliases(self._aliases, tuple(self._broken), tuple(self._files))

    def _text(self, path: Path) -> str:
        self._files.append(path)  # before it is opened: it may appear later
        return text_of(path)

    def _entry(self, path: Path, line: Logical) -> None:
        name, *rest = split(line.text, ":", most=1)
        if not rest:
            raise ValueError(f"{line.text!r} has no colon: write name: target, target")
        key = self._key(name)
        if key in self._aliases:
            raise ValueError(f"{key} stands in line {self._aliases[key].line} already")
        targets: list[Address] = []
        complete = self._add(path, Logical(line.number, rest[0]), targets)
        self._aliases[key] = Alias(key, tuple(dict.fromkeys(targets)), not (targets and complete), path, line.number)
        if not targets and complete:
            raise ValueError(f"{key} has no target that counts")

    def _key(self, name: str) -> str:
        if name.startswith("@"):
            domain = to_ascii(name[1:])
            key = f"@{domain}"
        else:
            address = self._address(name)
            domain, key = address.domain, address.key if "@" in name else address.canonical.local
        if domain not in self._domains:
            raise ValueError(f"{name}: {domain} is not in [server] domains")
        return key

    def _add(self, path: Path, line: Logical, targets: list[Address], depth: int = 0) -> bool:
        """Append what a list of targets names. False when something in it could not be read."""
        complete = True
        try:
            for word in split(line.text, ","):
                complete &= self._add_one(path, line, word, targets, depth)
        except ValueError as error:
            self._report(path, line, str(error))
        return complete

    def _add_one(self, path: Path, line: Logical, word: str, targets: list[Address], depth: int) -> bool:
        try:
            if word.lower().startswith(INCLUDE):
                return self._include(path.parent / word[len(INCLUDE) :].strip(' "'), targets, depth)
            if word:
                targets.append(self._target(word))
        except OSError as error:
            self._report(path, line, f"{word!r} cannot be read: {error.strerror}")
            return False
        except ValueError as error:
            self._report(path, line, str(error))
        return True

    def _include(self, path: Path, targets: list[Address], depth: int) -> bool:
        if depth == MAX_INCLUDE_DEPTH:
            raise ValueError(f"{path} is included too deeply, maybe by itself")
        complete = True
        for line in logical_lines(self._text(path)):
            complete &= self._add(path, line, targets, depth + 1)
        return complete

    def _target(self, word: str) -> Address:
        for start, wrong in NO_TARGETS.items():
            if word.startswith(start):
                raise ValueError(f"{word!r}: {wrong}")
        address = self._address(word)
        return address.canonical if address.domain in self._domains else address

    def _address(self, word: str) -> Address:
        """A bare name belongs to the first domain."""
        if not word.isprintable():
            hidden = next(char for char in word if not char.isprintable())
            raise ValueError(f"{word!r} has {hidden!r}, which no address has")
        whole = word if "@" in word.rpartition('"')[2] else f"{word}@{self._domains[0]}"
        try:
            return Address.parse(whole)
        except ValueError as error:
            if " " not in word:
                raise
            fix = "write commas between targets, and comments on lines of their own"
            raise ValueError(f"{word!r} is not one address; {fix}") from error

    def _report(self, path: Path, line: Logical, wrong: str) -> None:
        self._broken.append(BrokenLine(path, line.number, wrong))
