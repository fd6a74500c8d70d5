"""The real resolver, fed with answers that no honest name server gives. The network is a function here."""

from __future__ import annotations

from collections.abc import Callable
from random import Random, SystemRandom
from time import time
from typing import Any, TypeVar

import dns.flags
import dns.message
import dns.nameserver
import dns.rcode
import dns.rrset
import pytest

from mailstack.delivery.dns import CACHED, MAX_CACHED_RECORDS, MAX_TTL, DnsResolver
from mailstack.delivery.exchangers import in_order
from mailstack.model.reply import Reply
from tests.delivery.memory_dns import run

T = TypeVar("T")
Query = dns.message.QueryMessage
ANSWERS = 2_000
ZONE = {"MX": ["10 mx.x.test.", "20 mx2.x.test."], "A": ["192.0.2.1"], "AAAA": ["2001:db8::1"]}


async def at_once(function: Callable[..., T], *arguments: object) -> T:
    return function(*arguments)


class Server(dns.nameserver.Nameserver):
    """Answers with whatever octets ``wire`` makes of a question."""

    def __init__(self, wire: Callable[[Query], bytes]) -> None:
        self.wire = wire
        self.asked = 0

    def __str__(self) -> str:
        return "a server"

    def kind(self) -> str:
        return "test"

    def is_always_max_size(self) -> bool:
        return True

    def answer_nameserver(self) -> str:
        return "192.0.2.53"

    def answer_port(self) -> int:
        return 53

    def query(self, request: Query, *more: Any, **options: Any) -> Any:
        self.asked += 1
        response = dns.message.from_wire(self.wire(request))
        if not request.is_response(response):
            raise dns.query.BadResponse
        return response


def resolver(wire: Callable[[Query], bytes]) -> tuple[DnsResolver, Server]:
    made = DnsResolver(at_once, [("192.0.2.53", 53)], lifetime=1.0)
    server = Server(wire)
    made._resolver.nameservers = [server]
    return made, server


def honest(query: Query, *records: str, ttl: int = 60) -> dns.message.Message:
    response = dns.message.make_response(query, recursion_available=True)
    question = query.question[0]
    kind = dns.rdatatype.to_text(question.rdtype)
    response.answer.append(dns.rrset.from_text(question.name, ttl, "IN", kind, *(records or ZONE[kind])))
    return response


def code(value: dns.rcode.Rcode) -> Callable[[Query], bytes]:
    def wire(query: Query) -> bytes:
        response = dns.message.make_response(query)
        response.set_rcode(value)
        return response.to_wire()

    return wire


def another_question(query: Query) -> bytes:
    other = dns.message.make_query("evil.test", "MX", id=query.id)
    return honest(other, "10 mx.evil.test.").to_wire()


def another_id(query: Query) -> bytes:
    response = honest(query)
    response.id = query.id ^ 1
    return response.to_wire()


def cut(query: Query) -> bytes:
    return honest(query).to_wire()[:-3]


def pointer_loop(query: Query) -> bytes:
    """A compressed name that points at itself."""
    wire = honest(query).to_wire()
    at = wire.index(b"\xc0\x0c")
    return wire[:at] + b"\xc0" + bytes([at]) + wire[at + 2 :]


