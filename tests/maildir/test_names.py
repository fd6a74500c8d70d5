"""What file names say, odd ones included."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.maildir.indexing import indexed
from mailstack.maildir.listed import Stamps
from mailstack.maildir.names import age, base, keeping, letter_id, unique_ids, wire_size

FILE_NAMES = st.binary(min_size=1, max_size=200).map(lambda raw: raw.decode("utf-8", "surrogateescape"))


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("1.a.host,S=10,W=12", 12),
        ("1.a.host,W=12,S=10", 12),
        ("1.a.host,S=10", None),
        ("1.a.host,W=,S=1", None),
        ("1.a.host,W=12x", None),
        ("1.aW=3.host", None),
    ],
)
def test_wire_size(name: str, size: int | None) -> None:
    assert wire_size(name) == size


def test_base_is_what_flags_do_not_change() -> None:
    assert base("1.a.host,S=1:2,FS") == base("1.a.host,S=1") == "1.a.host,S=1"


def test_age_sorts_by_number() -> None:
    names = ["10.a", "9.b", "odd", "9.a"]
    assert sorted(names, key=age) == ["odd", "9.a", "9.b", "10.a"]


def test_unique_ids_are_the_names_where_that_is_possible() -> None:
    assert unique_ids(["1.a.host,S=1", "2.b.host"]) == ["1.a.host", "2.b.host"]


def test_unfit_names_get_a_hash() -> None:
    """Too long, with a space, not ASCII, not even text."""
    unfit = ["1." + "x" * 70, "1.a b", "1.ä", "1.\udcff", ",S=1"]
    assert all(len(uid) == 64 for uid in unique_ids(unfit))


def test_unique_id_does_not_depend_on_the_others() -> None:
    """Unless they share it; and then none takes over the id of another."""
    both = unique_ids(["1.a,S=1", "1.a,S=2"])
    assert len(set(both)) == 2
    assert "1.a" not in both
    assert unique_ids(["1.a,S=2", "1.a,S=1", "0.z"])[:2] == both[::-1]


def test_letter_id_is_in_the_names_that_we_give() -> None:
    assert letter_id("1.Q4Xy9.host,S=1,W=2") == "4Xy9"
    assert letter_id("1.M4P9.host,S=1,W=2") is None


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=70))
def test_file_keeps_the_id_that_its_letter_had_elsewhere(uid: str) -> None:
    """Any that RFC 1939 allows; with measures and flags behind it."""
    name = keeping(uid, 1, "host")
    assert not set(name) & set("/:,")
    assert unique_ids([base(f"{name},S=1,W=2:2,S")]) == [uid]


@given(st.sets(FILE_NAMES.map(base), max_size=8))
@settings(max_examples=100)
def test_any_names_get_fit_and_different_ids(bases: set[str]) -> None:
    ids = unique_ids(sorted(bases, key=age))
    assert len(set(ids)) == len(ids)
    assert all(1 <= len(uid) <= 70 and uid.isascii() and uid.isprintable() and " " not in uid for uid in ids)


@given(st.sets(FILE_NAMES.map(base).filter(lambda name: not set(name) & {"/", "\0"}), max_size=8))
@settings(max_examples=100)
def test_ids_are_those_that_a_session_has(bases: set[str]) -> None:
    """Whoever asks here, for few, is told what POP3 shows."""
    names = sorted(bases, key=age)
    index = indexed([b"new/" + os.fsencode(name) for name in names], Stamps(None, None), True, lambda *path: 0)
    shown = {index.base(at): index.uid(at).decode() for at in range(len(index))}
    assert shown == dict(zip(map(os.fsencode, names), unique_ids(names), strict=True))
