"""The envelope beside the header."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.message.clues import Beside, beside
from mailstack.message.fields import fields
from mailstack.message.journey import Ours, journey
from mailstack.message.received import stamp

OURS = Ours(frozenset({"mail.office.test"}), frozenset({"office.test"}))

TOP = "Return-Path: <friend@far.test>\nDelivered-To: alice@office.test\n"
HOPS = (
    "Received: from far.test ([198.51.100.7]) by mail.office.test with ESMTP; Tue, 24 Nov 2026 12:00:05 +0000\n"
    "Received: from pc ([192.0.2.1]) by mx.far.test with ESMTPA; Tue, 24 Nov 2026 12:00:02 +0000\n"
)
HEADER = {
    "From": "Friend <friend@far.test>",
    "To": "alice@office.test",
    "Date": "Tue, 24 Nov 2026 12:00:00 +0000",
    "Message-ID": "<1@far.test>",
}


def found(top: str = TOP, hops: str = HOPS, **changed: str | None) -> Beside:
    header = {**HEADER, **{name.replace("_", "-"): value for name, value in changed.items()}}
    text = "".join(f"{name}: {value}\n" for name, value in header.items() if value is not None)
    return read(f"{top}{hops}{text}\n".encode())


def read(letter: bytes) -> Beside:
    header = fields(letter)
    return beside(header, journey([stamp(each.text) for each in header if each.name == "received"], OURS), OURS)


def keys(beside: Beside) -> list[str]:
    return [clue.key for clue in beside.clues]


def test_honest_letter() -> None:
    assert found().clues == ()


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"top": "Return-Path: <>\n"}, "null_sender"),
        ({"top": "Return-Path: <prvs=0123abcdef=friend@far.test>\n"}, "batv"),
        ({"top": "Return-Path: <SRS0=Ab=XY=far.test=friend@fwd.test>\n"}, "srs"),
        ({"top": "Return-Path: <x@news.example>\n"}, "sender_differs"),
        ({"top": "Return-Path: <x@lists.example>\n", "List_Id": "<l.lists.example>"}, "sender_of_list"),
        ({"From": None}, "no_from"),
        ({"From": "a@far.test\nFrom: b@far.test"}, "many_from"),
        ({"From": "Friend friend@far.test <>"}, "from_unclear"),
        ({"From": '"boss@office.test" <friend@far.test>'}, "name_is_address"),
        ({"From": "=?utf-8?B?Ym9zc0BvZmZpY2UudGVzdA==?= <friend@far.test>"}, "name_is_address"),
        ({"Sender": "pr@agency.test"}, "other_sender"),
        ({"Reply_To": "friend@free.test"}, "answers_elsewhere"),
        ({"To": "all@far.test"}, "not_named"),
        ({"To": None}, "not_named"),
        ({"Message_ID": None}, "no_id"),
        ({"Message_ID": "<1@elsewhere.test>"}, "id_from_elsewhere"),
        ({"Date": None}, "no_date"),
        ({"Date": "Tue, 24 Nov 0000 12:00:00 +0000"}, "date_unreadable"),
        ({"Date": "Tue, 24 Nov 2026 12:10:00 +0000"}, "date_late"),
        ({"Date": "Mon, 23 Nov 2026 12:00:00 +0000"}, "date_early"),
    ],
)
def test_what_is_odd(changed: dict[str, str | None], key: str) -> None:
    """One thing at a time."""
    assert keys(found(**changed)) == [key]  # type: ignore[arg-type]  # top is never None


@pytest.mark.parametrize(
    "changed",
    [
        {"top": "Return-Path: <bounce@mail.far.test>\nDelivered-To: alice@office.test\n"},
        {"top": TOP + "X-Original-To: all@office.test\n", "To": "all@office.test"},
        {"Cc": "ALICE@office.test", "To": "b@x.test"},
        {"Message_ID": "<1@pc>"},  # a hop's name
        {"Message_ID": "<1@[192.0.2.1]>", "Reply_To": "office@far.test"},
        {"From": '"friend@far.test" <friend@far.test>'},
    ],
)
def test_what_is_not_odd(changed: dict[str, str | None]) -> None:
    assert keys(found(**changed)) == []  # type: ignore[arg-type]  # top is never None


def test_several_things() -> None:
    clues = found(
        top="Return-Path: <l-bounces+alice=office.test@l.test>\nDelivered-To: alice@office.test\n", To="l@l.test"
    ).clues
    assert [(clue.key, clue.facts.get("address")) for clue in clues] == [
        ("verp", "alice@office.test"),
        ("sender_differs", None),
        ("not_named", None),
    ]


def test_only_what_stands_above_our_own_line_is_sure() -> None:
    forged = "Return-Path: <boss@office.test>\nAuthentication-Results: mail.office.test; dkim=pass\n"
    real = "Authentication-Results: mail.office.test; dkim=fail\nAuthentication-Results: other.test; dkim=pass\n"
    ours, theirs = HOPS.splitlines(keepends=True)
    beside = found(top=TOP + real, hops=ours + forged + theirs)
    assert beside.verdicts == ("mail.office.test; dkim=fail",)
    assert [(each.text, each.sure) for each in beside.envelope if each.name == "return-path"] == [
        ("<friend@far.test>", True),
        ("<boss@office.test>", False),
    ]
    assert keys(beside) == ["results_forged"]
    assert not any(each.sure for each in found(hops="").envelope)


def test_fields_in_thousands() -> None:
    beside = read(b"Return-Path: <a@b.test>\nFrom: a@b.test\nAuthentication-Results: mail.office.test; x\n" * 5_000)
    assert len(beside.envelope) == len(beside.header) == 5
    assert keys(beside) == ["many_from", "no_id", "no_date", "results_forged"]


NAMES = st.sampled_from(
    ["Return-Path", "From", "Sender", "Reply-To", "To", "Date", "Message-ID", "Received", "Delivered-To"]
)
VALUES = st.text() | st.text(alphabet='<>@=.a"(),;:-+ ') | st.sampled_from(list(HEADER.values()))


@given(st.lists(st.tuples(NAMES, VALUES)))
def test_never_raises(lines: list[tuple[str, str]]) -> None:
    read("".join(f"{name}: {value}\n" for name, value in lines).encode("utf-8", "surrogatepass"))
