"""Lines that go on, and separators that do not count inside of quotes: the grammar of aliases(5)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import frozen


@frozen
class Logical:
    """A line with all that continues it, and where it begins."""

    number: int
    text: str


def logical_lines(text: str) -> Iterator[Logical]:
    """A line that begins with white space goes on with the one before; blank lines and ``#`` comments do not count."""
    current: Logical | None = None
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        if line[0].isspace() and current is not None:
            current = Logical(current.number, f"{current.text} {stripped}")
            continue
        if current is not None:
            yield current
        current = Logical(number, stripped)
    if current is not None:
        yield current


def split(text: str, separator: str, most: int = 0) -> list[str]:
    """The stripped parts between separators that stand outside of ``"quotes"``, after ``most`` cuts the rest as it is
    (0: all). ValueError when a quote is left open."""
    parts: list[str] = []
    start = 0
    for found in re.finditer(rf'"(?:\\.|[^"\\])*"|(?P<open>")|{re.escape(separator)}', text, re.DOTALL):
        if found["open"]:
            raise ValueError(f"{text!r} has a quote that does not end")
        if found[0] == separator:
            parts.append(text[start : found.start()].strip())
            start = found.end()
        if most and len(parts) == most:
            break
    return [*parts, text[start:].strip()]
