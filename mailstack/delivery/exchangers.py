"""In which order the mail exchangers of a domain are tried. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain, groupby, zip_longest
from operator import itemgetter
from random import Random

from mailstack.delivery.ip import is_address
from mailstack.model.reply import Reply
from mailstack.protocol.smtp_opening import LOOP_STATUS

MAX_NAMES = 10  #: names that are looked up in one attempt, 5 of which can be called
#: RFC 1123 §2.1, and the underscore that some have. Whoever else stands in an MX record is nobody, and shall not stand
#: in the log as something else.
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\Z")


def in_order(exchangers: Sequence[tuple[int, str]], ourselves: str, rng: Random) -> Sequence[Sequence[str]] | Reply:
    """Hosts, the best first; those of equal preference together, in random order. RFC 5321 §5.1.

    Where we are in the list ourselves, only better ones are left: mail never goes round between backups. None
    better: the mail would come back to us (5.4.6). Names that no host can have, and addresses in the place of names
    (RFC 1035 §3.3.9), are left out.
    """
    named = [(preference, host.lower()) for preference, host in exchangers]
    own = [preference for preference, host in named if host == ourselves.lower()]
    better = [each for each in named if not own or each[0] < min(own)]
    if not better:
        return loop(f"DNS says that {ourselves} itself is where this mail should go")
    usable = [(preference, host) for preference, host in better if is_host(host)]
    if not usable:
        return Reply(550, "5.4.4", "The MX records of the domain name no host that could exist")
    rng.shuffle(usable)
    usable = sorted(usable, key=itemgetter(0))[:MAX_NAMES]
    return [[host for _, host in equals] for _, equals in groupby(usable, key=itemgetter(0))]


def is_host(name: str) -> bool:
    return _HOST.match(name) is not None and not is_address(name)


def alternating(addresses: Sequence[str]) -> list[str]:
    """IPv6 and IPv4 in turn, IPv6 first, else as DNS has them: where one of the two does not work, the other is soon
    tried."""
    six = [address for address in addresses if ":" in address]
    four = [address for address in addresses if ":" not in address]
    return [address for address in chain.from_iterable(zip_longest(six, four)) if address is not None]


def loop(why: str) -> Reply:
    return Reply(554, LOOP_STATUS, f"Mail loop: {why}")
