"""Lines and turns: who is next."""

from __future__ import annotations

from mailstack.config.settings import Queue
from mailstack.model.letter import Due
from mailstack.model.outcome import Delayed, Delivered
from mailstack.model.reply import Reply
from mailstack.queue.active import Active, Part
from mailstack.queue.lines import SHORT, Line, Lines
from mailstack.queue.places import Lane, Places
from mailstack.queue.transports import Terms
from tests.spool.contract import letter

TERMS = Terms.of(Queue())
TAKEN = Delivered(Reply(250, "2.0.0", "ok"), "mx[192.0.2.1]:25")
DOWN = Delayed(Reply(451, "4.4.1", "timed out"), unreachable=True)


class Street:
    """Ten places, of which those that failed before get seven."""

    def __init__(self) -> None:
        self.places = Places(10)
        self.lines = Lines(self.places, lambda: 0.0)
        self.count = 0

    def line(self, key: str) -> Line:
        return self.lines.open(key, TERMS)

    def join(self, key: str, attempts: int = 0) -> Part:
        self.count += 1
        due = Due.at_first(letter(f"L{self.count}", f"x@{key}"), 0.0)
        part = Part(Active.of(due), due, key)
        if attempts:
            (pending,) = due.pending
            part.due = Due(due.letter, (type(pending)(0, pending.recipient, attempts),))
        line = self.line(key)
        self.lines.join(line, part)
        self.lines.offer(line)
        return part

    def begin(self) -> str | None:
        """Whose attempt begins."""
        turn = self.lines.next()
        if turn is None:
            return None
        line, part, lane = turn
        line.destination.begin()
        self.places.take(lane)
        self.lines.offer(line)
        return part.key


def test_turns_are_taken_by_destination() -> None:
    street = Street()
    for key in ("a.test", "a.test", "a.test", "b.test", "c.test"):
        street.join(key)
    assert [street.begin() for _ in range(6)] == ["a.test", "b.test", "c.test", "a.test", "a.test", None]


def test_a_line_that_is_offered_again_keeps_its_turn() -> None:
    street = Street()
    for key in ("a.test", "b.test"):
        street.join(key)
    street.lines.offer(street.line("a.test"))
    assert street.begin() == "a.test"


def test_a_destination_that_has_answered_waits_no_longer_among_those_that_may_be_dead() -> None:
    """They have taken all places that there are for them."""
    street = Street()
    for _ in range(7):
        street.places.take(Lane.AGAIN)
    street.join("one.test", attempts=1)
    assert street.begin() is None
    destination = street.line("one.test").destination
    destination.end(destination.begin(), [TAKEN], 0.0, lambda failures: 60.0)
    street.lines.offer(street.line("one.test"))
    assert street.begin() == "one.test"


def test_a_destination_without_room_takes_no_turn() -> None:
    street = Street()
    street.join("one.test")
    destination = street.line("one.test").destination
    while not destination.dead:
        destination.end(destination.begin(), [DOWN], 0.0, lambda failures: 60.0)
    street.lines.offer(street.line("one.test"))
    street.join("two.test")
    assert [street.begin(), street.begin()] == ["two.test", None]


def test_the_count_of_what_is_in_memory() -> None:
    street = Street()
    part = street.join("one.test")
    line = street.line("one.test")
    assert street.lines.size == 1
    for _ in range(2):
        street.lines.unmark(line, part.id)
        assert street.lines.size == 0


def test_letters_that_are_only_being_recorded_take_no_room_in_their_line() -> None:
    """The disk takes its time, and others can be tried meanwhile; all together are still counted."""
    street = Street()
    for _ in range(2 * SHORT):
        street.join("a.test")
    line = street.line("a.test")
    assert street.lines.room(line) <= 0 and not street.lines.low(line)
    line.recorded = 2 * SHORT - 5
    assert street.lines.room(line) == SHORT - 5 and street.lines.low(line)
    assert street.lines.size == 2 * SHORT
