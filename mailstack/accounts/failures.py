"""Failed log-ins: when a client gets no further try, and how long an answer waits. In bounded memory."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from threading import Lock

from mailstack.accounts.delays import Delays
from mailstack.model.networks import source

WINDOW = 60.0  # seconds
MAX_CLIENTS = 10_000  # addresses remembered; beyond, the one that failed longest ago is forgotten


class Failures:
    """At most ``limit`` failures a minute for each client; answers wait before that. Threads may share it.

    ``account`` is what the client calls it, known or not, in a form in which it has one name only. A failure is
    ``repeated`` if the client has failed in just this way before. Such failures hold back nothing but their like: who
    shares the address with a program that repeats itself still has all tries.
    """

    def __init__(self, limit: int, now: Callable[[], float]) -> None:
        self._lock = Lock()
        self._all, self._different = LastMinute(limit, now), LastMinute(limit, now)
        self._delays = Delays(now)

    def blocked(self, client: str) -> bool:
        with self._lock:
            return self._different.full(source(client))

    def delay(self, client: str, account: str) -> float:
        """Seconds that the answer waits, right or wrong: or a guesser need not wait for "wrong"."""
        with self._lock:
            return self._delays.seconds(source(client), account)

    def begin(self, client: str, account: str) -> float | None:
        """Count a try as failed until it turns out well; seconds that its answer waits. None: this client has no try
        left.

        So tries that run at the same time cannot be more than the limit either.
        """
        with self._lock:
            key = source(client)
            if self._different.full(key):
                return None
            self._different.add(key)
            self._all.add(key)
            seconds = self._delays.seconds(key, account)
            self._delays.count(key, account, 1)
            return seconds

    def take_back(self, client: str, account: str, repeated: bool = False) -> None:
        """What :meth:`begin` counted was no failure, or a repeated one."""
        with self._lock:
            key = source(client)
            self._different.take_back(key)
            if not repeated:
                self._all.take_back(key)
            self._delays.count(key, account, -1)

    def repeat(self, client: str) -> bool:
        """Count a repeated failure; False: this client has failed often enough for now."""
        with self._lock:
            key = source(client)
            if self._all.full(key):
                return False
            self._all.add(key)
            return True

    def welcome(self, client: str, account: str) -> None:
        """The client knows the password."""
        with self._lock:
            self._delays.welcome(source(client), account)


class LastMinute:
    """What was counted within WINDOW, by key."""

    def __init__(self, limit: int, now: Callable[[], float]) -> None:
        self._limit = limit
        self._now = now
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def full(self, key: str) -> bool:
        return len(self._recent(key)) >= self._limit

    def add(self, key: str) -> None:
        times = self._times[key] = self._recent(key)
        times.append(self._now())
        self._times.move_to_end(key)
        if len(self._times) > MAX_CLIENTS:
            self._times.popitem(last=False)

    def take_back(self, key: str) -> None:
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
