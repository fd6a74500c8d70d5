"""What is wrong in a file of accounts or aliases."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen


@frozen
class BrokenLine:
    path: Path
    number: int
    wrong: str

    def __str__(self) -> str:
        return f"{self.path}:{self.number}: {self.wrong}"
