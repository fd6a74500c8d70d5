"""What is measured, what must come of it, and the file that keeps it.

The file is JSON: ``machine``, ``rows`` (a figure for each workload) and ``series`` (curves). Whatever is measured anew
takes the place of what was there of the same key, and each part has the date and the commit of its run, so that the
long ones may be run apart.
"""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import platform
import re
import sqlite3
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from attrs import frozen

OURS = "mailstack"
TIMES = "\N{MULTIPLICATION SIGN}"
ROOT = pathlib.Path(__file__).parent.parent


@frozen
class Goal:
    """One row of the table. ``floor`` must be reached, ``aim`` is what we want; both are about the ratio of ours to the
    peer's, or about our figure alone where there is none to compare with."""

    key: str
    title: str
    unit: str
    floor: float | None = None
    aim: float | None = None
    peer: str = "postfix"
    less: bool = False  #: whether less is better
    alone: bool = False  #: our figure counts, not the ratio

    def met(self, value: float, limit: float | None) -> bool | None:
        if limit is None:
            return None
        return value <= limit if self.less else value >= limit


GOALS = (
    Goal("inbound-20", "inbound, 4 KiB, 20 sessions of one message", "msg/s", 2.5, 4),
    Goal("inbound-20-open", "inbound, 4 KiB, 20 sessions kept open", "msg/s", 3, 6),
    Goal("inbound-100", "inbound, 4 KiB, 100 sessions of one message", "msg/s", 3, 6),
    Goal("inbound-100-open", "inbound, 4 KiB, 100 sessions kept open", "msg/s", 3, 6),
    Goal("inbound-40k", "inbound, 40 KB, 20 sessions of one message", "msg/s", 2, 3),
    Goal("inbound-1m", "inbound, 1 MB, 20 sessions of one message", "msg/s", 1, 2),
    Goal("inbound-20-recipients", "inbound, 4 KiB, 20 local recipients a message", "msg/s", 4, 10),
    Goal("relay-20", "accept and relay, 20 sessions", "msg/s", 2, 3),
    Goal("relay-100", "accept and relay, 100 sessions", "msg/s", 2, 3),
    Goal("submission", "submission with TLS and AUTH, 20 sessions", "msg/s", 1, 2),
    Goal("latency-p50", "lone client, acknowledgement p50", "ms", 1.5, 1, less=True),
    Goal("latency-p99", "lone client, acknowledgement p99", "ms", 1.5, 1, less=True),
    Goal("pop3-check-100", "POP3 check, 100 messages", "/s", 1.5, 3, "dovecot"),
    Goal("pop3-check-10000", "POP3 check, 10,000 messages", "/s", 3, 10, "dovecot"),
    Goal("pop3-check-100000", "POP3 check, 100,000 messages", "/s", 3, 30, "dovecot"),
    Goal("pop3-fetch-100", "POP3 fetch of all 100 messages", "/s", 0.7, 1.5, "dovecot"),
    Goal("memory-idle", "memory: idle", "MB", 80, 40, less=True, alone=True),
    Goal("memory-connections", "memory: 10,000 idle SMTP connections", "MB", 150, 75, less=True, alone=True),
    Goal("memory-queued", "memory: 100,000 queued messages", "MB", 20, 10, less=True, alone=True),
    Goal("startup-queued", "start-up to the first 220, 100,000 queued", "s", 2, 0.5, less=True, alone=True),
    # Told, without a goal.
    Goal("ceiling-20", "beside the least that could do it: 20 sessions of one message", "msg/s", peer="ceiling"),
    Goal("ceiling-20-open", "beside the least that could do it: 20 sessions kept open", "msg/s", peer="ceiling"),
    Goal("ceiling-40k", "beside the least that could do it: 40 KB, 20 sessions", "msg/s", peer="ceiling"),
    Goal("least-20", "the least that could do it, beside Postfix: 20 sessions of one message", "msg/s"),
    Goal("least-20-open", "the least that could do it, beside Postfix: 20 sessions kept open", "msg/s"),
    Goal("least-40k", "the least that could do it, beside Postfix: 40 KB, 20 sessions", "msg/s"),
    Goal("memory-in-flight", "memory: a message of 20 MB that arrives", "MB", less=True, alone=True),
    Goal("memory-listed", "memory: a message of a mailbox of 100,000, listed", "octets", peer="dovecot", less=True),
    Goal("pop3-cpu-100", "POP3 check, 100 messages, processor", "ms", peer="dovecot", less=True),
    Goal("pop3-cpu-10000", "POP3 check, 10,000 messages, processor", "ms", peer="dovecot", less=True),
    Goal("pop3-cpu-100000", "POP3 check, 100,000 messages, processor", "ms", peer="dovecot", less=True),
    Goal("pop3-cpu-fetch-100", "POP3 fetch of all 100 messages, processor", "ms", peer="dovecot", less=True),
)
BY_KEY = {goal.key: goal for goal in GOALS}


