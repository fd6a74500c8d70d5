"""Letters that have just come, in memory: nearly all leave at once, and need not be read from the disk for that."""

from __future__ import annotations

from collections.abc import Iterable

LARGEST = 64 * 1024  #: octets of a letter that is kept
MOST = 4 * 1024 * 1024  #: octets in all; beyond that the oldest are forgotten


class Recent:
    """Contents by queue id."""

    def __init__(self) -> None:
        self._contents: dict[str, bytes] = {}
        self._size = 0

    def keep(self, id: str, content: bytes) -> None:
        if len(content) > LARGEST:
            return
        self._contents[id] = content
        self._size += len(content)
        while self._size > MOST:
            self.forget([next(iter(self._contents))])

    def forget(self, ids: Iterable[str]) -> None:
        for id in ids:
            self._size -= len(self._contents.pop(id, b""))

    def get(self, id: str) -> bytes | None:
        return self._contents.get(id)
