"""What happens, in one digest: two runs of a seed are equal when theirs are."""

from __future__ import annotations

from hashlib import sha256


class Trace:
    """``lines`` are kept for who wants to read them."""

    def __init__(self, keep: bool = False) -> None:
        self.lines: list[str] | None = [] if keep else None
        self._digest = sha256()

    def add(self, now: float, who: str, what: str) -> None:
        line = f"{now:.6f} {who}: {what}\n"
        self._digest.update(line.encode("utf-8", "backslashreplace"))
        if self.lines is not None:
            self.lines.append(line)

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()[:16]
