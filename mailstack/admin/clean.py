"""Text from outside, for a terminal."""

from __future__ import annotations


def clean(text: str) -> str:
    """Text from a letter or another server, so that it cannot steer the terminal."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
