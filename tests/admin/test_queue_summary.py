"""``mailstack queue summary``, as a table, as JSON and as a picture."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mailstack.admin.age_plot import nice_step, svg
from mailstack.admin.queue_summary import label, steps
from tests.admin.office import NOW, Office

SVG = "{http://www.w3.org/2000/svg}"
MINUTE, DAY = 60.0, 86400.0


@pytest.fixture(autouse=True)
def _letters(office: Office) -> None:
    office.queue.add("L1", "a@x.test", "b@y.test", sender="alice@office.test", arrived=NOW - 2 * DAY)
    office.queue.add("L2", "a@x.test", sender="", arrived=NOW - 60)
    office.queue.add("L3", "a@x.test", sender="bob@office.test", arrived=NOW - 6 * DAY)


def test_steps_end_with_the_lifetime() -> None:
    assert [label(step) for step in steps(5 * DAY)] == [
        "5m",
        "10m",
        "20m",
        "40m",
        "80m",
        "3h",
        "6h",
        "12h",
        "1d",
        "2d",
        "4d",
        "5d",
    ]
    assert [label(step) for step in steps(30 * MINUTE)] == ["5m", "10m", "20m", "30m"]
    assert [label(step) for step in steps(90)] == ["90s"]


def test_table(office: Office) -> None:
    assert office.run("queue", "summary").stdout.splitlines() == [
        "DESTINATION T 5m 10m 20m 40m 80m 3h 6h 12h 1d 2d 4d 5d 5d+",
        "TOTAL       3  1   .   .   .   .  .  .   .  .  1  .  .   1",
        "x.test      3  1   .   .   .   .  .  .   .  .  1  .  .   1",
        "y.test      1  .   .   .   .   .  .  .   .  .  1  .  .   .",
    ]


def test_by_sender_and_by_domain(office: Office) -> None:
    lines = office.run("queue", "summary", "--by", "sender").stdout.splitlines()
    assert [line.split()[:2] for line in lines[2:]] == [
        ["<>", "1"],
        ["alice@office.test", "1"],
        ["bob@office.test", "1"],
    ]
    assert office.json("queue", "summary", "--by", "domain")[1]["domain"] == "x.test"


def test_states(office: Office) -> None:
    office.queue.defer("L2")
    assert office.json("queue", "summary", "--state", "deferred")[0]["letters"] == 1
    assert office.json("queue", "summary", "--state", "hold") == []
    assert office.run("queue", "summary", "--state", "hold").stdout == "Nothing waits.\n"


def test_json(office: Office) -> None:
    total, first, second = office.json("queue", "summary")
    assert (total["destination"], total["letters"]) == ("TOTAL", 3)
    assert first["ages"] == total["ages"] and first["ages"]["5m"] == 1 and first["ages"]["5d+"] == 1
    assert (second["destination"], second["letters"], second["ages"]["2d"]) == ("y.test", 1, 1)


def test_many_rows_are_summed_up(office: Office) -> None:
    office.queue.add("L4", *(f"a@d{number}.test" for number in range(60)), arrived=NOW)
    lines = office.run("queue", "summary").stdout.splitlines()
    assert len(lines) == 53 and lines[-1] == "and 12 more; all: --json"
    assert len(office.json("queue", "summary")) == 63


def test_plot(office: Office, tmp_path: Path) -> None:
    path = tmp_path / "queue.svg"
    assert office.run("queue", "summary", "--plot", str(path)).exit_code == 0
    texts = [each.text for each in ElementTree.parse(path).iter(f"{SVG}text")]
    for expected in (
        "Letters in the queue, by destination and age",
        "Letters",
        "Destination",
        "Age, up to",
        "x.test",
        "3",
    ):
        assert expected in texts
    titles = [each.text for each in ElementTree.parse(path).iter(f"{SVG}title")]
    assert "x.test, 5d+: 1" in titles


def test_plot_as_png(office: Office, tmp_path: Path) -> None:
    pytest.importorskip("resvg_py")
    path = tmp_path / "queue.png"
    assert office.run("queue", "summary", "--plot", str(path)).exit_code == 0
    assert path.read_bytes().startswith(b"\x89PNG\r\n")


def test_png_without_its_library(office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    result = office.run("queue", "summary", "--plot", str(tmp_path / "queue.png"))
    assert result.exit_code == 1 and "pip install 'mailstack[plot]'" in result.stderr


def test_a_plot_of_another_kind_and_one_that_cannot_be_written(office: Office, tmp_path: Path) -> None:
    assert office.run("queue", "summary", "--plot", str(tmp_path / "queue.gif")).exit_code == 64
    result = office.run("queue", "summary", "--plot", str(tmp_path / "none/queue.svg"))
    assert result.exit_code == 1 and "No such file or directory" in result.stderr


@pytest.mark.parametrize("most", [0, 1, 5, 6, 7, 59, 60, 61, 99_999, 10**9])
def test_the_axis_has_a_few_round_steps(most: int) -> None:
    step = nice_step(most)
    assert most / 6 <= step < max(2, most)
    assert str(step).rstrip("0") in ("1", "2", "5")


def test_names_of_others_stay_names() -> None:
    picture = svg("t", "n", ["5m", "5m+"], [('</text>"&\x1b' + "x" * 99, (1, 2))], 1)
    (name,) = [each for each in ElementTree.fromstring(picture).iter(f"{SVG}text") if (each.text or "").startswith("…")]
    assert name.findtext(f"{SVG}title") == '</text>"&?' + "x" * 99


def test_an_empty_picture() -> None:
    texts = [each.text for each in ElementTree.fromstring(svg("t", "n", ["5m"], [], 0)).iter(f"{SVG}text")]
    assert "Nothing waits." in texts
