"""Figures become a table and plots that can be read."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import figures
import plots
import pytest
import report
import resvg_py
from figures import BY_KEY, GOALS, Row, Series

RUN = {"date": "2026-11-26 12:00 UTC", "commit": "abc1234", "sync": "auto", "load": "0.1"}
LENGTHS = (1, 10, 100, 1000, 10_000, 100_000, 1_000_000)


def kept() -> dict[str, Any]:
    """Figures for everything, from the very bad to the very good."""
    made: dict[str, Any] = {"machine": {"processor": "2"}, "rows": {}, "series": {}}
    for number, goal in enumerate(GOALS):
        figures.add(made, Row(goal.key, [0.4 * 1.5**number, 99.0], [1.0, 1000.0]), RUN)
    ways = [f"{way}, {server}" for way in ("inbound", "relay") for server in ("mailstack", "postfix")]
    figures.add(made, Series("sessions", {way: [(1, 800.0), (20, 4321.0), (500, 0.0)] for way in ways}), RUN)
    queue = {name: [(n, n / 7 + 0.01) for n in LENGTHS] for name in report.QUEUE_LINES}
    figures.add(made, Series("queue", queue), RUN)
    mailbox = ("delivery, mailstack", "delivery, postfix", *(f"{x}check, {y}" for x in ("", "first ") for y in SERVERS))
    figures.add(made, Series("mailbox", {name: [(n, n / 7 + 0.01) for n in LENGTHS] for name in mailbox}), RUN)
    return made


SERVERS = ("mailstack", "dovecot")
DRAWN = dict(report.plots(kept()))


def test_the_document_shows_the_figures_that_are_kept() -> None:
    """``bench/report.py`` was run after the last measurement."""
    found = figures.read(report.FOLDER / "figures.json")
    assert found["rows"], "nothing was measured"
    text = report.DOCUMENT.read_text("utf-8")
    assert report.fill(text, found) == text
    for name, drawn in report.plots(found):
        assert (report.FOLDER / name).read_text("utf-8") == drawn, name
        assert f"performance/{name}" in text


def test_every_workload_has_a_row() -> None:
    text = report.fill(report.DOCUMENT.read_text("utf-8"), kept())
    assert [goal.title for goal in GOALS if f"| {goal.title} |" not in text] == []


def test_figures_of_a_busy_machine_say_so() -> None:
    found = kept()
    assert "busy" not in report._conditions(found)
    found["rows"]["relay-20"]["run"] = {**RUN, "load": "3.0"}
    assert report._conditions(found).count("The machine was busy") == 1


@pytest.mark.parametrize(
    ("key", "ours", "theirs", "met"),
    [
        ("inbound-20", [500.0, 700.0, 900.0], [100.0, 300.0, 400.0], "no"),  # 5, 2.33, 2.25
        ("inbound-20", [250.0], [100.0], "floor"),
        ("inbound-20", [400.0], [100.0], "aim"),
        ("latency-p50", [1.5], [1.0], "floor"),
        ("latency-p50", [1.6], [1.0], "no"),
        ("latency-p50", [1.0], [1.0], "aim"),
        ("memory-idle", [81.0], [10.0], "no"),
        ("memory-idle", [60.0], [10.0], "floor"),
        ("startup-queued", [0.5], [], "aim"),
        ("pop3-cpu-100", [1.0], [2.0], ""),
    ],
)
def test_what_is_met(key: str, ours: list[float], theirs: list[float], met: str) -> None:
    assert figures.verdict(BY_KEY[key], Row(key, ours, theirs)) == met


def test_the_ratio_is_of_neighbours() -> None:
    """The machine gets slower, and the ratio does not."""
    assert Row("inbound-20", [400.0, 200.0, 100.0], [100.0, 50.0, 25.0]).ratio == 4.0
    assert Row("memory-idle", [400.0], [100.0]).ratio is None, "what counts there is ours"


def test_a_run_of_some_workloads_leaves_the_others(tmp_path: Path) -> None:
    path = tmp_path / "docs/figures.json"
    figures.write(path, kept())
    found = figures.read(path)
    figures.add(found, Row("inbound-20", [1.0, 2.0], [1.0, 1.0]), {**RUN, "date": "later"})
    figures.write(path, found)
    again = figures.read(path)
    assert again["rows"]["inbound-20"]["run"]["date"] == "later"
    assert again["rows"]["inbound-20"]["ours"] == [1.0, 2.0]
    assert again["rows"]["relay-20"] == kept()["rows"]["relay-20"] and again["series"] == kept()["series"]
    assert json.loads(path.read_text()) == again


# ---- Plots

WIDE, HIGH = 0.62, 0.8  # of the size of the letters: about what one of DejaVu takes


def texts(svg: str) -> Iterator[tuple[str, float, float, float, float]]:
    """Each text, and about the room that it takes."""
    for each in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"):
        size, words = float(each.get("font-size", "13")), each.text or ""
        x, y, width = float(each.get("x", "0")), float(each.get("y", "0")), WIDE * size * len(words)
        left = x - {"start": 0.0, "middle": 0.5, "end": 1.0}[each.get("text-anchor", "start")] * width
        yield words, left, y - HIGH * size, left + width, y


@pytest.mark.parametrize("name", DRAWN)
def test_no_text_lies_on_another_or_leaves_the_picture(name: str) -> None:
    all_texts = list(texts(DRAWN[name]))
    height = float(re.findall(r'height="(\d+)"', DRAWN[name])[0])
    assert len(all_texts) > 20
    for (a, ax, ay, ax2, ay2), (b, bx, by, bx2, by2) in combinations(all_texts, 2):
        assert ax2 < bx or bx2 < ax or ay2 < by or by2 < ay, f"{a!r} and {b!r}"
    for words, x, y, x2, y2 in all_texts:
        assert x >= 0 and x2 <= plots.WIDTH and y >= 0 and y2 <= height, words


@pytest.mark.parametrize("name", DRAWN)
def test_the_plots_are_pictures(name: str) -> None:
    assert bytes(resvg_py.svg_to_bytes(svg_string=DRAWN[name]))[1:4] == b"PNG"


def test_all_points_are_inside_of_their_axes() -> None:
    for drawn in DRAWN.values():
        for points in re.findall(r'<polyline points="([^"]+)"', drawn):
            for x, y in (map(float, point.split(",")) for point in points.split()):
                assert 0 < x < plots.WIDTH and y > 56


def test_ticks_hold_what_they_are_for() -> None:
    assert plots._even(0.65) == [0, 0.2, 0.4, 0.6, 0.8]
    assert plots._even(1000) == [0, 200, 400, 600, 800, 1000]
    assert plots._even(0) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert plots._decades([0.02, 700, 0]) == [0.01, 0.1, 1, 10, 100, 1000]
    assert plots._decades([10]) == [10, 100]
    assert [plots.short(value) for value in (0, 0.5, 999, 1000, 2500, 1e6)] == ["0", "0.5", "999", "1k", "2.5k", "1M"]
