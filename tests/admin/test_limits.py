"""``mailstack limits``."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailstack.config.limits import LIMITS
from mailstack.server.strikes import STATE_FILE, Strikes
from tests.admin.office import Office


@pytest.fixture
def counted(office: Office) -> Path:
    """What a server has left."""
    path = office.folder / "data" / STATE_FILE
    path.parent.mkdir(parents=True)
    strikes = Strikes(1795530000.0).plus("errors", "192.0.2.7", 1795530461.0).plus("errors", "", 1795530462.0)
    path.write_bytes(strikes.plus("of-an-older-version", "192.0.2.7", 1.0).dump())
    return path


def test_before_the_first_start(office: Office) -> None:
    """The values can be seen all the same."""
    result = office.run("limits")
    assert result.exit_code == 0
    assert "message_size              25MiB" in result.stdout
    assert result.stdout.endswith("The server has not counted anything yet.\n")
    assert {each["since"] for each in office.json("limits")} == {None}


def test_what_has_struck(office: Office, counted: Path) -> None:
    lines = office.run("limits").stdout.splitlines()
    (errors,) = [line.split("  ") for line in lines if line.startswith("errors ")]
    assert [word.strip() for word in errors if word.strip()] == [
        "errors",
        "20 errors",
        "Postfix: 20.",
        "2",
        "2026-11-24T14:27:42Z",
        "local",
    ]
    assert lines[-1] == "Counted since 2026-11-24T14:20:00Z."
    assert len(lines) == 1 + len(LIMITS) + 1


def test_json(office: Office, counted: Path) -> None:
    found = {each["name"]: each for each in office.json("limits")}
    assert list(found) == [limit.name for limit in LIMITS]
    assert found["errors"] == {
        "name": "errors",
        "value": 20,
        "unit": "errors",
        "fixed": False,
        "anchor": "Postfix: 20.",
        "struck": 2,
        "since": "2026-11-24T14:20:00Z",
        "last_struck": "2026-11-24T14:27:42Z",
        "last_client": "local",
    }
    assert (found["recipients"]["struck"], found["recipients"]["last_struck"]) == (0, None)


def test_units_are_those_of_the_configuration(office: Office) -> None:
    """And what no option sets is marked."""
    here = {line.split()[0]: line.split("  ")[1:] for line in office.run("limits").stdout.splitlines()}
    shown = {name: next(word.strip() for word in words if word.strip()) for name, words in here.items() if words}
    assert (shown["command_timeout"], shown["header_size"], shown["greet_delay"]) == ("5m", "256KiB", "0s")
    assert (shown["received"], shown["free_space"]) == ("50 Received fields (fixed)", "38400KiB (fixed)")
    found = {each["name"]: each for each in office.json("limits")}
    assert found["free_space"]["fixed"]
    assert (found["message_size"]["value"], found["message_size"]["unit"]) == (26214400, "octets")
    assert {type(each["value"]) for each in found.values()} == {int}


def test_file_that_nobody_understands(office: Office, counted: Path) -> None:
    counted.write_text("nonsense")
    assert "not counted anything" in office.run("limits").stdout
