"""The server's side of PLAIN and LOGIN."""

from __future__ import annotations

import pytest

from mailstack.protocol.sasl import MECHANISMS, Login, Plain, decode, possible
from mailstack.protocol.sasl_steps import Challenge, Claim, Malformed, Step


def exchange(mechanism: str, *responses: bytes | None) -> Step:
    """The last step."""
    running = MECHANISMS[mechanism].begin()
    for response in responses[:-1]:
        assert isinstance(running.step(response), Challenge)
    return running.step(responses[-1])


@pytest.mark.parametrize(
    ("response", "claim"),
    [
        (b"\0alice\0sesame", Claim("alice", "sesame")),
        (b"boss\0alice\0sesame", Claim("alice", "sesame", "boss")),
        ("\0älice\0pass wörd ".encode(), Claim("älice", "pass wörd ")),
    ],
)
def test_plain(response: bytes, claim: Claim) -> None:
    assert exchange("PLAIN", response) == claim
    assert exchange("PLAIN", None, response) == claim


@pytest.mark.parametrize(
    "response", [b"", b"alice", b"\0alice", b"\0alice\0", b"\0\0sesame", b"\0a\0b\0c", b"\0\xff\0sesame", b"\0a\0\xff"]
)
def test_plain_malformed(response: bytes) -> None:
    assert exchange("PLAIN", response) == Malformed()


def test_login() -> None:
    """With the prompts that Outlook and Foxmail wait for, and with the name given at once."""
    login = Login()
    assert login.step(None) == Challenge(b"Username:")
    assert login.step(b"alice") == Challenge(b"Password:")
    assert login.step(b"sesame") == Claim("alice", "sesame")
    assert exchange("LOGIN", b"alice", b"sesame") == Claim("alice", "sesame")


@pytest.mark.parametrize(
    "responses", [(b"alice", b""), (b"", b"sesame"), (b"\xff",), (b"alice", b"\xff"), (b"a\0b", b"c"), (b"a", b"b\0c")]
)
def test_login_malformed(responses: tuple[bytes, ...]) -> None:
    assert exchange("LOGIN", None, *responses) == Malformed()


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        (b"AGE=", b"\0a"),
        (b"", b""),
        (b"=", b""),
        (b"A", None),
        (b"AGE", None),
        (b"AGE==", None),
        (b"AGE=AGE=", None),
        (b"AG E=", None),
        (b"AGE=\n", None),
        (b"\xff\xfe\xfd\xfc", None),
        (b"*", None),
    ],
)
def test_base64_is_strict(text: bytes, octets: bytes | None) -> None:
    assert decode(text) == octets


def test_mechanisms_start_afresh() -> None:
    """No session inherits another one's name."""
    assert isinstance(MECHANISMS["PLAIN"].begin(), Plain)
    first = MECHANISMS["LOGIN"].begin()
    first.step(b"alice")
    assert MECHANISMS["LOGIN"].begin().step(b"bob") == Challenge(b"Password:")


@pytest.mark.parametrize(
    ("keys", "binding", "offered"),
    [
        (False, False, "PLAIN LOGIN"),
        (False, True, "PLAIN LOGIN"),
        (True, False, "PLAIN LOGIN SCRAM-SHA-256"),
        (True, True, "PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS"),
    ],
)
def test_only_what_can_succeed_is_possible(keys: bool, binding: bool, offered: str) -> None:
    assert " ".join(possible(keys, binding)) == offered


def test_passwords_do_not_show() -> None:
    assert "sesame" not in repr(Claim("alice", "sesame"))
