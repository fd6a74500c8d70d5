"""What can be wrong with mail.ini, said so that somebody can put it right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from attrs import frozen


@frozen
class Problem:
    """One thing that is wrong, where, and what to write instead."""

    source: Path
    line: int  #: 0: the file as a whole
    place: str  #: ``[section] key``, ``[section]`` or ""
    wrong: str
    fix: str

    def __str__(self) -> str:
        where = f"{self.source}:{self.line}" if self.line else str(self.source)
        place = f" {self.place}:" if self.place else ""
        return f"{where}:{place} {self.wrong}; {self.fix}"


class ConfigurationError(Exception):
    """The configuration cannot be used. ``problems`` are all there are, in the order of the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class BadValue(ValueError):
    """A value that does not mean anything, and what would."""

    def __init__(self, wrong: str, fix: str) -> None:
        super().__init__(f"{wrong}; {fix}")
        self.wrong = wrong
        self.fix = fix
