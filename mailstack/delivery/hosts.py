"""Which servers a next hop has, by what DNS says: where we may connect to, and where not."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from attrs import frozen

from mailstack.delivery.exchangers import alternating, in_order, loop
from mailstack.delivery.ip import Here, is_address, is_nowhere
from mailstack.interfaces.delivery import Host, IResolver, NextHop
from mailstack.model.reply import Reply

NO_SMARTHOST = Reply(451, "4.3.5", "There is a route to the smarthost, but [smarthost] host is empty")
MAX_OF_NAME = 3  #: addresses of one name that are tried where there are more names


@frozen
class Found:
    """Hosts to try, in order, and why others are none. ``ourselves``: the mail came back to us from there, and from
    all that are not better (RFC 5321 §5.1)."""

    hosts: Sequence[Host]
    refusals: Sequence[Reply] = ()
    ourselves: bool = False


class Hosts:
    """Knows whom to call, not how to talk."""

    def __init__(self, resolver: IResolver, hostname: str, rng: Random, here: Here) -> None:
        self._resolver = resolver
        self._hostname = hostname
        self._rng = rng
        self._here = here

    async def names(self, hop: NextHop) -> Sequence[Sequence[str]] | Reply:
        """Those of equal preference together, the best first."""
        if not hop.host:
            return NO_SMARTHOST
        if not hop.exchangers or is_address(hop.host):
            return [[hop.host]]
        found = await self._resolver.mail_exchangers(hop.host)
        ranks = found if isinstance(found, Reply) else in_order(found, self._hostname, self._rng)
        return _to_be_mended(hop, ranks) if isinstance(ranks, Reply) else ranks

    async def of(self, hop: NextHop, names: Sequence[str], alone: bool) -> Found:
        """The hosts behind names of equal preference; ``alone``: there are no others."""
        hosts: list[Host] = []
        refusals: list[Reply] = []
        for name in names:
            addresses = await self._addresses(hop, name)
            if isinstance(addresses, Reply):
                refusals.append(_to_be_mended(hop, addresses))
                continue
            found = [Host(name, address, hop.port) for address in alternating(addresses)]
            if any(self._is_ours(host) for host in found):
                return Found((), [_back_to_us(hop, name)], ourselves=True)
            reasons = [self._unusable(hop, host) for host in found]
            refusals += filter(None, reasons)
            usable = [host for host, reason in zip(found, reasons, strict=True) if reason is None]
            hosts += usable if alone and len(names) == 1 else usable[:MAX_OF_NAME]
        return Found(hosts, refusals)

    async def _addresses(self, hop: NextHop, name: str) -> Sequence[str] | Reply:
        if name.startswith("/") or is_address(name):
            return [name]
        if not hop.exchangers and not hop.named:  # an address literal: [192.0.2.1]
            return Reply(550, "5.1.2", f"[{name}] is no address of a server")
        return await self._resolver.addresses(name)

    def _is_ours(self, host: Host) -> bool:
        return not host.address.startswith("/") and self._here.is_ours(host.address, host.port)

    def _unusable(self, hop: NextHop, host: Host) -> Reply | None:
        address = host.address
        if address.startswith("/"):
            return None
        # Anybody can write our loopback address into DNS, where services listen that trust whoever calls from here.
        if not hop.named and is_nowhere(address):
            whose = "" if host.name == address else f" of {host.name}"
            return Reply(550, "5.4.4", f"The address {address}{whose} belongs to this machine or to nobody: not called")
        if not self._here.reaches(address):
            return Reply(451, "4.4.1", f"There is no way from here to {host.name}[{address}]")
        return None


def _back_to_us(hop: NextHop, name: str) -> Reply:
    return _to_be_mended(hop, loop(f"DNS says that mail for {hop.host} goes to {name}, and that is ourselves"))


def _to_be_mended(hop: NextHop, reply: Reply) -> Reply:
    """A host of mail.ini that leads nowhere, or back to us, is our own mistake, which somebody will mend: no reason to
    return mail."""
    if not (hop.named and reply.permanent):
        return reply
    return Reply(451, f"4{reply.status[1:]}", f"mail.ini names {hop.host}, which is of no use: {reply.text}")
