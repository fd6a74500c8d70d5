"""``mailstack queue retry|hold|release|drop|bounce``."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mailstack.admin import queue_change
from mailstack.model.deed import VERBS
from tests.admin.office import NOW, Office, at_a_terminal

FINAL = ("drop", "bounce")


@pytest.fixture(autouse=True)
def _letters(office: Office) -> None:
    office.queue.add("L1", "a@x.test", "b@y.test", sender="alice@office.test", arrived=NOW - 7200)
    office.queue.add("L2", "a@x.test", sender="alice@office.test", arrived=NOW - 60)
    office.queue.add("L3", "a@z.test", sender="", arrived=NOW - 60)
    for id, numbers in (("L1", (0, 1)), ("L2", (0,)), ("L3", (0,))):
        office.queue.defer(id, *numbers, until=NOW + 600)


def states(office: Office) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for id, state in office.queue.rows("SELECT id, state FROM recipients ORDER BY id, number"):
        found.setdefault(id, []).append(state)
    return found


def run(office: Office, *args: str, input: str | None = None) -> str:
    result = office.run("queue", *args, input=input)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("verb", VERBS)
def test_it_needs_to_know_what(office: Office, verb: str) -> None:
    for words in ([], ["L1", "--all"], ["L1", "--sender", "alice"], ["--all", "--older", "1h"]):
        assert office.run("queue", verb, *words).exit_code == 64


@pytest.mark.parametrize("verb", VERBS)
def test_no_such_letter(office: Office, verb: str) -> None:
    result = office.run("queue", verb, "zz")
    assert (result.exit_code, result.stderr) == (1, "Error: there is no letter zz in the queue\n")
    assert result.stdout == "", "nothing of 0 letters"


def test_retry(office: Office) -> None:
    assert run(office, "retry", "L2") == "1 letter due now\n"
    assert office.queue.rows("SELECT id FROM recipients WHERE next_attempt = 0") == [("L2",)]
    assert run(office, "retry", "--all") == "3 letters (4 recipients) due now\n"


def test_server_gets_its_turn(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two transactions there is a pause, or mail that arrives would wait for all of them."""
    run(office, "hold", "--all")
    assert office.pauses == [], "one transaction is followed by none"
    monkeypatch.setattr(queue_change, "CHUNK", 1)
    run(office, "release", "--all")
    assert office.pauses == [queue_change.BREATH] * 2


def test_retry_of_all_leaves_to_their_senders_what_is_to_wait(office: Office) -> None:
    office.queue.add("L4", "a@x.test", arrived=NOW - 60, not_before=NOW + 60)
    assert run(office, "retry", "--all") == "3 letters (4 recipients) due now\n"
    assert run(office, "retry", "--recipient", "*") == "3 letters (4 recipients) due now\n"
    assert run(office, "retry", "L4") == "1 letter due now\n"


def test_it_does_what_it_can(office: Office) -> None:
    result = office.run("queue", "hold", "zz", "L2", "yy", "zz")
    assert result.exit_code == 1
    assert result.stdout == "1 letter on hold\n"
    assert result.stderr.count("zz") == 1 and "yy" in result.stderr


def test_hold_and_release(office: Office) -> None:
    assert run(office, "hold", "--sender", "alice") == "2 letters (3 recipients) on hold\n"
    assert states(office) == {"L1": ["hold", "hold"], "L2": ["hold"], "L3": ["deferred"]}
    assert office.run("queue", "retry", "L1").stderr == "Error: the letter L1 is on hold: release it first\n"
    assert office.run("queue", "hold", "L1").stderr == "Error: the letter L1 is on hold already\n"
    assert office.run("queue", "release", "L3").stderr == "Error: the letter L3 is not on hold\n"
    assert run(office, "release", "--all") == "2 letters (3 recipients) released\n"
    assert run(office, "release", "--all") == "No letter for that is in the queue.\n"
    assert run(office, "release", "--sender", "alice") == "No letter in the queue matches.\n"
    assert office.json("queue", "list")[0]["next_attempt"] == "2026-11-24T15:27:41Z"


def test_a_letter_without_its_file_cannot_be_released(office: Office) -> None:
    run(office, "hold", "L1", "L2")
    (office.folder / "data/spool/messages/L1").unlink()
    result = office.run("queue", "release", "L1", "L2")
    assert (result.exit_code, result.stdout) == (1, "1 letter released\n")
    assert "Warning: L1: its file is missing" in result.stderr


def test_what_a_power_loss_may_undo_is_told_once(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_change, "CHUNK", 1)
    monkeypatch.setattr("mailstack.spool.desk.beyond_doubt", lambda spool: False)
    result = office.run("queue", "hold", "--all")
    assert (result.exit_code, result.stdout) == (0, "3 letters (4 recipients) on hold\n")
    assert result.stderr.count("Warning") == 1 and "may be undone" in result.stderr


def test_drop_in_a_script_does_not_ask(office: Office) -> None:
    assert run(office, "drop", "L1", "L2") == "2 letters (3 recipients) removed\n"
    assert office.queue.files == {"L3"}


