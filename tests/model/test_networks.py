"""Which network an address lies in."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from mailstack.model.networks import lies_in, source, unmapped

NETWORKS = (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))


@pytest.mark.parametrize(
    ("address", "inside"),
    [("192.0.2.255", True), ("192.0.3.0", False), ("2001:db8::1", True), ("2001:db9::1", False), ("", False)],
)
def test_lies_in(address: str, inside: bool) -> None:
    assert lies_in(address, NETWORKS) is inside


def test_nobody_lies_in_no_network() -> None:
    assert not lies_in("192.0.2.1", ())


def test_one_subscriber_of_ipv6_is_one_client() -> None:
    assert source("2001:db8::1") == source("2001:db8::ffff:1") != source("2001:db8:0:1::1")


def test_ipv4_in_ipv6_is_ipv4() -> None:
    assert source("::ffff:192.0.2.1") == source("192.0.2.1") != source("192.0.2.2")
    assert str(unmapped("::ffff:192.0.2.1")) == "192.0.2.1"


def test_what_is_no_address_is_a_client_too() -> None:
    assert source("") == ""
    assert source("fe80::1%eth0") == "fe80::/64"
