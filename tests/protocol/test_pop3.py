"""The flow of a POP3 session: what dialogues can't show."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.protocol.pop3 import MAX_COMMAND_LINE, VERBS, Pop3Session
from mailstack.protocol.pop3_events import Auth, Event, Login, Quit, Settled, StartTls, err, ok
from mailstack.protocol.sasl import MAX_LINE, MECHANISMS


def session(**facts: bool) -> Pop3Session:
    flags = {"secure": False, "trusted": True, "starttls": True} | facts
    return Pop3Session(**flags, mechanisms=lambda: list(MECHANISMS))


def asked(session: Pop3Session, data: bytes) -> Event:
    session.receive(data)
    event = session.next_event()
    assert event is not None
    return event


def test_next_command_waits_for_the_answer() -> None:
    """However much is pipelined, nothing overtakes a decision."""
    pop = session()
    event = asked(pop, b"NOOP\r\nQUIT\r\n")
    assert isinstance(event, Settled)
    assert pop.next_event() is None
    pop.answer(event.response)
    assert pop.next_event() == Quit()


def test_password_waits_for_nothing_but_the_name() -> None:
    pop = session()
    event = asked(pop, b"USER alice\r\nPASS a b \r\n")
    assert isinstance(event, Settled)
    pop.answer(event.response)
    assert pop.next_event() == Login("alice", "a b ")


def test_passwords_do_not_show() -> None:
    assert "secret" not in repr(Login("alice", "secret"))


@pytest.mark.parametrize("when", ["with STLS", "before the answer"])
def test_nothing_may_follow_stls(when: str) -> None:
    """What an attacker adds in plain must not be read as if it had come inside TLS."""
    pop = session()
    injected = b"USER mallory\r\n"
    event = asked(pop, b"STLS\r\n" + injected * (when == "with STLS"))
    assert event == StartTls()
    pop.receive(injected * (when != "with STLS"))
    assert b"".join(pop.answer(ok("begin-tls"))).startswith(b"-ERR ")
    assert pop.closing
    assert not pop.upgrading
    assert pop.next_event() is None


def test_nothing_is_read_until_tls_is_up() -> None:
    pop = session()
    asked(pop, b"STLS\r\n")
    pop.answer(ok("begin-tls"))
    assert pop.upgrading
    pop.receive(b"USER mallory\r\n")
    assert pop.next_event() is None
    pop.secured()
    assert pop.next_event() is None
    assert not pop.upgrading


def test_refused_stls_changes_nothing() -> None:
    pop = session()
    asked(pop, b"STLS\r\nNOOP\r\n")
    pop.answer(err("our-fault"))
    assert not pop.upgrading
    assert pop.next_event() is not None


def test_session_ends_where_the_answer_says_so() -> None:
    pop = session()
    asked(pop, b"NONSENSE\r\nNOOP\r\n")
    pop.answer(err("unknown-command", last=True))
    assert pop.closing
    assert pop.next_event() is None


def test_body_is_made_while_it_is_sent() -> None:
    """The first line is there before the first piece is read, and a piece is read when its turn comes."""
    taken = []

    def pieces() -> Iterator[bytes]:
        for piece in (b"one\n", b".two\n"):
            taken.append(piece)
            yield piece

    pop = session()
    asked(pop, b"CAPA\r\n")
    octets = iter(pop.answer(ok("", pieces())))
    assert next(octets) == b"+OK\r\n"
    assert not taken
    assert next(octets) == b"one\r\n"
    assert len(taken) == 1
    assert b"".join(octets) == b"..two\r\n.\r\n"


@pytest.mark.parametrize(("length", "fits"), [(MAX_COMMAND_LINE, True), (MAX_COMMAND_LINE + 1, False)])
def test_line_limit(length: int, fits: bool) -> None:
    line = b"USER ".ljust(length - 2, b"x") + b"\r\n"
    event = asked(session(), line)
    assert isinstance(event, Settled)
    assert event.response.positive == fits


@pytest.mark.parametrize(
    ("length", "text"), [(MAX_LINE - 2, "The response does not fit the mechanism"), (MAX_LINE + 2, "Line too long")]
)
def test_limit_of_responses(length: int, text: str) -> None:
    """RFC 5034 §4: not that of commands; RFC 4954 §4 has the number. What follows is a command again."""
    pop = session()
    event = asked(pop, b"AUTH PLAIN\r\n")
    pop.answer(ok())
    challenge = pop.next_event()
    assert isinstance(event, Auth) and isinstance(challenge, Settled)
    pop.answer(challenge.response)
    event = asked(pop, b"A" * (length - 2) + b"\r\n")
    assert isinstance(event, Settled)
    assert event.response.line() == f"-ERR {text}\r\n".encode()
    pop.answer(event.response)
    assert asked(pop, b"QUIT\r\n") == Quit()


def test_endless_line_costs_no_memory() -> None:
    pop = session()
    for _ in range(100):
        pop.receive(b"x" * 1000)
        assert pop.next_event() is None
        assert len(pop._lines) == 0
    assert isinstance(asked(pop, b"\r\n"), Settled)


WORDS = st.one_of(
    st.sampled_from(sorted(VERBS)),
    st.sampled_from([b" ", b"\r\n", b"\n", b"\r", b"\0", b"1", b"0", b"alice", b"\xff"]),
    st.binary(max_size=4),
)


@given(st.lists(WORDS, max_size=40).map(b"".join), st.lists(st.booleans(), min_size=40, max_size=40))
@settings(max_examples=150)
def test_any_octets_are_answered(data: bytes, decisions: list[bool]) -> None:
    """Never an exception; one line for each command, below 512 octets (RFC 2449 §4)."""
    pop = session()
    pop.receive(data)
    for decision in decisions:
        event = pop.next_event()
        if event is None:
            break
        response = event.response if isinstance(event, Settled) else (ok() if decision else err("our-fault"))
        line = next(iter(pop.answer(response)))
        assert line.startswith((b"+OK", b"-ERR ")) and line.endswith(b"\r\n") and len(line) <= 512
