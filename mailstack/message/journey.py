"""The way of a letter, by its Received fields: how long each hop took, whose clock is wrong, and what of it is sure.

Every server puts its Received field on top, and what a letter brings along below that may be invented. So only a run of
fields from the top down is sure: those that our own hosts have written. It goes on below one of them only if that says
that the letter came from a host of ours, by its address: a name in HELO is no proof.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from itertools import pairwise

from attrs import frozen

from mailstack.message.clocks import Runs, Skew, runs, skews
from mailstack.message.received import Stamp
from mailstack.model.domain import to_ascii
from mailstack.model.networks import lies_in

MAX_HOPS = 100  # the newest ones; twice as many as letters have before they are refused as a loop

#: Why what is older is not sure.
STRANGER, CLAIMED, NOT_OURS, UNREADABLE, SKIPPED, FIRST, END, NOBODY, NONE = (
    "stranger",  # the oldest sure hop has it from a host that is not ours
    "claimed",  # the same, but the next field says that it is by one of ours
    "not_ours",  # it came from a host of ours, but the next field is not by one
    "unreadable",  # the same, and nobody can tell by whom the next field is
    "skipped",  # it was not looked at
    "first",  # nothing is older; the oldest hop has it from a host that is not ours
    "end",  # nothing is older, and it was made at a host of ours
    "nobody",  # not even the newest field is by a host of ours
    "none",  # there is no field
)

Network = IPv4Network | IPv6Network


@frozen
class Ours:
    """The hosts that are believed."""

    hosts: frozenset[str]  #: names, lower case, A-labels
    domains: frozenset[str]  #: with all that is below them
    networks: tuple[Network, ...] = ()

    def wrote(self, stamp: Stamp) -> bool:
        return stamp.readable and self.has(stamp.by.partition(" ")[0])

    def has(self, host: str) -> bool:
        """A name, or an address."""
        literal = host.strip("[]").removeprefix("IPv6:")
        try:
            return lies_in(str(ip_address(literal)), self.networks)
        except ValueError:
            pass
        try:
            name = to_ascii(host).rstrip(".")
        except ValueError:
            return False
        labels = name.split(".")
        return name in self.hosts or any(".".join(labels[place:]) in self.domains for place in range(len(labels)))

    def sent(self, stamp: Stamp) -> bool:
        """Whether a host of ours is who handed it over; of ``stamp``, which is by one of ours. Where no client is
        named it was moved on inside of that host. A program there may bring along whatever it likes, so neither it nor
        loopback is believed by itself."""
        if not stamp.address:
            return not (stamp.helo or stamp.local)
        return lies_in(stamp.address, self.networks)


@frozen
class Hop:
    number: int  #: from 1, which is the oldest of the whole letter
    stamp: Stamp
    sure: bool
    delay: int | None = None  #: seconds since the last hop whose clock may be right
    slowest: bool = False


@frozen
class Journey:
    """``hops`` are the oldest first."""

    hops: tuple[Hop, ...]
    skipped: int  #: the oldest ones, where there are more than MAX_HOPS
    border: str  #: why what is older than the sure hops is not
    skews: tuple[Skew, ...]  #: their places are those in ``hops``
    total: int | None  #: seconds from the first clock that is surely right to the last

    @property
    def last_sure(self) -> Hop | None:
        """The oldest hop that is sure."""
        return next((hop for hop in self.hops if hop.sure), None)


def journey(stamps: Sequence[Stamp], ours: Ours) -> Journey:
    """``stamps`` as they stand in the letter: the newest first."""
    kept = stamps[:MAX_HOPS]
    skipped = len(stamps) - len(kept)
    number, border = _sure(kept, ours)
    if number == MAX_HOPS and skipped:
        border = SKIPPED
    times = [stamp.time for stamp in reversed(kept)]
    sure = [place >= len(kept) - number for place in range(len(kept))]
    # Our own clocks are right, whatever all others say.
    right = runs(times, [len(kept) + 1 if each else 1 for each in sure])
    delays = _delays(times, right)
    slowest = _slowest(delays, right)
    hops = tuple(
        Hop(skipped + place + 1, stamp, sure[place], delays[place][0] if place in delays else None, place == slowest)
        for place, stamp in enumerate(reversed(kept))
    )
    found = [time for place, time in enumerate(times) if time is not None and place in right.all]
    total = found[-1] - found[0] if len(found) > 1 else None
    return Journey(hops, skipped, border, tuple(skews(times, right)), total)


def _sure(stamps: Sequence[Stamp], ours: Ours) -> tuple[int, str]:
    """How many from the top are, and why no more."""
    if not stamps:
        return 0, NONE
    if not ours.wrote(stamps[0]):
        return 0, NOBODY
    for place, (stamp, older) in enumerate(pairwise(stamps), 1):
        if not ours.sent(stamp):
            return place, CLAIMED if ours.wrote(older) else STRANGER
        if not ours.wrote(older):
            return place, NOT_OURS if older.by else UNREADABLE
    return len(stamps), END if ours.sent(stamps[-1]) else FIRST


def _delays(times: Sequence[int | None], right: Runs) -> dict[int, tuple[int, int]]:
    """By place, without the first: seconds since the last one whose clock may be right, and which that was."""
    found: dict[int, tuple[int, int]] = {}
    before: tuple[int, int] | None = None
    for place, time in enumerate(times):
        if time is None:
            continue
        if before is not None:
            found[place] = time - before[0], before[1]
        if place in right.some:
            before = time, place
    return found


def _slowest(delays: dict[int, tuple[int, int]], right: Runs) -> int | None:
    """Where both clocks are right."""
    sure = {place: delay for place, (delay, since) in delays.items() if {place, since} <= right.all and delay > 0}
    return max(sure, key=sure.__getitem__, default=None)
