"""Places for attempts: the slow ones give theirs away, and who may be dead does not get them all."""

from __future__ import annotations

from random import Random

from mailstack.queue.places import Lane, Place, Places


def fill(places: Places, lane: Lane) -> list[Place]:
    taken = []
    while places.free(lane):
        taken.append(places.take(lane))
    return taken


def test_some_places_are_kept_for_those_of_whom_more_is_known() -> None:
    places = Places(100)
    assert [len(fill(places, lane)) for lane in (Lane.AGAIN, Lane.FRESH, Lane.PROVEN)] == [75, 15, 10]


def test_those_of_whom_much_is_known_leave_none_for_the_others() -> None:
    places = Places(100)
    taken = fill(places, Lane.PROVEN)
    assert len(taken) == 100 and not places.free(Lane.AGAIN)
    taken[0].leave()
    assert places.free(Lane.AGAIN) and places.free(Lane.PROVEN)


def test_one_place_is_for_all() -> None:
    for lane in Lane:
        places = Places(1)
        assert len(fill(places, lane)) == 1
        assert not any(places.free(each) for each in Lane)


def test_an_attempt_that_lasts_gives_its_place_away() -> None:
    places = Places(2, slow=2)
    one, two = fill(places, Lane.PROVEN)
    one.move()
    assert places.free(Lane.PROVEN)
    one.leave()
    two.leave()
    assert len(fill(places, Lane.PROVEN)) == 2


def test_when_there_are_too_many_slow_ones_the_next_waits_in_its_place() -> None:
    places = Places(2, slow=1)
    one, two = fill(places, Lane.PROVEN)
    one.move()
    two.move()
    third = places.take(Lane.PROVEN)
    assert not places.free(Lane.PROVEN)
    one.leave()
    assert two.slow and places.free(Lane.PROVEN)
    for each in (two, third):
        each.leave()
    assert len(fill(places, Lane.PROVEN)) == 2


def test_who_leaves_while_it_waits_to_be_moved() -> None:
    places = Places(1, slow=1)
    (one,) = fill(places, Lane.PROVEN)
    one.move()
    (two,) = fill(places, Lane.PROVEN)
    two.move()
    two.leave()
    one.leave()
    assert len(fill(places, Lane.PROVEN)) == 1


def test_no_place_is_lost_or_given_twice() -> None:
    seed = 4711
    rng, places = Random(seed), Places(10, slow=20)
    taken: list[Place] = []
    moved: set[int] = set()
    for _ in range(5000):
        lane = rng.choice(list(Lane))
        match rng.randrange(3):
            case 0 if places.free(lane):
                taken.append(places.take(lane))
                moved.discard(id(taken[-1]))
            case 1 if taken:
                place = rng.choice(taken)
                if id(place) not in moved:
                    moved.add(id(place))
                    place.move()
            case 2 if taken:
                taken.pop(rng.randrange(len(taken))).leave()
        fast = sum(not place.slow for place in taken)
        assert fast <= 10 and len(taken) - fast <= 20, f"seed {seed}"
    for place in taken:
        place.leave()
    assert len(fill(places, Lane.PROVEN)) == 10, f"seed {seed}"
