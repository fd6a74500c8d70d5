"""What a check has to say."""

from __future__ import annotations

from enum import Enum

from attrs import frozen


class Level(Enum):
    OK = "ok"
    WARNING = "warning"  #: works, but somebody should know
    PROBLEM = "problem"


@frozen
class Finding:
    level: Level
    text: str
