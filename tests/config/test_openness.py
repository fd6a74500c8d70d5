"""When [relay] networks make an open relay of the server."""

from __future__ import annotations

from ipaddress import ip_network
from itertools import combinations

import pytest

from mailstack.config.openness import PRIVATE_IPV4, too_open


def reason(text: str) -> str | None:
    return too_open([ip_network(word) for word in text.split()])


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0/0",
        "::/0",
        "0.0.0.0/1 128.0.0.0/1",
        "0.0.0.0/1",
        "::/1",
        "2000::/3",
        "2000::/4 3000::/4",
        "::ffff:0:0/96",
        "64:ff9b::/96",
        "::ffff:0.0.0.0/97 ::ffff:128.0.0.0/97",
        "::ffff:0.0.0.0/97 128.0.0.0/1",
        "::/21",
        "8.0.0.0/7",
        "8.0.0.0/8 9.0.0.0/32",
        "2a00::/19",
        "2a00::/20 2b00::/48",
        " ".join(f"8.{number}.0.0/16 9.{number}.0.0/16" for number in range(256)),
    ],
)
def test_strangers_get_in(text: str) -> None:
    assert reason(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "192.0.2.0/24",
        "127.0.0.0/8 ::1",
        "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 169.254.0.0/16 fc00::/7 fe80::/10",
        "224.0.0.0/3",
        "17.0.0.0/8",
        "10.0.0.0/7",
        "17.0.0.0/8 17.1.0.0/16 17.0.0.0/8",
        "2a00::/20 2a00:1::/32",
        "::ffff:192.168.0.0/112 ::ffff:10.0.0.0/104 64:ff9b::192.0.2.0/120",
        "17.0.0.0/8 10.0.0.0/8 2a00::/20",
    ],
)
def test_only_our_own(text: str) -> None:
    """Private space does not count, nor what is written twice."""
    assert reason(text) is None


def test_the_words() -> None:
    assert (
        reason("8.0.0.0/7")
        == "the networks hold 33,554,432 public IPv4 addresses (IPv6 forms counted), more than a whole /8 (16,777,216)"
    )
    assert reason("2a00::/19") == "the networks hold 2.0 times as many IPv6 addresses as a whole /20 has"


def test_private_networks_are_counted_once() -> None:
    assert not any(one.overlaps(other) for one, other in combinations(PRIVATE_IPV4, 2))
