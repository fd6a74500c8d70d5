"""How long the answer to a log-in waits after others have failed: by address, by network and by account."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import ip_address, ip_network

from attrs import frozen

MAX_DELAY = 4.0  # seconds; no mail program gives up so soon, a guesser gets 900 tries an hour
FIRST_DELAY = 0.5  # seconds; doubled with each further failure
HALF_LIFE = 900.0  # seconds after which failures count half: an attack is forgotten in an afternoon
MAX_KEYS = 10_000  # remembered of each kind; beyond, the one that failed longest ago is forgotten
FAMILIAR = 12 * 3600.0  # seconds: whoever reads mail in the evening has read it in the morning
NETWORK_PREFIX = {4: 24, 6: 48}  # what one organisation has, and a botnet's landlord rents out


@frozen
class Rule:
    """``free`` failures cost nothing: people mistype, and share addresses and networks with others who do."""

    free: int

    def delay(self, failures: float) -> float:
        """Seconds, after so many failures."""
        beyond = round(failures) - self.free
        if beyond < 0:
            return 0.0
        return min(MAX_DELAY, FIRST_DELAY * 2.0 ** min(beyond, 10))


ADDRESS, NETWORK, ACCOUNT = Rule(free=3), Rule(free=20), Rule(free=5)


@frozen
class Level:
    """Failures, as of a moment."""

    failures: float
    at: float

    def now(self, now: float) -> float:
        return self.failures * math.pow(0.5, (now - self.at) / HALF_LIFE)


class Levels:
    """Failures by key, in bounded memory."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._levels: OrderedDict[str, Level] = OrderedDict()

    def delay(self, key: str, now: float) -> float:
        level = self._levels.get(key)
        return 0.0 if level is None else self._rule.delay(level.now(now))

    def change(self, key: str, by: int, now: float) -> None:
        """Count failures; a negative number takes back what was counted a moment ago."""
        level = self._levels.pop(key, None)
        failures = by + (level.now(now) if level else 0.0)
        if failures <= 0:
            return
        self._levels[key] = Level(failures, now)
        if len(self._levels) > MAX_KEYS:
            self._levels.popitem(last=False)


class Delays:
    """``now`` in seconds. Tries in flight count as failures, so many at once are no way round."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._addresses, self._networks, self._accounts = Levels(ADDRESS), Levels(NETWORK), Levels(ACCOUNT)
        self._familiar: OrderedDict[tuple[str, str], float] = OrderedDict()

    def seconds(self, address: str, account: str) -> float:
        """For the next try. One that is familiar does not wait for what others do, from wherever they do it."""
        now = self._now()
        own = self._addresses.delay(address, now)
        if self.familiar(address, account):
            return own
        return max(own, self._networks.delay(network(address), now), self._accounts.delay(account, now))

    def familiar(self, address: str, account: str) -> bool:
        return self._familiar.get((address, account), 0.0) > self._now()

    def count(self, address: str, account: str, by: int) -> None:
        """Failures, or with a negative number failures that were none."""
        now = self._now()
        self._addresses.change(address, by, now)
        self._networks.change(network(address), by, now)
        self._accounts.change(account, by, now)

    def welcome(self, address: str, account: str) -> None:
        """A log-in went well: the address is familiar to this account from now on."""
        self._familiar[address, account] = self._now() + FAMILIAR
        self._familiar.move_to_end((address, account))
        if len(self._familiar) > MAX_KEYS:
            self._familiar.popitem(last=False)


def network(address: str) -> str:
    """The network of an address, or of a network of one client; what is neither is its own."""
    try:
        inside = ip_address(address.partition("/")[0])
    except ValueError:
        return address
    return str(ip_network((int(inside), NETWORK_PREFIX[inside.version]), strict=False))
