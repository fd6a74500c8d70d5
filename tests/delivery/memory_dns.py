"""DNS in memory. A zone maps (name, type) to records as text; both providers of IResolver understand it."""

from __future__ import annotations

from collections.abc import Collection, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from zope.interface import implementer

from mailstack.interfaces.delivery import IResolver
from mailstack.model.reply import Reply

Zone = Mapping[tuple[str, str], Sequence[str]]
T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of something that never really waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("it waits")


@implementer(IResolver)
class MemoryResolver:
    """``broken`` names get no answer."""

    def __init__(self, zone: Zone, broken: Collection[str] = ()) -> None:
        self.zone = dict(zone)
        self.broken = set(broken)
        self.asked: list[str] = []

    async def mail_exchangers(self, domain: str) -> Sequence[tuple[int, str]] | Reply:
        self.asked.append(domain)
        if domain == "localhost":
            return [(0, domain)]
        records = self._records(domain, "MX")
        if isinstance(records, Reply):
            return records
        if not records:
            addresses = await self.addresses(domain)
            return addresses if isinstance(addresses, Reply) else [(0, domain)]
        pairs = [record.split() for record in records]
        hosts = [(int(preference), host.rstrip(".")) for preference, host in pairs if host != "."]
        return hosts or Reply(556, "5.1.10", "null MX")

    async def addresses(self, host: str) -> Sequence[str] | Reply:
        self.asked.append(host)
        if host == "localhost":
            return ["::1", "127.0.0.1"]
        answers = [self._records(host, kind) for kind in ("AAAA", "A")]
        found = [record for answer in answers if not isinstance(answer, Reply) for record in answer]
        refusals = [answer for answer in answers if isinstance(answer, Reply)]
        return found or (refusals[0] if refusals else Reply(550, "5.1.2", "no address"))

    def _records(self, name: str, kind: str) -> Sequence[str] | Reply:
        for _ in range(8):
            name = name.rstrip(".").encode("idna").decode("ascii").lower()
            if name in self.broken:
                return Reply(451, "4.4.3", "DNS does not answer")
            if (name, "CNAME") not in self.zone:
                break
            name = self.zone[name, "CNAME"][0]
        else:
            return Reply(451, "4.4.3", "a chain of aliases without an end")
        if not any(owner == name for owner, _ in self.zone):
            return Reply(550, "5.1.2", "no such domain")
        return self.zone.get((name, kind), ())
