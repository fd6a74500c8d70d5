"""Who may make an attempt now: a place is for what moves. Pure."""

from __future__ import annotations

from enum import IntEnum

SLOW = 1_000  #: attempts in all that take their time: each is a connection, and little else


class Lane(IntEnum):
    """What is known of a destination. Whoever may be dead cannot take all the places."""

    AGAIN = 0  #: this letter has failed before, and nothing has been heard since
    FRESH = 1  #: a first attempt
    PROVEN = 2  #: it has answered just now


#: Of the places, so much is for a lane together with those below it.
SHARES = {Lane.AGAIN: 0.75, Lane.FRESH: 0.9, Lane.PROVEN: 1.0}


class Places:
    """So many places for attempts; one that lasts is moved to the slow ones, and its place is free."""

    def __init__(self, total: int, slow: int = SLOW) -> None:
        self._fast = _Room(total)
        self._slow = _Room(slow)
        self._overtime: list[Place] = []

    def free(self, lane: Lane) -> bool:
        return self._fast.free(lane)

    def take(self, lane: Lane) -> Place:
        self._fast.change(lane, 1)
        return Place(self, lane)

    def move(self, place: Place) -> None:
        """It takes its time. When there are too many of those, it stays until there is room."""
        if self._slow.free(place.lane):
            self._fast.change(place.lane, -1)
            self._slow.change(place.lane, 1)
            place.slow = True
        else:
            self._overtime.append(place)

    def leave(self, place: Place) -> None:
        if not place.slow:
            self._fast.change(place.lane, -1)
            if place in self._overtime:
                self._overtime.remove(place)
            return
        self._slow.change(place.lane, -1)
        waiting, self._overtime = self._overtime, []
        for each in waiting:
            self.move(each)


class Place:
    """Of one attempt."""

    def __init__(self, places: Places, lane: Lane) -> None:
        self._places = places
        self.lane = lane
        self.slow = False

    def move(self) -> None:
        self._places.move(self)

    def leave(self) -> None:
        self._places.leave(self)


class _Room:
    """Places of one kind, by lane."""

    def __init__(self, total: int) -> None:
        self._most = [max(1, int(total * SHARES[lane])) for lane in Lane]
        self._taken = [0 for _ in Lane]

    def free(self, lane: Lane) -> bool:
        together = sum(self._taken[:lane])
        for taken, most in zip(self._taken[lane:], self._most[lane:], strict=True):
            together += taken
            if together >= most:
                return False
        return True

    def change(self, lane: Lane, by: int) -> None:
        self._taken[lane] += by
