"""Failed log-ins by client address, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from threading import Lock

WINDOW = 60.0  # seconds
MAX_CLIENTS = 10_000  # addresses remembered; beyond, the one that failed longest ago is forgotten
IPV6_PREFIX = 64  # one subscriber has a whole /64


class Failures:
    """At most ``limit`` failures a minute for each client. Threads may share it."""

    def __init__(self, limit: int, now: Callable[[], float]) -> None:
        self._limit = limit
        self._now = now
        self._lock = Lock()
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def blocked(self, client: str) -> bool:
        with self._lock:
            return len(self._recent(source(client))) >= self._limit

    def begin(self, client: str) -> bool:
        """Count a try as failed until it turns out well; False: this client has none left.

        So tries that run at the same time cannot be more than the limit either.
        """
        with self._lock:
            key = source(client)
            times = self._recent(key)
            if len(times) >= self._limit:
                return False
            times.append(self._now())
            self._times[key] = times
            self._times.move_to_end(key)
            if len(self._times) > MAX_CLIENTS:
                self._times.popitem(last=False)
            return True

    def succeeded(self, client: str) -> None:
        """Take back what :meth:`begin` counted."""
        with self._lock:
            key = source(client)
            times = self._recent(key)
            if times:
                times.pop()
            if not times:
                self._times.pop(key, None)

    def _recent(self, key: str) -> deque[float]:
        times = self._times.get(key, deque())
        while times and times[0] <= self._now() - WINDOW:
            times.popleft()
        return times


def source(client: str) -> str:
    """What counts as one client: an IPv4 address, a /64 of IPv6; a UNIX socket ("") as it is."""
    try:
        address = ip_address(client.partition("%")[0])
    except ValueError:
        return client
    if address.version == 4:
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ip_network((int(address), IPV6_PREFIX), strict=False))
