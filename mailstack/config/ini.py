"""The lines of an INI file, with their numbers, and everything that is wrong with its form.

configparser stops at the first duplicate and knows no line numbers, so mail.ini is read here: ``[section]``,
``key = value``, indented lines that go on with the value, ``#`` and ``;`` comments on lines of their own.
"""

from __future__ import annotations

import re
from pathlib import Path

from attrs import evolve, field, frozen

from mailstack.config.problem import Problem

_SECTION = re.compile(r"\[([^\[\]]*)\]\s*\Z")
#: Two characters that nobody wants in a value here, so the user is told rather than surprised.
_INLINE_COMMENT = re.compile(r"(?:^|\s)[#;]")


@frozen
class Entry:
    """One option as written; lines of the value are separated by ``\\n``."""

    section: str
    key: str
    value: str
    line: int

    @property
    def place(self) -> str:
        return f"[{self.section}] {self.key}"


@frozen
class Document:
    sections: dict[str, int] = field(factory=dict)  #: name → line
    entries: dict[tuple[str, str], Entry] = field(factory=dict)
    problems: list[Problem] = field(factory=list)


class Scanner:
    """Fed line by line; what it has seen is in ``document``."""

    def __init__(self, source: Path) -> None:
        self.document = Document()
        self._source = source
        self._section: str | None = None
        self._open: tuple[str, str] | None = None  # the entry that an indented line goes on with
        self._swallow = False

    def line(self, number: int, raw: str) -> None:
        text = raw.strip()
        if not text or text[0] in "#;":
            return
        if raw[0].isspace():
            self._more(number, text)
        elif text.startswith("["):
            self._heading(number, text)
        else:
            self._option(number, text)

    def _heading(self, number: int, text: str) -> None:
        self._open = None
        self._swallow = False
        found = _SECTION.match(text)
        if found is None:
            self._problem(number, "", f"{text!r} is not a section", "write [name] and nothing else on the line")
            return
        name = self._section = found[1].strip()
        first = self.document.sections.setdefault(name, number)
        if first != number:
            self._problem(number, f"[{name}]", f"this section began in line {first} already", "put both together")

    def _option(self, number: int, text: str) -> None:
        self._open = None
        self._swallow = True  # the rest of an option that is wrong already
        key, equals, value = (part.strip() for part in text.partition("="))
        key = key.lower()
        if not equals or not key:
            self._problem(number, "", f"{text!r} is no option", "write key = value, or # before a comment")
            return
        if self._section is None:
            self._problem(number, key, "it stands before the first section", "write [server] or another one above it")
            return
        place = f"[{self._section}] {key}"
        entry = Entry(self._section, key, self._without_comment(number, place, value), number)
        first = self.document.entries.setdefault((entry.section, key), entry)
        if first is not entry:
            self._problem(number, place, f"it was set in line {first.line} already", "keep one of the two")
            return
        self._open = (entry.section, key)

    def _more(self, number: int, text: str) -> None:
        if self._open is not None:
            entry = self.document.entries[self._open]
            text = self._without_comment(number, entry.place, text)
            value = f"{entry.value}\n{text}" if entry.value else text
            self.document.entries[self._open] = evolve(entry, value=value)
        elif not self._swallow:
            self._problem(number, "", f"{text!r} is indented but goes on with nothing", "begin it in the first column")

    def _without_comment(self, number: int, place: str, value: str) -> str:
        comment = _INLINE_COMMENT.search(value)
        if comment is None:
            return value
        self._problem(
            number,
            place,
            f"{value[comment.start() :].strip()!r} stands behind a value",
            "give the comment a line of its own",
        )
        return value[: comment.start()]

    def _problem(self, number: int, place: str, wrong: str, fix: str) -> None:
        self.document.problems.append(Problem(self._source, number, place, wrong, fix))


def scan(text: str, source: Path) -> Document:
    scanner = Scanner(source)
    for number, line in enumerate(text.split("\n"), 1):
        scanner.line(number, line)
    return scanner.document
