"""Flags of a letter, and keywords: small letters in a file's name, whose meaning stands in ``dovecot-keywords``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from attrs import frozen

from mailstack import durable
from mailstack.admin.import_uidls import Unreadable, read_lines

FILE = "dovecot-keywords"
STANDARD = "DFPRST"  # https://cr.yp.to/proto/maildir.html
MOST = 26  # a to z

_LINE = re.compile(r"(?P<number>[0-9]{1,2}) (?P<keyword>\S.*)")


@frozen
class Keywords:
    """``letters``: those of the source to ours."""

    letters: Mapping[str, str]

    @classmethod
    def between(cls, theirs: Mapping[str, str], target: Path, infos: Iterable[str]) -> Keywords:
        """``theirs`` is :func:`keywords_of` the source. Give those that are in use a letter of ours; durable before a
        name has it. OSError."""
        ours = keywords_of(target)
        used = {char for info in infos for char in info if char in theirs}
        by_name = {keyword: letter for letter, keyword in ours.items()}
        free = [letter for letter in map(_letter, range(MOST)) if letter not in ours]
        added = [theirs[letter] for letter in sorted(used) if theirs[letter] not in by_name][: len(free)]
        if added:
            by_name |= dict(zip(added, free, strict=False))
            lines = sorted((ord(letter) - ord("a"), keyword) for keyword, letter in by_name.items())
            text = "".join(f"{number} {keyword}\n" for number, keyword in lines)
            durable.replace(target / FILE, text.encode("utf-8", "surrogateescape"))
        return cls({letter: by_name[theirs[letter]] for letter in used if theirs[letter] in by_name})

    def flags(self, info: str) -> str:
        """Of ``2,FLAGS``, in the order that Maildir wants. A keyword without a name, or without a letter left, goes."""
        version, _, given = info.partition(",")
        if version != "2":
            return ""
        kept = {char for char in given if char in STANDARD}
        return "".join(sorted(kept | {self.letters[char] for char in given if char in self.letters}))


def keywords_of(maildir: Path) -> dict[str, str]:
    """Letter to keyword."""
    try:
        rows = list(filter(None, map(_LINE.fullmatch, read_lines(maildir / FILE))))
    except (FileNotFoundError, Unreadable):
        return {}
    return {_letter(int(row["number"])): row["keyword"] for row in rows if int(row["number"]) < MOST}


def _letter(number: int) -> str:
    return chr(ord("a") + number)
