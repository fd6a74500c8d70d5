"""Who waits for whom: a line for each destination, and turns among those whose first in line could go. Pure."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator

from attrs import Factory, define, frozen

from mailstack.queue.active import Part
from mailstack.queue.destination import Destination
from mailstack.queue.places import Lane, Places
from mailstack.queue.transports import Terms

CROWD = 3_000  #: parts of letters for other servers in memory; the others wait in the database
BACKLOG = 2_400  #: of these for what comes from the database, so that new mail finds room
SHORT = 20  #: in a line while there is room, at least
FRESH = 400  #: the same for letters that have just come: to read them from the database again costs more than all else
SHORTEST = 2  #: behind those on their way, in a crowd
AT_ONCE = 100  #: letters that are put off together, because their destination rests
REMEMBERED = 10_000  #: destinations of which something is known


@frozen
class Hurry:
    """What was put off while a destination was dead is to go now: what was not tried ``since``, from ``after`` on."""

    since: float
    after: float


@define(eq=False)
class Line:
    """What goes to one destination, as far as it is in memory."""

    key: str
    destination: Destination
    terms: Terms
    parts: deque[Part] = Factory(deque)  #: waiting
    ids: set[str] = Factory(set)  #: letters with a part here: waiting, attempted, being recorded
    recorded: int = 0  #: so many of them are just being recorded: the disk takes its time, and they need no room
    more: bool = False  #: there may be others in the database
    missed: bool = False  #: some found no room since the database was last asked: an answer says nothing of them
    hurry: Hurry | None = None
    newest: bool = False  #: whether the next ones are taken from that end
    turns: Lane | None = None  #: in which it takes part

    @property
    def length(self) -> int:
        """Those that wait or are attempted."""
        return len(self.ids) - self.recorded

    @property
    def needed(self) -> bool:
        return bool(self.ids or self.more or self.hurry)

    def lane(self) -> Lane:
        """For the first in line."""
        if self.destination.proven:
            return Lane.PROVEN
        return Lane.FRESH if self.parts[0].first and not self.destination.dead else Lane.AGAIN


class Lines:
    """``now`` is of a clock that nobody sets."""

    def __init__(self, places: Places, now: Callable[[], float]) -> None:
        self._places = places
        self._now = now
        self._lines: dict[str, Line] = {}
        self._known: OrderedDict[str, Destination] = OrderedDict()
        self._turns: dict[Lane, OrderedDict[Line, None]] = {lane: OrderedDict() for lane in Lane}
        self._order = deque(Lane)
        self.size = 0  #: parts in memory
        self.others = False  #: there may be more for destinations that have no line

    def __iter__(self) -> Iterator[Line]:
        return iter(list(self._lines.values()))

    def __contains__(self, key: str) -> bool:
        return key in self._lines

    def get(self, key: str) -> Line | None:
        return self._lines.get(key)

    def of(self, parts: Iterable[Part]) -> Iterator[Line]:
        """For each part its line, if it has one."""
        return filter(None, map(self._lines.get, [part.key for part in parts]))

    def open(self, key: str, terms: Terms) -> Line:
        line = self._lines.get(key)
        if line is None:
            destination = self._known.pop(key, None) or Destination(terms.concurrency)
            line = self._lines[key] = Line(key, destination, terms)
        return line

    def close(self, line: Line) -> None:
        """If nobody needs it any more; what was learnt of its destination is kept for a while."""
        if line.needed or self._lines.get(line.key) is not line:
            return
        del self._lines[line.key]
        self._known[line.key] = line.destination
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def behind(self, line: Line) -> None:
        """Others are asked for before it, next time."""
        if self._lines.pop(line.key, None) is line:
            self._lines[line.key] = line

    def room(self, line: Line | None = None) -> int:
        """How many more may come into a line (one that does not exist yet) from the database."""
        return min(self._bound(line) - (line.length if line else 0), BACKLOG - self.size)

    def _bound(self, line: Line | None, least: int = SHORT) -> int:
        """How many may be in a line; ``least``, while there is no crowd."""
        if line is None:
            return least
        if line.destination.resting(self._now()):
            return AT_ONCE
        window = int(line.destination.window)
        return window + SHORTEST if self.crowded else max(2 * window, least)

    def admits(self, key: str) -> bool:
        """Whether a new letter may come in. If not, it is known that there is more."""
        line = self._lines.get(key)
        full = line is not None and line.length >= self._bound(line, FRESH)
        if self.size < CROWD and not full:
            return True
        if line is None:
            self.others = True
        else:
            line.more = line.missed = True
        return False

    @property
    def crowded(self) -> bool:
        return self.size > BACKLOG // 2

    def low(self, line: Line) -> bool:
        """Whether it is time to look for more of it."""
        return line.length <= self._bound(line) // 2

    # ---- Coming and going

    def mark(self, line: Line, id: str) -> None:
        """A letter that has a part here."""
        line.ids.add(id)
        self.size += 1

    def unmark(self, line: Line, id: str) -> None:
        if id in line.ids:
            line.ids.remove(id)
            self.size -= 1

    def join(self, line: Line, part: Part) -> None:
        """Who was asked for goes first. Then the line is to be offered."""
        if part.asked:
            line.parts.appendleft(part)
        else:
            line.parts.append(part)
        self.mark(line, part.id)

    # ---- Turns

    def offer(self, line: Line) -> None:
        """It takes part in the turns, if its first in line may go; where it does already, it keeps its place."""
        lane = line.lane() if line.parts and line.destination.room(self._now()) else None
        if line.turns is not lane and line.turns is not None:
            self._turns[line.turns].pop(line, None)
        if lane is not None:
            self._turns[lane].setdefault(line)
        line.turns = lane

    def next(self) -> tuple[Line, Part, Lane] | None:
        """Whose turn it is, among those for whom there is a place."""
        for _ in self._turns:
            lane = self._order[0]
            self._order.rotate(-1)
            turns = self._turns[lane]
            while turns and self._places.free(lane):
                line, _ = turns.popitem(last=False)
                line.turns = None
                if line.parts and line.destination.room(self._now()) and line.lane() is lane:
                    return line, line.parts.popleft(), lane
                self.offer(line)
        return None
