"""What every IResolver must do. A provider's test class inherits this and sets ``resolver`` up with ZONE."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from zope.interface.verify import verifyObject

from mailstack.interfaces.delivery import IResolver
from mailstack.model.reply import Reply
from tests.delivery.memory_dns import Zone, run

T = TypeVar("T")

ZONE: Zone = {
    ("example.test", "MX"): ["20 MX2.example.test.", "10 mx1.example.test."],
    ("mx1.example.test", "A"): ["192.0.2.1", "192.0.2.2"],
    ("mx1.example.test", "AAAA"): ["2001:db8::1"],
    ("plain.test", "A"): ["192.0.2.9"],
    ("null.test", "MX"): ["0 ."],
    ("both.test", "MX"): ["0 .", "10 mx1.example.test."],
    ("alias.test", "CNAME"): ["example.test."],
    ("a.loop.test", "CNAME"): ["b.loop.test."],
    ("b.loop.test", "CNAME"): ["a.loop.test."],
    ("empty.test", "TXT"): ['"nothing for mail"'],
    ("xn--bcher-kva.test", "MX"): ["10 mx1.example.test."],
    ("half.test", "A"): ["192.0.2.7"],
    ("by-alias.test", "MX"): ["10 mx-alias.test."],
    ("mx-alias.test", "CNAME"): ["mx-alias2.test."],
    ("mx-alias2.test", "CNAME"): ["half.test."],
    ("dangling-alias.test", "CNAME"): ["missing.test."],
    **{(f"chain{n}.test", "CNAME"): [f"chain{n + 1}.test."] for n in range(30)},
    ("chain30.test", "A"): ["192.0.2.8"],
}
BROKEN = ("broken.test",)


class ResolverContract:
    resolver: IResolver

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return run(coroutine)

    def exchangers(self, domain: str) -> object:
        found = self.run(self.resolver.mail_exchangers(domain))
        return found if isinstance(found, Reply) else sorted((p, host.lower()) for p, host in found)

    def addresses(self, host: str) -> object:
        found = self.run(self.resolver.addresses(host))
        return found if isinstance(found, Reply) else sorted(found)

    def test_interface(self) -> None:
        assert verifyObject(IResolver, self.resolver)

    @pytest.mark.parametrize(
        ("domain", "hosts"),
        [
            ("example.test", [(10, "mx1.example.test"), (20, "mx2.example.test")]),
            ("alias.test", [(10, "mx1.example.test"), (20, "mx2.example.test")]),
            ("plain.test", [(0, "plain.test")]),
            ("bücher.test", [(10, "mx1.example.test")]),
            ("both.test", [(10, "mx1.example.test")]),
        ],
    )
    def test_exchangers(self, domain: str, hosts: object) -> None:
        """MX records, those of an alias, the domain itself where there are none; U-labels are translated."""
        assert self.exchangers(domain) == hosts

    @pytest.mark.parametrize(
        ("domain", "code", "status"),
        [
            ("null.test", 556, "5.1.10"),
            ("missing.test", 550, "5.1.2"),
            ("empty.test", 550, "5.1.2"),
            ("broken.test", 451, "4.4.3"),
            ("a.loop.test", 451, "4.4.3"),
            ("chain0.test", 451, "4.4.3"),
            ("dangling-alias.test", 550, "5.1.2"),
        ],
    )
    def test_no_exchangers(self, domain: str, code: int, status: str) -> None:
        reply = self.exchangers(domain)
        assert isinstance(reply, Reply)
        assert (reply.code, reply.status) == (code, status)
        assert len(reply.text) < 400

    def test_addresses(self) -> None:
        assert self.addresses("mx1.example.test") == ["192.0.2.1", "192.0.2.2", "2001:db8::1"]
        assert self.addresses("half.test") == ["192.0.2.7"]

    def test_name_of_an_exchanger_that_is_an_alias(self) -> None:
        """RFC 2181 §10.3 forbids it, and many have it."""
        assert self.exchangers("by-alias.test") == [(10, "mx-alias.test")]
        assert self.addresses("mx-alias.test") == ["192.0.2.7"]

    def test_localhost_is_not_asked_for(self) -> None:
        """RFC 6761 §6.3."""
        assert self.addresses("localhost") == ["127.0.0.1", "::1"]
        assert self.exchangers("localhost") == [(0, "localhost")]

    @pytest.mark.parametrize(("host", "code"), [("missing.test", 550), ("empty.test", 550), ("broken.test", 451)])
    def test_no_addresses(self, host: str, code: int) -> None:
        reply = self.addresses(host)
        assert isinstance(reply, Reply)
        assert reply.code == code
