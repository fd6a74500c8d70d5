"""The aliases file: aliases(5), without programs and files for targets."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.accounts.aliases import Aliases, read
from mailstack.accounts.quoting import logical_lines, split

DOMAINS = ("office.test", "second.test")


@pytest.fixture()
def path(tmp_path: Path) -> Path:
    return tmp_path / "aliases"


def parse(path: Path, text: str) -> Aliases:
    path.write_text(text, "utf-8", "surrogateescape")
    return read(path, DOMAINS)


def targets(found: Aliases) -> dict[str, list[str]]:
    return {key: [str(target) for target in alias.targets] for key, alias in found.aliases.items()}


def broken(path: Path, found: Aliases) -> list[str]:
    return [str(line).removeprefix(str(path)) for line in found.broken]


def test_names_and_targets(path: Path) -> None:
    found = parse(
        path,
        (
            "# comment\n\nSales:\tAlice, bob,alice\nInfo@Second.Test: Carol@second.test\n@second.test: dave\n"
            "away: Friend@Far.Test\n"
        ),
    )
    assert targets(found) == {
        "sales": ["alice@office.test", "bob@office.test"],
        "info@second.test": ["carol@second.test"],
        "@second.test": ["dave@office.test"],
        "away": ["Friend@far.test"],
    }
    assert found.broken == ()


def test_lines_go_on(path: Path) -> None:
    found = parse(path, "sales: alice,\n  # in between\n\n\tbob,\n carol\nnext: dave\n")
    assert targets(found)["sales"] == ["alice@office.test", "bob@office.test", "carol@office.test"]
    assert found.aliases["next"].line == 6


def test_quotes_hold_separators(path: Path) -> None:
    found = parse(path, '"a:b,c": "x, y", "z\\"z"@far.test\n')
    assert targets(found) == {"a:b,c": ['"x, y"@office.test', '"z\\"z"@far.test']}


def test_an_included_list(path: Path) -> None:
    """Relative to the file that includes; the list itself may include."""
    (path.parent / "lists").mkdir()
    (path.parent / "lists/team").write_text("# team\nalice\n\nbob, carol\n:include:more\n")
    (path.parent / "lists/more").write_text("dave@far.test\n")
    found = parse(path, "team: :include:lists/team, erin\n")
    assert targets(found)["team"] == [
        "alice@office.test",
        "bob@office.test",
        "carol@office.test",
        "dave@far.test",
        "erin@office.test",
    ]
    assert found.files == (path, path.parent / "lists/team", path.parent / "lists/more")


def test_a_missing_list_makes_its_alias_unsure(path: Path) -> None:
    """Mail for those who stand in it is not to be lost."""
    found = parse(path, "team: alice, :include:gone\nother: bob\n")
    assert found.aliases["team"].unsure
    assert not found.aliases["other"].unsure
    assert broken(path, found) == [":1: ':include:gone' cannot be read: No such file or directory"]
    assert path.parent / "gone" in found.files


def test_a_list_that_includes_itself(path: Path) -> None:
    (path.parent / "self").write_text("alice\n:include:self\n")
    found = parse(path, "team: :include:self\n")
    assert targets(found)["team"] == ["alice@office.test"]
    assert "included too deeply" in found.broken[0].wrong


def test_a_broken_line_of_a_list_is_reported_with_its_own_place(path: Path) -> None:
    (path.parent / "list").write_text("alice\n\nbob@@far.test\n")
    found = parse(path, "team: :include:list\n")
    assert str(found.broken[0]).startswith(f"{path.parent}/list:3: ")
    assert targets(found)["team"] == ["alice@office.test"]


@pytest.mark.parametrize(
    ("target", "wrong"),
    [
        ("|/bin/program", "programs are not run"),
        ('"|/bin/program -x"', "programs are not run"),
        ("/var/mail/x", "not into files"),
        (":fail: no", "only :include: is known"),
        ("\\alice", "leave out the backslash"),
        ("bob carol", "write commas between targets"),
        ("bob # x", "comments on lines of their own"),
        ("a@b@far.test", "must not have"),
        ("bob@far..test", "is not a domain"),
        ('"b', "a quote that does not end"),
        ('"\0"', "which no address has"),
        ('"\udcff"@far.test', "which no address has"),
    ],
)
def test_what_is_no_target_is_left_out_and_reported(path: Path, target: str, wrong: str) -> None:
    found = parse(path, f"first: alice\nsales: {target}\nboth: {target}, alice\nlast: alice\n")
    assert targets(found)["first"] == targets(found)["last"] == ["alice@office.test"]
    assert found.aliases["sales"].unsure
    assert wrong in str(found.broken[0])
    assert str(found.broken[0]).startswith(f"{path}:2: ")
    if '"b' not in target:  # an open quote takes the rest of the line with it
        assert targets(found)["both"] == ["alice@office.test"]
        assert not found.aliases["both"].unsure


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("no colon", "has no colon"),
        (": alice", "is not an address"),
        ("@far.test: alice", "far.test is not in [server] domains"),
        ("x@far.test: alice", "far.test is not in [server] domains"),
        ("first: bob", "first stands in line 1 already"),
        ("a b: alice", "not one address"),
    ],
)
def test_a_line_for_nobody_is_reported_and_the_others_work(path: Path, line: str, wrong: str) -> None:
    found = parse(path, f"first: alice\n{line}\nlast: alice\n")
    assert targets(found) == {"first": ["alice@office.test"], "last": ["alice@office.test"]}
    assert wrong in str(found.broken[0])


@settings(max_examples=150)
@given(st.text(alphabet=st.sampled_from('ab@office.test:,"\\|/ #\n\t\0\udcff'), max_size=60))
def test_any_text_is_read(text: str) -> None:
    """Grammar alone: every line and every list is cut, or refused with ValueError."""
    for line in logical_lines(text):
        try:
            name, *rest = split(line.text, ":", most=1)
            assert len(rest) <= 1
            assert (name + ":" + "".join(rest)).count('"') == line.text.count('"')
            split(line.text, ",")
        except ValueError:
            continue
