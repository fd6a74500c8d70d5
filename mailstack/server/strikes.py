"""How often each limit has struck, as numbers and as the file that ``mailstack limits`` reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from attrs import asdict, field, frozen

#: Below ``[server] data``.
STATE_FILE = Path("state/limits.json")


@frozen
class Strike:
    """One limit: how often, the last time (Unix time), and whom."""

    times: int = 0
    last: float = 0.0
    by: str = ""


@frozen
class Strikes:
    """All limits that have struck ``since`` (Unix time)."""

    since: float
    limits: Mapping[str, Strike] = field(factory=dict)

    def plus(self, limit: str, by: str, now: float) -> Strikes:
        strike = Strike(self.limits.get(limit, Strike()).times + 1, now, by)
        return Strikes(self.since, {**self.limits, limit: strike})

    def dump(self) -> bytes:
        return json.dumps(asdict(self)).encode()


def read(data: Path) -> Strikes | None:
    """What the server counted last; None when it never did, or when nobody can make sense of the file. OSError."""
    try:
        stored = json.loads((data / STATE_FILE).read_bytes())
        limits = {
            name: Strike(int(each["times"]), float(each["last"]), str(each["by"]))
            for name, each in stored["limits"].items()
        }
        return Strikes(float(stored["since"]), limits)
    except FileNotFoundError:
        return None
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
