"""Paragraphs of any script, in lines that a terminal can show. Chinese has no spaces to break lines at, and each
character takes two columns."""

# ruff: noqa: RUF001 - Chinese punctuation

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

WIDTH = 76  #: columns; RFC 5322 §2.1.1 asks for at most 78

#: What must not begin a line, and what must not end one.
_CLOSING = "，。、：；！？）》」』】〉”’…"
_OPENING = "（《「『【〈“‘"
_WIDE = "\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff01-\uff60\uffe0-\uffe6"
#: A wide character, with the punctuation that clings to it; or a word of other scripts; or space.
_PIECE = re.compile(rf"[{_OPENING}]*[{_WIDE}](?:[{_CLOSING}])*|[^\s{_WIDE}]+|\s+")


def columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def filled(text: str, first: str = "", others: str = "") -> str:
    """One paragraph. ``first`` and ``others`` stand in front of its lines. A long word stays whole."""
    lines, line, width = [], first, columns(first)
    start = True
    for piece in _pieces(text):
        more = columns(piece)
        if not start and width + more > WIDTH:
            lines.append(line.rstrip())
            line, width, piece = others, columns(others), piece.lstrip()
            more, start = columns(piece), True
        if piece:
            line, width, start = line + piece, width + more, False
    return "\n".join([*lines, line.rstrip()])


def _pieces(text: str) -> Iterator[str]:
    """A space belongs to the word behind it, so that it goes where the line breaks."""
    gap = ""
    for piece in _PIECE.findall(text.strip()):
        if piece.isspace():
            gap = " "
        else:
            yield gap + piece
            gap = ""


def joined(lines: list[str]) -> str:
    """Lines of one paragraph as one: with a space, except between two Chinese characters."""
    text = ""
    for line in map(str.strip, lines):
        tight = text and line and columns(text[-1]) == 2 and columns(line[0]) == 2
        text += line if tight or not text else f" {line}"
    return text
