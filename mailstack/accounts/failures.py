"""Failed log-ins: when a client gets no further try, and how long an answer waits. In bounded memory."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from threading import Lock

from mailstack.accounts.delays import Delays, network
from mailstack.model.networks import source

WINDOW = 60.0  # seconds
MAX_CLIENTS = 10_000  # addresses remembered; beyond, the one that failed longest ago is forgotten


class Failures:
    """At most ``limit`` failures a minute for each client; answers wait before that. Threads may share it.

    ``account`` is what the client calls it, known or not, in a form in which it has one name only.
    """

    def __init__(self, limit: int, now: Callable[[], float]) -> None:
        self._limit = limit
        self._now = now
        self._lock = Lock()
        self._times: OrderedDict[str, deque[float]] = OrderedDict()
        self._delays = Delays(now)

    def blocked(self, client: str) -> bool:
        with self._lock:
            return len(self._recent(source(client))) >= self._limit

    def delay(self, client: str, account: str) -> float:
        """Seconds that the answer waits, right or wrong: or a guesser need not wait for "wrong"."""
        with self._lock:
            return self._delays.seconds(source(client), account)

    def familiar(self, client: str, account: str) -> bool:
        """Whether the client has known the password lately."""
        with self._lock:
            return self._delays.familiar(source(client), account)

    def party(self, client: str) -> str:
        """With whom the client shares its turns."""
        return network(source(client))

    def begin(self, client: str, account: str) -> float | None:
        """Count a try as failed until it turns out well; seconds that its answer waits. None: this client has no try
        left.

        So tries that run at the same time cannot be more than the limit either.
        """
        with self._lock:
            key = source(client)
            times = self._recent(key)
            if len(times) >= self._limit:
                return None
            times.append(self._now())
            self._times[key] = times
            self._times.move_to_end(key)
            if len(self._times) > MAX_CLIENTS:
                self._times.popitem(last=False)
            seconds = self._delays.seconds(key, account)
            self._delays.count(key, account, 1)
            return seconds

    def take_back(self, client: str, account: str) -> None:
        """What :meth:`begin` counted was no failure."""
        with self._lock:
            key = source(client)
            times = self._recent(key)
            if times:
                times.pop()
            if not times:
                self._times.pop(key, None)
            self._delays.count(key, account, -1)

    def welcome(self, client: str, account: str) -> None:
        """The client knows the password."""
        with self._lock:
            self._delays.welcome(source(client), account)

    def _recent(self, key: str) -> deque[float]:
        times = self._times.get(key, deque())
        while times and times[0] <= self._now() - WINDOW:
            times.popleft()
        return times
