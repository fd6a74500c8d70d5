"""Delivered-To, on what is forwarded."""

from __future__ import annotations

import pytest

from mailstack.message.header import HeaderScan
from mailstack.message.loops import been_here, delivered_to
from mailstack.model.address import Address

TEAM = Address("Team", "office.test")


@pytest.mark.parametrize(
    ("address", "field"),
    [
        (TEAM, b"Delivered-To: Team@office.test\n"),
        (Address("two words", "office.test"), b'Delivered-To: "two words"@office.test\n'),
        (Address("用户", "xn--fsqu00a.xn--0zwm56d"), b"Delivered-To: \\x{7528}\\x{6237}@xn--fsqu00a.xn--0zwm56d\n"),
    ],
)
def test_what_we_write_is_known_again(address: Address, field: bytes) -> None:
    assert delivered_to(address) == field
    assert been_here(b"Received: x\n" + field + b"Subject: hello\n", [address]) == {address}
    assert been_here(field.upper(), [address]) == {address}


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"Delivered-To: other@office.test\n",
        b"Delivered-To: team@office.test, other@office.test\n",
        b"Delivered-To: team@office.test.far.test\n",
        b"X-Delivered-To: team@office.test\n",
        b"Subject: Delivered-To: team@office.test\n",
        b"Subject: x\n\tDelivered-To: team@office.test\n",
        b"Delivered-To:\n\tteam@office.test\n",
        b"Delivered-To: \xff\n",
    ],
)
def test_what_others_write(header: bytes) -> None:
    assert been_here(header, [TEAM]) == set()


def test_only_those_who_are_asked_about() -> None:
    header = delivered_to(TEAM) + delivered_to(Address("sales", "office.test"))
    assert been_here(header, [TEAM, Address("other", "office.test")]) == {TEAM}
    assert been_here(header, []) == set()


def test_as_the_receiver_keeps_a_header() -> None:
    scan = HeaderScan(10_000)
    scan.feed(b"A: b\n" + delivered_to(TEAM) + b"\nDelivered-To: in-the-body@office.test\n")
    assert been_here(scan.octets, [TEAM, Address("in-the-body", "office.test")]) == {TEAM}


def test_malice_does_not_take_time() -> None:
    assert been_here(b"Delivered-To: a" + b" \t" * 100_000 + b"x\n" * 10, [TEAM]) == set()
    assert been_here(b"Delivered-To" + b" \t" * 100_000 + b"x\n" * 10, [TEAM]) == set()
