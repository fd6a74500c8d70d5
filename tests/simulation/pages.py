"""Versions of a file, page by page."""

from __future__ import annotations

PAGE = 4096


def changed(old: bytes, new: bytes) -> list[int]:
    """Where pages of the new version begin that differ."""
    return [start for start in range(0, len(new), PAGE) if old[start : start + PAGE] != new[start : start + PAGE]]


def with_page(content: bytes, other: bytes, start: int) -> bytes:
    """With one page of another version; what was never written in between is zero."""
    page = other[start : start + PAGE]
    if len(content) < start:
        content += bytes(start - len(content))
    return content[:start] + page + content[start + len(page) :]
