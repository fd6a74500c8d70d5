"""Notices when a NAT or a proxy hides who calls, so that strangers come with an address that we trust.

With ``networks = 192.168.0.0/16`` and a router that puts its own 192.168.1.1 in the place of every client's address,
the whole world may relay, and nothing in mail.ini shows it.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Collection

from mailstack.config.settings import HOUR
from mailstack.interfaces.log import IEventLog

WINDOW = 20  #: greetings of other domains that are looked at
MANY = 5  #: domains that speak from one address
PAUSE = HOUR  #: seconds between two warnings

#: A name with a top-level domain that is none of an office's own: RFC 2606, RFC 6762, RFC 8375.
_FULL_NAME = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.(?!(?:local|localdomain|lan|home|internal|arpa)\Z)[a-z-]{2,}")


class SourceWatch:
    """Fed with each greeting on [smtp]: the client's address and the name in its HELO or EHLO.

    An address alone is no sign: an office whose only client is the copier, or whose PCs are behind one router, or
    which gets all its mail from one filter in front, always sees one address and does nothing wrong. What tells them
    apart is the name. Copiers and PCs give a bare name, an address in brackets or a name in our own domains; a filter
    gives its own name, always the same. Servers of strangers give full names in domains of their own, each another.
    So only full names outside of our domains are counted, by their last two labels. When the last 20 of these came
    from one and the same address, which we trust, and were of 5 domains or more, then somebody stands in between. One
    single stranger's address among them shows that real addresses do arrive, and everything begins anew.
    """

    def __init__(
        self,
        trusts: Callable[[str], bool],
        domains: Collection[str],
        now: Callable[[], float],
        log: IEventLog,
    ) -> None:
        """``trusts`` says whether an address is in [relay] networks; ``domains`` are our own names; ``now`` in
        seconds."""
        self._trusts = trusts
        self._domains = {name.lower() for name in domains}
        self._now = now
        self._log = log
        self._address = ""
        self._names: deque[str] = deque(maxlen=WINDOW)
        self._quiet_until = float("-inf")

    def greeted(self, address: str, name: str) -> None:
        """``address`` is "" for a UNIX socket."""
        name = name.lower().removesuffix(".")
        if not _FULL_NAME.fullmatch(name) or self._ours(name):
            return
        if address != self._address:
            self._address = address
            self._names.clear()
        if not self._trusts(address):
            self._names.clear()
            return
        self._names.append(name)
        if len(self._names) == WINDOW and len(set(map(_domain, self._names))) >= MANY:
            self._warn()

    def _ours(self, name: str) -> bool:
        return any(name == domain or name.endswith(f".{domain}") for domain in self._domains)

    def _warn(self) -> None:
        if self._now() < self._quiet_until:
            return
        self._quiet_until = self._now() + PAUSE
        self._log.warn(
            "relay",
            what=f"strangers may relay: the last {WINDOW} servers of other domains all came from {self._address}, "
            "which is in [relay] networks;",
            note="a NAT or a proxy hides them: take its address out of networks, or let it tell who calls (haproxy:)",
        )


def _domain(name: str) -> str:
    """The last two labels: the hosts of one owner. Where the owner has three, this finds fewer domains, not more."""
    return ".".join(name.split(".")[-2:])