@frozen
class Row:
    """The figures of all rounds. ``theirs`` may be empty. ``note``: what one must know to read them."""

    key: str
    ours: Sequence[float]
    theirs: Sequence[float] = ()
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """The median of those of neighbours, so a drift of the machine's speed cancels out."""
        if not all(self.theirs) or not self.theirs or BY_KEY[self.key].alone:
            return None
        return statistics.median(a / b for a, b in zip(self.ours, self.theirs, strict=True))

    @property
    def judged(self) -> float:
        """What the goals are about."""
        value = statistics.median(self.ours) if BY_KEY[self.key].alone else self.ratio
        assert value is not None, f"{self.key} has a goal, but no peer"
        return value

    def as_json(self) -> dict[str, Any]:
        medians = {OURS: statistics.median(self.ours)}
        if self.theirs:
            medians[BY_KEY[self.key].peer] = statistics.median(self.theirs)
        return {
            "ours": [_short(value) for value in self.ours],
            "theirs": [_short(value) for value in self.theirs],
            "medians": {name: _short(value) for name, value in medians.items()},
            "ratio": None if self.ratio is None else _short(self.ratio),
            "note": self.note,
        }


@frozen
class Series:
    """Curves: by line, pairs of x and y."""

    key: str
    lines: Mapping[str, Sequence[tuple[float, float]]]

    def as_json(self) -> dict[str, Any]:
        return {"lines": {name: [[x, _short(y)] for x, y in points] for name, points in self.lines.items()}}


def _short(value: float) -> float:
    """Four digits are more than is sure of it."""
    return float(f"{value:.4g}")


# ---- The file


def rows(kept: Mapping[str, Any]) -> Iterator[tuple[Goal, Row]]:
    """Those of the file, in the order of the table."""
    for goal in GOALS:
        found = kept.get("rows", {}).get(goal.key)
        if found:
            yield goal, Row(goal.key, found["ours"], found["theirs"], found["note"])


def read(path: pathlib.Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {"rows": {}, "series": {}}
    return found


def add(kept: dict[str, Any], found: Row | Series, run: Mapping[str, str]) -> None:
    part = kept["rows"] if isinstance(found, Row) else kept["series"]
    part[found.key] = {**found.as_json(), "run": dict(run)}


def write(path: pathlib.Path, kept: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(re.sub(r"\[\s+([^][{}]*?)\s+\]", _on_one_line, json.dumps(kept, indent=1)) + "\n", "utf-8")


def _on_one_line(found: re.Match[str]) -> str:
    """Lists of numbers."""
    return "[" + re.sub(r"\s+", " ", found[1]) + "]"


# ---- Under which conditions


def this_run(sync: str) -> dict[str, str]:
    commit = _says("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD") or "unknown"
    # The figures themselves are no change of what is measured.
    changed = _says("git", "-C", str(ROOT), "status", "--porcelain", "-uno", "--", ".", ":!docs")
    now = datetime.datetime.now(datetime.UTC)
    return {
        "date": f"{now:%Y-%m-%d %H:%M} UTC",
        "commit": f"{commit}{' with changes' if changed else ''}",
        "sync": sync,
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def machine() -> dict[str, str]:
    info = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.+)$", info, re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {
        "processor": f"{os.cpu_count()} {TIMES} {model[1] if model else platform.machine()}",
        "memory": f"{memory:.0f} GB",
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "Twisted": version("twisted"),
        "SQLite": sqlite3.sqlite_version,
        "Postfix": _says("postconf", "-h", "mail_version"),
        "Dovecot": _says("dovecot", "--version").split(" ")[0],
    }


def _says(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except OSError:
        return "none"


# ---- For people


HEADINGS = ("workload", "ours", "theirs", "ratio", "floor", "aim", "met?")


def cells(goal: Goal, row: Row) -> tuple[str, ...]:
    """One row of the table."""
    ours = f"{_digits(statistics.median(row.ours))} {goal.unit}"
    theirs = f"{_digits(statistics.median(row.theirs))} {goal.unit}" if row.theirs else ""
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    return goal.title, ours, theirs, ratio, _limit(goal, goal.floor), _limit(goal, goal.aim), verdict(goal, row)


def _limit(goal: Goal, limit: float | None) -> str:
    if limit is None:
        return ""
    return f"{'≤' if goal.less else '≥'} {limit:g}" + (f" {goal.unit}" if goal.alone else f" {TIMES}")


def verdict(goal: Goal, row: Row) -> str:
    if goal.floor is None:
        return ""
    if not goal.met(row.judged, goal.floor):
        return "no"
    return "aim" if goal.met(row.judged, goal.aim) else "floor"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def show(row: Row) -> None:
    """At once, as a line."""
    title, ours, theirs, ratio, floor, aim, met = cells(BY_KEY[row.key], row)
    print(f"{title:58} {ours:>14} {theirs:>14} {ratio:>6} {floor:>9} {aim:>9} {met}", flush=True)


def heading() -> None:
    title, ours, theirs, ratio, floor, aim, met = HEADINGS
    print(f"{title:58} {ours:>14} {theirs:>14} {ratio:>6} {floor:>9} {aim:>9} {met}", file=sys.stdout, flush=True)
