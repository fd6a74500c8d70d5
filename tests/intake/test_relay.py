"""Who may send what through us."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from mailstack.config.settings import Relay
from mailstack.intake.relay import RelayRule
from mailstack.model.address import Address

RULE = RelayRule.of(Relay((ip_network("198.51.100.0/24"), ip_network("2001:db8::/32")), ("backup.test",)))
USER = Address("alice", "office.test")
AWAY, BACKUP = Address("x", "far.test"), Address("x", "backup.test")

STRANGERS = ["192.0.2.7", "198.51.101.9", "127.0.0.1", "::1", "2001:db9::1", ""]
NEIGHBOURS = ["198.51.100.0", "198.51.100.255", "2001:db8:ffff::1"]


@pytest.mark.parametrize("client", STRANGERS)
def test_strangers(client: str) -> None:
    """Loopback and UNIX sockets are not trusted unless they are named."""
    assert not RULE.permits(AWAY, client, False)
    assert RULE.permits(BACKUP, client, False)


@pytest.mark.parametrize("client", NEIGHBOURS)
def test_networks(client: str) -> None:
    assert RULE.permits(AWAY, client, False)


@pytest.mark.parametrize("client", STRANGERS + NEIGHBOURS)
def test_users(client: str) -> None:
    """From wherever they are, but only by a log-in."""
    assert RULE.permits(AWAY, client, True)


@pytest.mark.parametrize("domain", ["sub.backup.test", "notbackup.test", "backup.test.far.test", "[192.0.2.1]", ""])
def test_other_domains_are_not_the_backup_domain(domain: str) -> None:
    assert not RULE.permits(Address("x", domain), STRANGERS[0], False)


@pytest.mark.parametrize("local", ["x%far.test", "far.test!x", "x@far.test", "@far.test:x"])
def test_no_way_onward_through_a_backup_domain(local: str) -> None:
    """Its own server may trust us; for those whom we trust ourselves, it may be a name like others."""
    assert not RULE.permits(Address(local, "backup.test"), STRANGERS[0], False)
    assert RULE.permits(Address(local, "backup.test"), STRANGERS[0], True)


@pytest.mark.parametrize("client", STRANGERS)
def test_closed_by_default(client: str) -> None:
    rule = RelayRule.of(Relay())
    assert not rule.permits(AWAY, client, False)
    assert not rule.permits(BACKUP, client, False)
