"""Values of which every letter makes some."""

from __future__ import annotations

from attrs import evolve

from mailstack.model.value import frozen


@frozen
class Pair:
    one: int
    other: str = ""


@frozen(eq=False)
class Turn:
    to: str


@frozen(cache_hash=True)
class Key:
    name: str


def test_values_are_equal_by_what_they_hold_and_can_be_keys() -> None:
    assert Pair(1, "a") == evolve(Pair(2, "a"), one=1) != Pair(1, "b")
    assert len({Pair(1), Pair(1), Pair(2)}) == 2
    assert {Key("a"): 1}[Key("a")] == 1


def test_without_eq_each_is_itself_alone() -> None:
    turn = Turn("x")
    assert turn != Turn("x")
    assert len({turn, Turn("x"), turn}) == 2


def test_they_take_no_other_attributes() -> None:
    assert not hasattr(Pair(1), "__dict__")