@pytest.mark.parametrize(
    "wire",
    [
        code(dns.rcode.FORMERR),
        code(dns.rcode.SERVFAIL),
        code(dns.rcode.NOTIMP),
        code(dns.rcode.REFUSED),
        code(dns.rcode.YXDOMAIN),
        code(dns.rcode.BADVERS),
        another_question,
        another_id,
        cut,
        pointer_loop,
        lambda query: b"",
        lambda query: b"garbage",
        lambda query: query.to_wire(),  # the question comes back
    ],
)
def test_broken_server(wire: Callable[[Query], bytes]) -> None:
    """Says nothing of the domain: the mail waits."""
    made, _ = resolver(wire)
    for reply in (run(made.mail_exchangers("x.test")), run(made.addresses("x.test"))):
        assert isinstance(reply, Reply)
        assert (reply.code, reply.status) == (451, "4.4.3")
        assert reply.text.isprintable() and len(reply.text) < 500


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mx\\000.x.test.", "mx\\000.x.test"),
        ("\\195\\188.test.", "\\195\\188.test"),
        (".".join(["x" * 61] * 4) + ".", ".".join(["x" * 61] * 4)),
        ("a\\.b.test.", "a\\.b.test"),
        ("XN--BCHER-KVA.test.", "xn--bcher-kva.test"),
    ],
)
def test_odd_names(name: str, expected: str) -> None:
    """Are shown so that nothing hides in them."""
    made, _ = resolver(lambda query: honest(query, f"10 {name}").to_wire())
    assert run(made.mail_exchangers("x.test")) == [(10, expected)]


def test_thousands_of_exchangers() -> None:
    """As many as an answer can hold; they do not stay in memory."""
    records = [f"{n} m{n:04}." for n in range(2_500)]
    made, server = resolver(lambda query: honest(query, *records).to_wire())
    for _ in range(2):
        found = run(made.mail_exchangers("x.test"))
        assert len(found) == 2_500 > MAX_CACHED_RECORDS  # type: ignore[arg-type]
    assert server.asked == 2
    assert not isinstance(in_order(found, "mx.office.test", Random(1)), Reply)  # type: ignore[arg-type]


def test_many_answers() -> None:
    """The cache has an end."""
    made, _ = resolver(lambda query: honest(query).to_wire())
    for n in range(CACHED + 10):
        run(made.mail_exchangers(f"x{n}.test"))
    assert len(made._resolver.cache.data) == CACHED


@pytest.mark.parametrize(("ttl", "asked"), [(0, 2), (60, 1)])
def test_time_to_live(ttl: int, asked: int) -> None:
    made, server = resolver(lambda query: honest(query, ttl=ttl).to_wire())
    for _ in range(2):
        run(made.mail_exchangers("x.test"))
    assert server.asked == asked


def test_nobody_is_believed_for_ever() -> None:
    made, _ = resolver(lambda query: honest(query, ttl=2**31 - 1).to_wire())
    run(made.mail_exchangers("x.test"))
    (node,) = made._resolver.cache.data.values()
    assert node.value.expiration <= time() + MAX_TTL


def test_alias_that_leads_out() -> None:
    """An answer about another name, in another class or of another type is none."""

    def wire(query: Query) -> bytes:
        response = dns.message.make_response(query)
        response.answer.append(dns.rrset.from_text("evil.test.", 60, "IN", "MX", "10 mx.evil.test."))
        response.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "TXT", '"10 mx.evil.test."'))
        return response.to_wire()

    made, _ = resolver(wire)
    reply = run(made.mail_exchangers("x.test"))
    assert isinstance(reply, Reply) and reply.status == "5.1.2"


def test_any_octets() -> None:
    """Mutated answers never raise, and what comes of them can be shown."""
    seed = SystemRandom().getrandbits(48)
    print(f"seed {seed}")
    chance = Random(seed)

    def wire(query: Query) -> bytes:
        data = bytearray(honest(query).to_wire())
        for _ in range(chance.randrange(1, 5)):
            at = chance.randrange(2, len(data))
            if chance.random() < 0.2:
                del data[at:]
                data += chance.randbytes(chance.randrange(12))
            else:
                data[at % len(data)] = chance.choice((0, 1, 0xC0, 0xFF, chance.randrange(256)))
        return bytes(data)

    made, _ = resolver(wire)
    for n in range(ANSWERS):
        for found in (run(made.mail_exchangers(f"x{n}.test")), run(made.addresses(f"x{n}.test"))):
            if isinstance(found, Reply):
                assert found.text.isprintable() and len(found.text) < 500
            else:
                assert all(str(each).isprintable() for each in found)
