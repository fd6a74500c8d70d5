"""DNS through dnspython, off the reactor, with a cache in memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import dns.exception
import dns.name
import dns.nameserver
import dns.resolver
from zope.interface import implementer

from mailstack.interfaces.delivery import IResolver
from mailstack.model.domain import MAX_DOMAIN, to_ascii
from mailstack.model.reply import Reply

LIFETIME = 10.0  #: seconds for one question, all servers and retries included
TIMEOUT = 3.0  #: seconds until the next server is asked
CACHED = 2_000  #: answers
MAX_CACHED_RECORDS = 100  #: of one answer: those of strangers must not fill our memory
MAX_TTL = 86_400  #: seconds for which an answer is believed, whatever it says; Unbound's cache-max-ttl

#: RFC 6761 §6.3: this name is not DNS's business.
LOCALHOST = ("::1", "127.0.0.1")

NULL_MX = Reply(556, "5.1.10", "The domain does not accept mail (null MX)")

#: What dnspython returns has no types.
Answer = Any


class _SmallAnswers(dns.resolver.LRUCache):
    def put(self, key: Any, value: Answer) -> None:  # Any: dnspython's keys
        response = value.response
        if sum(len(records) for section in response.sections for records in section) > MAX_CACHED_RECORDS:
            return
        value.expiration -= max(0, value.chaining_result.minimum_ttl - MAX_TTL)
        super().put(key, value)


@implementer(IResolver)
class DnsResolver:
    """``servers`` are addresses and ports, none: the system's. ``in_thread`` calls a function in another thread."""

    def __init__(
        self,
        in_thread: Callable[..., Awaitable[Any]],
        servers: Sequence[tuple[str, int]] = (),
        lifetime: float = LIFETIME,
    ) -> None:
        self._in_thread = in_thread
        self._resolver = _resolver(servers)
        self._resolver.lifetime = lifetime
        self._resolver.timeout = min(TIMEOUT, lifetime)
        self._resolver.cache = _SmallAnswers(CACHED)

    async def mail_exchangers(self, domain: str) -> Sequence[tuple[int, str]] | Reply:
        found: Sequence[tuple[int, str]] | Reply = await self._asked(self._mail_exchangers, domain)
        return found

    async def addresses(self, host: str) -> Sequence[str] | Reply:
        found: Sequence[str] | Reply = await self._asked(self._addresses, host)
        return found

    async def _asked(self, question: Callable[[str], Any], name: str) -> Any:  # Any: as the question has it
        try:
            return await self._in_thread(question, name)
        except OSError as error:
            return Reply(451, "4.4.3", f"DNS cannot be asked now: {_brief(error)}")

    # ---- In the thread

    def _mail_exchangers(self, domain: str) -> Sequence[tuple[int, str]] | Reply:
        if _is_localhost(domain):
            return [(0, domain)]
        answer = self._ask(domain, "MX")
        if isinstance(answer, Reply):
            return answer
        if not answer:
            # RFC 5321 §5.1: a domain without MX is its own, with preference 0.
            addresses = self._addresses(domain)
            return addresses if isinstance(addresses, Reply) else [(0, domain)]
        hosts = [(record.preference, record.exchange) for record in answer]
        # RFC 7505 §3: "." means that there is no mail; beside others it means nothing.
        real = [(preference, _text(host)) for preference, host in hosts if host != dns.name.root]
        return real or NULL_MX

    def _addresses(self, host: str) -> Sequence[str] | Reply:
        if _is_localhost(host):
            return LOCALHOST
        answers = [self._ask(host, kind) for kind in ("AAAA", "A")]
        found = [record.address for answer in answers if not isinstance(answer, Reply) for record in answer]
        if found:
            return found
        refusals = [answer for answer in answers if isinstance(answer, Reply)]
        # One that may come back counts more than one that says no.
        refusals.sort(key=lambda reply: reply.code)
        return refusals[0] if refusals else Reply(550, "5.1.2", f"The host {host} has no address in DNS")

    def _ask(self, name: str, kind: str) -> Answer | Reply:
        """The records, maybe none."""
        try:
            question = dns.name.from_text(to_ascii(name))
        except (dns.exception.DNSException, ValueError) as error:
            return Reply(550, "5.1.2", f"{name[:MAX_DOMAIN]} is not a domain name: {_brief(error)}")
        try:
            return self._resolver.resolve(question, kind, raise_on_no_answer=False, search=False).rrset or ()
        except dns.resolver.NXDOMAIN:
            return Reply(550, "5.1.2", f"The domain {name} does not exist (DNS: NXDOMAIN)")
        except dns.resolver.LifetimeTimeout:
            return Reply(451, "4.4.3", f"DNS does not answer ({kind} of {name})")
        except (dns.exception.DNSException, OSError, ValueError) as error:
            return Reply(451, "4.4.3", f"DNS has a problem with {name} ({kind}): {_brief(error)}")


def _is_localhost(name: str) -> bool:
    return name == "localhost" or name.endswith(".localhost")


def _resolver(servers: Sequence[tuple[str, int]]) -> dns.resolver.Resolver:
    if not servers:
        try:
            return dns.resolver.Resolver()
        except dns.resolver.NoResolverConfiguration:
            servers = (("127.0.0.1", 53),)  # as the C library does without resolv.conf
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = [dns.nameserver.Do53Nameserver(address, port) for address, port in servers]
    return resolver


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
