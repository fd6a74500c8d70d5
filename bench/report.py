"""Fills docs/performance.md, and draws its plots, from the figures that ``bench/run.py --json`` has kept.

.venv/bin/python bench/report.py [--json docs/performance/figures.json]
"""

from __future__ import annotations

import argparse
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from figures import HEADINGS, ROOT, cells, read, rows
from plots import Bar, Curve, Panel, panels, ratios

FOLDER = ROOT / "docs/performance"
DOCUMENT = ROOT / "docs/performance.md"
BUSY = 0.5  # of the load average
PART = "<!-- {name} -->\n.*?<!-- /{name} -->"


def fill(document: str, kept: Mapping[str, Any]) -> str:
    """The document with its parts made anew: what stands between ``<!-- NAME -->`` and ``<!-- /NAME -->``."""
    for name, made in (("conditions", _conditions(kept)), ("table", _table(kept)), ("queue", _queue(kept))):
        part = re.compile(PART.format(name=name), re.DOTALL)
        assert part.search(document), f"no place for {name}"
        text = f"<!-- {name} -->\n\n{made}\n\n<!-- /{name} -->"
        document = part.sub(lambda _, text=text: text, document)
    return document


def _conditions(kept: Mapping[str, Any]) -> str:
    machine = "; ".join(f"{what} {value}" for what, value in kept.get("machine", {}).items())
    runs = {tuple(sorted(each["run"].items())) for part in ("rows", "series") for each in kept[part].values()}
    return "\n".join([f"* Machine: {machine}.", *sorted(_run(dict(run)) for run in runs)])


def _run(run: Mapping[str, str]) -> str:
    load = float(run["load"])
    busy = ". **The machine was busy: these figures only show their form**" if load > BUSY else ""
    return (
        f"* Run of {run['date']}, commit {run['commit']}, `[spool] sync = {run['sync']}`; load average before it"
        f" {load:.1f}{busy}."
    )


def _table(kept: Mapping[str, Any]) -> str:
    notes = [f"* {goal.title}: {row.note}." for goal, row in rows(kept) if row.note]
    return "\n".join([markdown(HEADINGS, [cells(goal, row) for goal, row in rows(kept)]), "", *notes]).rstrip()


def markdown(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    made = ["| " + " | ".join(headings) + " |", "| " + " | ".join("---" for _ in headings) + " |"]
    return "\n".join([*made, *("| " + " | ".join(line) + " |" for line in lines)])


#: By line of the series: what it is, and its unit.
QUEUE_LINES = {
    "deliver": ("accept and deliver here, processor of a letter", "ms"),
    "relay": ("accept and relay, processor of a letter", "ms"),
    "look": ("a look at all, nothing due", "ms"),
    "look, all due": ("a look at all, everything due", "ms"),
    "start": ("start-up to the first 220", "s"),
    "memory": ("memory", "MB"),
}


def _queue(kept: Mapping[str, Any]) -> str:
    lines = kept["series"].get("queue", {}).get("lines", {})
    if not lines:
        return "Not measured yet."
    lengths = [f"{x:,.0f}" for x, _ in lines["start"]]
    made = [
        (f"{QUEUE_LINES[name][0]}, {QUEUE_LINES[name][1]}", *(f"{y:.3g}" for _, y in lines[name]))
        for name in QUEUE_LINES
    ]
    return markdown(("letters that wait", *lengths), made)


# ---- Plots


def plots(kept: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """File names and SVG; those that have figures."""
    if bars := list(_bars(kept)):
        yield "ratios.svg", ratios("Beside Postfix and Dovecot, the same work on the same disk", bars)
    series = kept["series"]
    if "sessions" in series:
        yield "sessions.svg", panels("Throughput by sessions at a time, kept open, 4 KiB", list(_sessions(series)))
    if "queue" in series:
        yield "queue.svg", panels("What the length of the queue costs", list(_queue_panels(series)))
    if "mailbox" in series:
        yield "mailbox.svg", panels("What the size of a mailbox costs", list(_mailbox_panels(series)))


def _bars(kept: Mapping[str, Any]) -> Iterator[Bar]:
    """Where less is better, the other way round: better is always more."""
    for goal, row in rows(kept):
        if goal.alone or goal.floor is None or goal.aim is None or not row.ratio:
            continue
        turned = (1 / value if goal.less else value for value in (row.ratio, goal.floor, goal.aim))
        yield Bar(goal.title, *turned)


def _curves(lines: Mapping[str, Any], names: Mapping[str, str]) -> list[Curve]:
    """``names``: by line of the series, what it is called in the plot."""
    return [Curve(title, [tuple(point) for point in lines[name]]) for name, title in names.items() if name in lines]


def _sessions(series: Mapping[str, Any]) -> Iterator[Panel]:
    lines = series["sessions"]["lines"]
    for way, title in (("inbound", "Into Maildirs"), ("relay", "Accept and relay")):
        names = {f"{way}, mailstack": "mailstack", f"{way}, postfix": "Postfix"}
        yield Panel(title, "sessions", "letters a second", _curves(lines, names))


def _queue_panels(series: Mapping[str, Any]) -> Iterator[Panel]:
    lines = series["queue"]["lines"]
    along = "letters that wait"
    for title, unit, log, names in (
        ("A fresh letter", "ms of the processor", False, {"deliver": "delivered here", "relay": "relayed"}),
        ("A look at all that waits", "ms", True, {"look, all due": "everything due", "look": "nothing due"}),
        ("Start-up to the first 220", "s", False, {"start": ""}),
        ("Memory", "MB", False, {"memory": ""}),
    ):
        yield Panel(title, along, unit, _curves(lines, names), log)


def _mailbox_panels(series: Mapping[str, Any]) -> Iterator[Panel]:
    lines = series["mailbox"]["lines"]
    delivery = {"delivery, mailstack": "mailstack", "delivery, postfix": "Postfix"}
    yield Panel("A letter into it", "letters in it", "ms of the processor", _curves(lines, delivery))
    check = {
        "check, mailstack": "mailstack",
        "check, dovecot": "Dovecot",
        "first check, mailstack": "mailstack, first session",
        "first check, dovecot": "Dovecot, first session",
    }
    yield Panel("A POP3 check", "letters in it", "ms of a session", _curves(lines, check), log=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", type=pathlib.Path, default=FOLDER / "figures.json")
    chosen = options.parse_args()
    kept = read(chosen.json)
    DOCUMENT.write_text(fill(DOCUMENT.read_text("utf-8"), kept), "utf-8")
    for name, drawn in plots(kept):
        (FOLDER / name).write_text(drawn, "utf-8")
    print(f"{DOCUMENT.relative_to(ROOT)} and its plots show {chosen.json}")


if __name__ == "__main__":
    main()
