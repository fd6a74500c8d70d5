"""Text from outside, for people: one line of any script, bounded."""

from __future__ import annotations

import unicodedata

MORE = "…"


def one_line(text: str, limit: int) -> str:
    """White space of any kind becomes single spaces, controls and what nobody could read become ``?``; what only
    steers the layout (and could turn the line around) is left out. At most ``limit`` characters."""
    # Bounded first: what follows costs time for each character. Some may be left out, so not too tightly.
    words = "".join(map(_visible, text[: 8 * limit])).split()
    line = " ".join(words)
    return line if len(line) <= limit else line[: limit - 1] + MORE


def _visible(char: str) -> str:
    if char.isprintable():
        return char
    if char.isspace() or char in "\v\f\x1c\x1d\x1e\x1f\x85":
        return " "
    return "" if unicodedata.category(char) == "Cf" else "?"
