"""The real resolver against a real, small DNS server on loopback."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from mailstack.delivery.dns import DnsResolver
from mailstack.model.reply import Reply
from tests.delivery.memory_dns import run
from tests.delivery.resolver_contract import BROKEN, ZONE, ResolverContract
from tests.live.dns_server import DnsServer

T = TypeVar("T")


async def at_once(function: Callable[..., T], *arguments: object) -> T:
    """Instead of a thread."""
    return function(*arguments)


@pytest.fixture(scope="class")
def server() -> Iterator[DnsServer]:
    with DnsServer(ZONE, broken=BROKEN, mute=["mute.test"], big=["plain.test"]) as running:
        yield running


@pytest.fixture(scope="class", autouse=True)
def resolver(request: pytest.FixtureRequest, server: DnsServer) -> DnsResolver:
    made = DnsResolver(at_once, [("127.0.0.1", server.port)], lifetime=1.0)
    request.cls.resolver = made
    return made


class TestDnsResolver(ResolverContract):
    def test_truncated_answer_is_asked_for_again_by_tcp(self, server: DnsServer, resolver: DnsResolver) -> None:
        assert run(resolver.addresses("plain.test")) == ["192.0.2.9"]
        assert ("plain.test", "A", "tcp") in server.queries

    def test_answers_are_cached(self, server: DnsServer, resolver: DnsResolver) -> None:
        run(resolver.mail_exchangers("example.test"))
        before = len(server.queries)
        run(resolver.mail_exchangers("example.test"))
        assert len(server.queries) == before

    def test_silence_is_temporary(self, resolver: DnsResolver) -> None:
        reply = run(resolver.mail_exchangers("mute.test"))
        assert isinstance(reply, Reply)
        assert (reply.code, reply.status) == (451, "4.4.3")

    def test_names_that_are_none(self, resolver: DnsResolver) -> None:
        """What cannot be asked for cannot get mail."""
        for name in ("a..b", "x" * 64 + ".test", "\ud800.test", ".".join(["x" * 60] * 5)):
            reply = run(resolver.mail_exchangers(name))
            assert isinstance(reply, Reply)
            assert reply.code == 550

    def test_nobody_listens(self) -> None:
        """A dead DNS server is temporary, and says so."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        reply = run(DnsResolver(at_once, [("127.0.0.1", port)], lifetime=0.5).addresses("x.test"))
        assert isinstance(reply, Reply)
        assert (reply.code, reply.status) == (451, "4.4.3")
