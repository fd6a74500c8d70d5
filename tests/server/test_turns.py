"""Who goes next when many wait."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mailstack.server.turns import Turns


class Place:
    """Threads that answer when they are told to; ``begun`` are the calls in the order in which they began."""

    def __init__(self, places: int = 1) -> None:
        self.begun: list[Any] = []
        self.results: list[Any] = []
        self._running: list[tuple[Callable[[], Any], Deferred[Any]]] = []
        self.turns = Turns(self._in_thread, places)

    def _in_thread(self, function: Callable[[], Any]) -> Awaitable[Any]:
        result: Deferred[Any] = Deferred()
        self._running.append((function, result))
        return result

    def call(self, name: str, party: str, friend: bool = False) -> None:
        def function() -> str:
            self.begun.append(name)
            return name

        done = self.turns.run(function, party, friend)
        assert isinstance(done, Deferred)
        done.addCallback(self.results.append)

    def work(self) -> int:
        """End one call; how many run then."""
        function, result = self._running.pop(0)
        try:
            result.callback(function())
        except MemoryError:
            result.errback(Failure())
        return len(self._running)

    def finish(self) -> None:
        while self._running:
            self.work()


def test_each_party_has_its_turn() -> None:
    place = Place()
    for number in range(100):
        place.call(f"guess{number}", "botnet")
    place.call("bob", "home")
    place.call("carol", "office")
    place.finish()
    assert place.begun[:4] == ["guess0", "guess1", "bob", "carol"]
    assert len(place.results) == 102


def test_friends_go_first() -> None:
    place = Place()
    for party in "abcdef":
        place.call(party, party)
    place.call("alice", "a", friend=True)
    place.finish()
    assert place.begun == ["a", "alice", "b", "c", "d", "e", "f"]


def test_no_more_at_a_time_than_there_are_places() -> None:
    place = Place(places=2)
    for number in range(5):
        place.call(str(number), str(number))
    assert place.work() == 2
    place.finish()
    assert place.results == ["0", "1", "2", "3", "4"]


def test_who_raises_gives_the_place_to_the_next() -> None:
    place = Place()

    def fail() -> None:
        raise MemoryError("none left")

    failed: list[Failure] = []
    done = place.turns.run(fail, "a", False)
    assert isinstance(done, Deferred)
    done.addErrback(failed.append)
    place.call("b", "b")
    place.finish()
    assert [failure.type for failure in failed] == [MemoryError]
    assert place.results == ["b"]
