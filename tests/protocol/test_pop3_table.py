"""docs/pop3.md says what the server does: each command is played in each state."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailstack.protocol.pop3 import Pop3Session
from mailstack.protocol.pop3_commands import STRANGERS, VERBS
from mailstack.server.pop3_policy import Pop3Policy
from tests.fakes import at_once
from tests.server.pop3_office import ALICE, Office

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/pop3.md").read_text("utf-8")

#: A command, and where its answer is written.
COMMANDS = {
    "USER alice": "1939 §7",
    "PASS sesame": "1939 §7",
    "PASS wrong": "3206 §4",
    "AUTH": "none; Outlook",
    "AUTH PLAIN AGFsaWNlAHNlc2FtZQ==": "5034 §4",
    "AUTH PLAIN AGFsaWNlAHdyb25n": "3206 §4",
    "AUTH PLAIN": "5034 §4",
    "AUTH CRAM-MD5": "5034 §4",
    "APOP alice c4c9334bac560ecc979e58001b3e22fb": "1939 §7",
    "STLS": "2595 §4",
    "UTF8": "6856 §2.1",
    "LANG": "6856 §3.2",
    "LANG zh": "6856 §3.2",
    "LANG fr": "6856 §3.2",
    "CAPA": "2449 §5",
    "NOOP": "1939 §5",
    "STAT": "1939 §5",
    "LIST": "1939 §5",
    "LIST 1": "1939 §5",
    "LIST 2": "1939 §5",
    "UIDL": "1939 §7",
    "UIDL 1": "1939 §7",
    "RETR 1": "1939 §5",
    "RETR 2": "1939 §5",
    "RETR": "1939 §3",
    "TOP 1 0": "1939 §7",
    "DELE 1": "1939 §5",
    "RSET": "1939 §5",
    "QUIT": "1939 §4, §6",
    "XTND": "1939 §3",
    "EHLO client.test": "1939 §3",
    "GET / HTTP/1.1": "1939 §3",
}

#: What is said before, in each state; with TLS or without.
STATES: dict[str, tuple[bool, tuple[str, ...]]] = {
    "before TLS": (False, ()),
    "AUTHORIZATION": (True, ()),
    "after USER": (True, ("USER alice",)),
    "TRANSACTION": (True, ("USER alice", "PASS sesame")),
}


def answer(command: str, tls: bool, before: tuple[str, ...]) -> str:
    """The first line; ``…`` when others follow, ``∎`` when the server hangs up."""
    office = Office()
    office.mailboxes.add(ALICE, b"a: b\n\nc\n")
    policy = Pop3Policy(office.open(), "192.0.2.7")
    session = Pop3Session(tls, False, True, policy.mechanisms)
    said = b""
    for line in (*before, command):
        session.receive(f"{line}\r\n".encode())
        said = b""
        while event := session.next_event():
            said += b"".join(session.answer(at_once(policy.decide(event))))
    first, _, rest = said.decode("utf-8").partition("\r\n")
    return f"`{first}`{' …' * bool(rest)}{' ∎' * session.closing}"


def rows() -> Iterator[str]:
    yield f"| command | {' | '.join(STATES)} | RFC |"
    yield "| --- " * (len(STATES) + 2) + "|"
    for command, source in COMMANDS.items():
        cells = [answer(command, *state) for state in STATES.values()]
        yield f"| `{command}` | {' | '.join(cells)} | {source} |"


def test_table() -> None:
    """If this fails, put what it prints into the document, and think about whether it was meant."""
    table = "\n".join(rows())
    print(table)
    assert table in DOCUMENT


def test_every_command_is_in_the_table() -> None:
    assert {word.decode() for word in VERBS} <= {command.split()[0] for command in COMMANDS}
    assert {command.split()[0].encode() for command in COMMANDS} & STRANGERS.keys()


@pytest.mark.parametrize("state", STATES)
def test_every_answer_is_one(state: str) -> None:
    for command in COMMANDS:
        assert re.match(r"`(\+OK|-ERR|\+ )", answer(command, *STATES[state])), command


def test_named_dialogues_exist() -> None:
    """The third column of the table of demands."""
    demands = DOCUMENT.partition("## What the RFCs demand")[2]
    named = set(re.findall(r"`(\w+)\.txt`", demands))
    there = {path.stem for path in (ROOT / "tests/dialogues/pop3").glob("*.txt")}
    assert named <= there
    assert len(named) > 20
