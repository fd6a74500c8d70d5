"""What a command or a reply of SMTP means, for people: a sentence in their language, and where it is written.

The sentences are data, in the folder ``meaning``: whoever may read files gives their tables to :class:`Dictionary`.
What a reply means for the sender of a letter that came back, :mod:`.advice` tells from the same tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from attrs import field, frozen

#: The languages that every meaning has.
LANGUAGES = ("en", "zh")

#: The files of the folder ``meaning``.
TABLES = ("commands", "keywords", "status", "words", "acts", "phrases")

#: What is no command has names of its own among the commands.
GREETING, MESSAGE, RESPONSE, UNKNOWN, HIDDEN, LONG, ANY = (
    "greeting", "message", "response", "unknown", "hidden", "long", "any",
)  # fmt: skip

#: A colon, a full stop, what is between two sentences, and brackets around an aside.
_PUNCTUATION = {"en": (": ", ".", " ", " ({})"), "zh": ("：", "。", "", "（{}）")}  # noqa: RUF001 - they are Chinese

_NUMBER = re.compile(r"[0-9][0-9,]*")

Table = Mapping[str, Any]  # Any: as TOML has it


@frozen
class Meaning:
    """``text`` is one line; ``source`` the sections of RFCs."""

    text: str
    source: str


@frozen
class Dictionary:
    """One language of the tables, each of which is a whole file."""

    commands: Table
    keywords: Table
    status: Table
    words: Table
    acts: Table
    phrases: Table
    language: str = field(default="en")

    @language.validator
    def _known(self, attribute: object, value: str) -> None:
        if value not in LANGUAGES:
            raise ValueError(f"no such language: {value}")

    def verb(self, line: str) -> str:
        """The command, as the tables name it."""
        word = line.partition(" ")[0].upper()
        return word if word in self.commands and word.isupper() else UNKNOWN

    def command(self, verb: str, line: str = "") -> Meaning:
        """What the client says with a whole line: the command, and the words of its argument that have a meaning."""
        entry = self.commands[verb]
        words = (word.partition("=")[0].upper() for word in line.split(" ")[1:])
        return self._joined([entry, *(entry[word] for word in words if word in entry and not word.isdigit())])

    def reply(self, verb: str, code: int, status: str = "") -> Meaning:
        """What the server answers to it; ``status`` is the enhanced code, "" where there is none."""
        both, entry = f"{code} {status}", self.commands[verb]
        for table in (entry, self.commands[ANY]):
            if both in table:
                return self._joined([table[both]])
        general = self.commands[ANY]
        found = entry.get(str(code)) or general.get(str(code)) or general[str(code)[0]]
        return self._joined([found, *self._detail(status)])

    def _detail(self, status: str) -> Iterator[Table]:
        """Of a success, "other" is nothing to talk about."""
        kind, _, rest = status.partition(".")
        found = self.status.get(rest)
        if found is not None and not (kind == "2" and rest.endswith(".0")):
            colon, stop, *_ = _PUNCTUATION[self.language]
            yield {**found, self.language: f"{status}{colon}{found[self.language]}{stop}"}

    def keyword(self, line: str) -> Meaning | None:
        """What a line of EHLO's reply offers."""
        entry = self.keywords.get(line.partition(" ")[0].upper())
        return None if entry is None else self._joined([entry])

    # ---- What stands around the dialogue

    def label(self, name: str) -> str:
        return f"{self.word('labels', name)}{_PUNCTUATION[self.language][0].strip()}"

    @property
    def colon(self) -> str:
        """With the space that is behind it in this language."""
        return _PUNCTUATION[self.language][0]

    @property
    def gap(self) -> str:
        """Between two sentences."""
        return _PUNCTUATION[self.language][2]

    def aside(self, text: str) -> str:
        """In brackets, behind a word."""
        return _PUNCTUATION[self.language][3].replace("{}", text)

    def value(self, text: str) -> str:
        """How a session ended, and other facts; what is no word stays as it is."""
        return self.word("values", text)

    def note(self, text: str) -> str:
        """What is said about a line in the place of it."""
        number = _NUMBER.search(text)
        if number is None:
            return self.word("notes", text)
        pattern = _NUMBER.sub("{}", text, count=1)
        found = self.word("notes", pattern)
        return text if found == pattern else found.replace("{}", number[0])

    def word(self, kind: str, text: str) -> str:
        """One of ``words.toml``; what is none stays as it is."""
        entry = self.words[kind].get(text)
        return text if entry is None else str(entry[self.language])

    def _joined(self, entries: list[Table]) -> Meaning:
        sources = dict.fromkeys(entry["rfc"] for entry in entries)
        return Meaning(self.gap.join(entry[self.language] for entry in entries), ", ".join(sources))