@pytest.mark.parametrize("verb", FINAL)
def test_what_cannot_be_undone_needs_yes_in_a_script_with_filters(office: Office, verb: str) -> None:
    before = states(office)
    result = office.run("queue", verb, "--sender", "alice")
    assert result.exit_code == 64 and "--yes" in result.stderr
    assert office.run("queue", verb, "--all").exit_code == 64
    assert states(office) == before
    run(office, verb, "--sender", "alice", "--yes")
    assert states(office) != before


@pytest.mark.parametrize("verb", ["retry", "hold", *FINAL])
def test_filters_ask_on_a_terminal(office: Office, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    at_a_terminal(monkeypatch)
    before = states(office)
    result = office.run("queue", verb, "--sender", "alice", input="n\n")
    assert result.exit_code == 1 and "2 letters (3 recipients)" in result.stdout
    assert states(office) == before
    assert office.run("queue", verb, "--sender", "alice", input="y\n").exit_code == 0
    assert office.run("queue", verb, "--all", "--yes").exit_code == 0


def test_with_ids_only_what_cannot_be_undone_asks_on_a_terminal(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_a_terminal(monkeypatch)
    for verb in ("retry", "hold", "release"):
        run(office, verb, "L1")
    for verb in FINAL:
        assert office.run("queue", verb, "L1", input="n\n").exit_code == 1
    assert set(states(office)) == {"L1", "L2", "L3"}
    assert "1 letter removed" in run(office, "drop", "L2", input="y\n")


def test_only_the_recipients_that_match(office: Office) -> None:
    assert run(office, "drop", "--yes", "--recipient", "@y.test") == "1 letter removed\n"
    assert states(office) == {"L1": ["deferred", "dropped"], "L2": ["deferred"], "L3": ["deferred"]}
    assert run(office, "hold", "--destination", "x.test") == "2 letters on hold\n"
    assert states(office)["L1"] == ["hold", "dropped"]


def test_dry_run(office: Office) -> None:
    before = states(office)
    for words in (["--sender", "alice"], ["L1", "L2"]):
        text = run(office, "drop", "--dry-run", *words)
        assert "L1 " in text and "L2 " in text and "L3 " not in text
        assert text.endswith("Not done: 2 letters (3 recipients) removed\n")
    assert states(office) == before


def test_bounce(office: Office) -> None:
    text = run(office, "bounce", "L2", "--reason", "the list\x1b is \n closed")
    assert text == "1 letter returned\nThe server writes the reports.\n"
    (recipient,) = office.json("queue", "show", "L2")["recipients"]
    assert recipient["state"] == "bounced"
    assert recipient["last_reply"] == "554 5.7.0 Returned by the administrator: the list is closed"


def test_a_report_goes_back_to_nobody(office: Office) -> None:
    assert "1 letter from the null sender dropped: there is nobody to tell." in run(office, "bounce", "L3")


def test_what_may_be_on_its_way_is_said(office: Office) -> None:
    office.now = NOW + 600
    assert "1 letter was due: if one is being sent at this moment" in run(office, "hold", "L2")


def test_many_letters_go_in_pieces(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_change, "CHUNK", 2)
    assert run(office, "hold", "--all") == "3 letters (4 recipients) on hold\n"
    assert {state for each in states(office).values() for state in each} == {"hold"}


def test_who_did_it(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "alice")
    run(office, "hold", "L2")
    moment = office.json("queue", "show", "L2")["history"][-1]
    assert moment["administrator"] and moment["by"].startswith("alice as ")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("drop", "L1", "--user", "alice", "--yes", "--sender", "x@y.test"), "go only IDs"),
        (("drop", "--user", "alice", "--all"), "go only IDs"),
        (("list", "--user", "alice", "--limit", "3"), "go only IDs"),
        (("list", "--password-stdin"), "A password is for --user"),
        (("drop", "L1", "--user", "alice"), "there is no terminal to ask for the password"),
    ],
)
def test_users_say_who_they_are_and_which_letters(office: Office, words: Sequence[str], says: str) -> None:
    result = office.run("queue", *words)
    assert result.exit_code == 64 and says in result.stderr
    assert len(states(office)) == 3


@pytest.mark.parametrize(
    ("listen", "says"),
    [("unix:/tmp/nothing", "has no port to ask"), ("tcp:1:interface=127.0.0.1", "cannot connect to 127.0.0.1:1")],
)
def test_users_need_a_server_that_runs(office: Office, listen: str, says: str) -> None:
    office.ini.write_text(f"{office.ini.read_text()}[submission]\nlisten = {listen}\nlisten_tls =\n")
    result = office.run("queue", "drop", "L1", "--user", "alice", "--password-stdin", input="sesame\n")
    assert result.exit_code == 1 and says in result.stderr
    assert len(states(office)) == 3


def test_before_the_server_has_run(office: Office) -> None:
    for path in (office.folder / "data/spool").glob("queue.db*"):
        path.unlink()
    assert run(office, "retry", "--all") == "No letter for that is in the queue.\n"
