"""LIST and UIDL, read with distrust."""

from __future__ import annotations

from mailstack.protocol.pop3_listing import Listed, listed, sizes, unique_ids


def test_a_good_list() -> None:
    rows = sizes([b"1 120", b"2 200 and more"]), unique_ids([b"1 abc", b"2 x y "])
    assert listed(*rows) == [Listed(1, 120, "abc"), Listed(2, 200, "x y")]


def test_rows_that_say_nothing_are_left_out() -> None:
    assert sizes([b"", b"x", b"1", b"1 x", b"-1 5", b"0 5", b"3 99999999999999999999", b"99999999999 1", b"4 5"]) == {
        4: 5
    }
    assert unique_ids([b"", b"1", b"0 a", b"x a"]) == {}


def test_ids_that_tell_nothing_apart() -> None:
    """Missing, or the same for two letters: each of those is known by its content."""
    found = listed({1: 1, 2: 2, 3: 3, 4: 4}, {1: b"same", 2: b"same", 4: b"own"})
    assert [each.uid for each in found] == [None, None, None, "own"]


def test_letters_that_only_one_list_knows() -> None:
    assert listed({1: 5}, {2: b"b"}) == [Listed(1, 5, None), Listed(2, 0, "b")]


def test_octets_beyond_ascii() -> None:
    """They are no unique-id that could be kept, but they tell a letter from the others."""
    assert listed({}, {1: b"\xff"}) == [Listed(1, 0, "\xff")]
