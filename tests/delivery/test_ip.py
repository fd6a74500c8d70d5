"""What addresses mean, and which are ours."""

from __future__ import annotations

import pytest

from mailstack.delivery.ip import Here, is_loopback, is_nowhere, source

OWN = "198.51.100.7"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "0.1.2.3",
        "169.254.169.254",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%lo",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::169.254.169.254",
    ],
)
def test_where_no_server_of_strangers_can_be(address: str) -> None:
    """In any dress."""
    assert is_nowhere(address)


@pytest.mark.parametrize(
    "address",
    [
        "192.0.2.1",
        "10.1.2.3",
        "192.168.1.1",
        "100.64.0.1",
        "2001:db8::1",
        "fd00::1",
        "::ffff:192.0.2.1",
        "64:ff9b::c000:201",
    ],
)
def test_where_one_can_be(address: str) -> None:
    """Private networks, too: inside of a firm DNS may well lead there. And what NAT64 makes of IPv4."""
    assert not is_nowhere(address)


def test_loopback_in_the_dress_of_ipv6() -> None:
    assert is_loopback("::ffff:127.0.0.1")
    assert is_loopback("/run/lmtp")
    assert not is_loopback("::ffff:192.0.2.1")


def here(*ports: tuple[str, int]) -> Here:
    """A machine with one address."""
    local = {OWN: OWN, f"::ffff:{OWN}": f"::ffff:{OWN}"}
    return Here(lambda: ports, lambda address: None if address == "203.0.113.9" else local.get(address, "127.0.0.1"))


@pytest.mark.parametrize(
    ("ports", "address", "port", "ours"),
    [
        ([("0.0.0.0", 25)], "127.0.0.1", 25, True),
        ([("0.0.0.0", 25)], "127.0.0.9", 25, True),
        ([("::", 25)], "127.0.0.1", 25, True),
        ([("::", 25)], "::1", 25, True),
        ([("0.0.0.0", 25)], OWN, 25, True),
        ([("0.0.0.0", 25)], f"::ffff:{OWN}", 25, True),
        ([("0.0.0.0", 25)], "0.0.0.0", 25, True),
        ([(OWN, 25)], OWN, 25, True),
        ([("127.0.0.1", 25)], "0.0.0.0", 25, True),
        ([("0.0.0.0", 25)], OWN, 2525, False),
        ([("127.0.0.1", 25)], OWN, 25, False),
        ([(OWN, 25)], "127.0.0.1", 25, False),
        ([("0.0.0.0", 25)], "192.0.2.1", 25, False),
        ([("0.0.0.0", 25)], "203.0.113.9", 25, False),
        ([], OWN, 25, False),
    ],
)
def test_what_is_ours(ports: list[tuple[str, int]], address: str, port: int, ours: bool) -> None:
    """An address of this machine, at a port where it is us who listen there: another server may have its own."""
    assert here(*ports).is_ours(address, port) == ours


def test_source_is_the_address_itself_where_it_is_ours() -> None:
    """By the kernel's routes; no packet leaves."""
    assert source("127.0.0.1") == "127.0.0.1"
    assert source("127.0.0.2") in ("127.0.0.1", "127.0.0.2")


@pytest.mark.parametrize("address", ["255.255.255.255", "ff0e::%none", "nonsense"])
def test_no_way(address: str) -> None:
    """Whatever the kernel says against it."""
    assert source(address) is None
