"""``mailstack queue simulate``: the server's own code, in a moment."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from tests.admin.office import Office

MINUTE, HOUR, DAY = 60, 3600, 86400


def simulate(office: Office, *options: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = office.json("queue", "simulate", "--seed", "1", *options)
    return found


def ages(steps: list[dict[str, Any]], event: str) -> list[int]:
    return [step["age"] for step in steps if step["event"] == event]


def configure(office: Office, text: str) -> None:
    with office.ini.open("a") as ini:
        ini.write(text)


def test_a_destination_that_never_answers(office: Office) -> None:
    """Every pause is within a tenth of [queue] retry; the last try is at the end of the lifetime."""
    steps = simulate(office)
    tries = ages(steps, "try")
    pauses = [later - sooner for sooner, later in pairwise(tries)]
    planned = [MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR] + [4 * HOUR] * (len(pauses) - 7)
    for pause, step in zip(pauses, planned, strict=False):
        assert 0.9 * step - 1 <= pause <= 1.1 * step + 1
    assert tries[0] == 0 and tries[-1] == 5 * DAY
    warnings = ages(steps, "warning")
    assert warnings == [next(age for age in tries if age >= due) for due in (15 * MINUTE, 4 * HOUR, DAY)]
    assert steps[-1]["event"] == "return" and steps[-1]["age"] == 5 * DAY
    assert steps[0]["time"] == "2026-11-24T15:27:41Z"


def test_a_destination_that_is_down_for_a_while(office: Office) -> None:
    steps = simulate(office, "--down", "3h")
    assert steps[-1]["event"] == "delivered"
    assert 3 * HOUR <= steps[-1]["age"] <= 3 * HOUR + 2 * HOUR * 1.1
    assert all(age < 3 * HOUR for age in ages(steps, "try"))
    assert ages(steps, "return") == []


def test_a_report_has_less_time_and_tells_nobody(office: Office) -> None:
    steps = simulate(office, "--sender", "<>")
    assert max(ages(steps, "try")) == DAY
    assert ages(steps, "warning") == ages(steps, "return") == []
    assert steps[-1]["text"] == "a bounce that cannot be delivered is dropped"


def test_options_of_mail_ini(office: Office) -> None:
    configure(office, "[queue]\nretry = 10m\nlifetime = 1h\ndelay_warning = 5m\n")
    steps = simulate(office)
    assert 6 <= len(ages(steps, "try")) <= 8
    assert len(ages(steps, "warning")) == 1 and ages(steps, "return") == [HOUR]


def test_a_local_mailbox_that_does_not_work(office: Office) -> None:
    assert "by local" in office.run("queue", "simulate", "--recipient", "alice@office.test").stdout


def test_mail_that_waits_until_it_is_fetched(office: Office) -> None:
    fetched = "[relay]\ndomains = fetch.test\nfetch = fetch.test:alice@office.test\n[routes]\nfetch.test = fetch\n"
    configure(office, f"[queue]\nlifetime = 1d\n{fetched}")
    steps = simulate(office, "--recipient", "fetch.test")
    assert ages(steps, "warning") == [], "which is no delay"
    assert ages(steps, "return") == [DAY]


def test_the_seed_repeats_it(office: Office) -> None:
    first, second, other = (office.run("queue", "simulate", "--seed", seed).stdout for seed in ("7", "7", "8"))
    assert first == second != other


def test_for_people(office: Office) -> None:
    lines = office.run("queue", "simulate", "--down", "2m", "--recipient", "bob@far.test", "--seed", "1").stdout
    first, head, *steps = lines.splitlines()
    assert first == "From <postmaster@office.test> to <bob@far.test>, by mx:far.test, which does not answer for 2 min."
    assert head.split() == ["WHEN", "AGE", "EVENT"]
    assert "  try 1  451 4.4.1 No answer" in steps[0] and "  0 s " in steps[0]
    assert "  try 3  250 2.0.0 Ok" in steps[-1]


@pytest.mark.parametrize("options", [["--down", "soon"], ["--seed", "x"]])
def test_wrong_usage(office: Office, options: list[str]) -> None:
    assert office.run("queue", "simulate", *options).exit_code == 64


@pytest.mark.parametrize("recipient", ["", "a b", "x@@y"])
def test_no_address(office: Office, recipient: str) -> None:
    assert office.run("queue", "simulate", "--recipient", recipient).exit_code == 1
