"""Which network an address lies in."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from mailstack.model.networks import lies_in

NETWORKS = (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))


@pytest.mark.parametrize(
    ("address", "inside"),
    [("192.0.2.255", True), ("192.0.3.0", False), ("2001:db8::1", True), ("2001:db9::1", False), ("", False)],
)
def test_lies_in(address: str, inside: bool) -> None:
    assert lies_in(address, NETWORKS) is inside


def test_nobody_lies_in_no_network() -> None:
    assert not lies_in("192.0.2.1", ())
