"""The letters of a Maildir in few octets: nothing of their names is lost, whatever they are."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

import pytest
from attrs import evolve
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mailstack.maildir import raw_names as names
from mailstack.maildir.index import Index, Listing
from mailstack.maildir.indexing import indexed, updated
from mailstack.maildir.listed import CUR, NEW, Stamps

NOWHERE = Stamps(None, None)
OCTETS = st.integers(1, 255).filter(lambda octet: octet not in b"/\0").map(lambda octet: bytes([octet]))
PARTS = [b"1.", b"1700000000.", b"a", b".host", b",S=1", b",W=2", b":2,", b"S", b"U%41.", b",", b" ", b"\r\n", b"\xff"]
NAMES = st.one_of(
    st.lists(st.sampled_from(PARTS), min_size=1, max_size=7).map(b"".join),
    st.lists(OCTETS, min_size=1, max_size=90).map(b"".join),
)


def index_of(
    new: Sequence[bytes] = (),
    cur: Sequence[bytes] = (),
    measure: Callable[[bytes, bytes, bytes], int | None] = lambda stem, measures, path: 1,
) -> Index:
    return indexed(paths(new, cur), NOWHERE, True, measure)


def paths(new: Iterable[bytes] = (), cur: Iterable[bytes] = ()) -> list[bytes]:
    return [NEW + b"/" + name for name in new] + [CUR + b"/" + name for name in cur]


def uids(index: Index) -> list[bytes]:
    return [index.uid(at) for at in range(len(index))]


@given(st.sets(NAMES, max_size=8), st.sets(NAMES, max_size=8))
@example({b"1.a,S=1", b"1.a,S=2", b"1.Ua.host"}, {b"2.Ua.host", b"1.a:2,S"})
@settings(max_examples=300)
def test_any_names(new: set[bytes], cur: set[bytes]) -> None:
    """Each base is there once, with a file that has it, in order; ids are fit, and no two are the same."""
    index = index_of(sorted(new), sorted(cur))
    bases = [index.base(at) for at in range(len(index))]
    assert sorted(bases) == sorted(set(map(names.base, new | cur)))
    assert bases == sorted(bases, key=lambda base: names.order(base) + base)
    for at in range(len(index)):
        place, name = index.file(at)
        assert name in (new if place == NEW else cur)
        assert index.find(bases[at]) == at
    ids = uids(index)
    assert len(set(ids)) == len(ids)
    assert all(1 <= len(uid) <= 70 and all(33 <= octet <= 126 for octet in uid) for uid in ids)
    assert index.uid_lines.text == b"".join(b"%d %b\r\n" % line for line in enumerate(ids, 1))


@given(st.permutations([b"1.a,S=1", b"1.a,S=2", b"2.Ub.h", b"3.Ub.h", b"4.c", b"1." + b"x" * 80]))
@settings(max_examples=30)
def test_ids_do_not_depend_on_the_order_of_the_disk(found: list[bytes]) -> None:
    """An index that is made anew has the same."""
    assert uids(index_of(found)) == uids(index_of(sorted(found))) == uids(index_of([], sorted(found)))


def test_id_that_several_share_is_nobodys() -> None:
    """None takes over that of another which is removed."""
    both = uids(index_of([b"1.a,S=1", b"1.a,S=2"]))
    assert b"1.a" not in both
    assert len(set(both)) == 2


def test_made_up_id_that_is_the_hash_of_another() -> None:
    shared = uids(index_of([b"1.a,S=1", b"1.a,S=2"]))
    forged = b"1.U" + shared[0] + b".host"
    found = uids(index_of([b"1.a,S=1", b"1.a,S=2", forged]))
    assert len(set(found)) == 3
    assert set(shared) < set(found)


def test_letter_in_both_places_is_where_it_was_seen_last() -> None:
    index = index_of([b"1.a"], [b"1.a:2,S"])
    assert len(index) == 1
    assert index.file(0) == (CUR, b"1.a:2,S")


def test_letter_is_found_when_its_measures_have_changed() -> None:
    index = index_of([b"1.a,S=1,W=2", b"1.a2", b"2.b"])
    assert index.find(b"1.a") == 0
    assert index.find(b"1.a,S=9") == 0
    assert index.find(b"1.") is None


def test_what_is_gone_when_it_is_measured_is_left_out() -> None:
    index = index_of([b"1.a", b"2.b", b"3.c"], measure=lambda stem, measures, path: None if stem == b"2.b" else 7)
    assert index.uid_lines.text == b"1 1.a\r\n2 3.c\r\n"
    assert index.octets == 14


def test_large_sizes() -> None:
    """Beyond 4 GiB, too."""
    index = index_of([b"1.a", b"2.b"], measure=lambda stem, measures, path: 5 << 30)
    assert list(index.sizes) == [5 << 30] * 2
    assert index.octets == 10 << 30


def test_memory_a_letter() -> None:
    """Below 100 octets with the names that we give."""
    new = [b"%d.Q0K0YEACMR8AN7.mail.office.test,S=4137,W=4190" % (1_700_000_000 + n) for n in range(2000)]
    index = index_of(new)
    assert (index.memory - index_of().memory) / 2000 < 100


# ---- What has changed since


def same(one: Index, other: Index) -> bool:
    return evolve(one, trusted=True) == evolve(other, trusted=True)


@given(st.sets(NAMES, max_size=8), st.sets(NAMES, max_size=8), st.sets(NAMES, max_size=8), st.data())
@example({b"1.a", b"2.b"}, set(), {b"1.a:2,S", b"2.b"}, None)
@example({b"1.a,S=1", b"1.a,S=2"}, set(), {b"1.a,S=1"}, None)
@settings(max_examples=300)
def test_update_is_what_a_look_at_all_would_be(
    old: set[bytes], kept: set[bytes], added: set[bytes], data: st.DataObject | None
) -> None:
    """Whatever came, went or was renamed."""
    gone = data.draw(st.sets(st.sampled_from(sorted(old)))) if data and old else old
    before, now = paths(old | kept), paths((old | kept) - gone, added - kept)
    index = updated(indexed(before, NOWHERE, True, by_name), now, NOWHERE, True, by_name)
    assert index is None or same(index, indexed(now, NOWHERE, True, by_name))


def by_name(stem: bytes, measures: bytes, path: bytes) -> int:
    return len(stem) + (names.wire_size(measures) or 0)


MANY = [b"%d.M%dP1.host,S=1,W=%d" % (1_700_000_000 + number, number, number) for number in range(3000)]


@pytest.mark.parametrize(
    ("gone", "added"),
    [([], []), ([], [2999]), ([0], []), ([2999], []), ([1500], [1500]), ([0, 1, 2, 2998], [0, 1234, 2999])],
)
def test_what_changes_in_a_large_maildir_is_an_update(gone: list[int], added: list[int]) -> None:
    """Not a look at all: so only what is new is measured."""
    old = [name for number, name in enumerate(MANY) if number not in added or number in gone]
    now = [name for number, name in enumerate(MANY) if number not in gone]
    flagged = [MANY[number] + b":2,S" for number in gone if number in added]
    measured: list[bytes] = []

    def measure(stem: bytes, measures: bytes, path: bytes) -> int:
        measured.append(stem)
        return by_name(stem, measures, path)

    index = updated(index_of(old, measure=by_name), paths(now, flagged), NOWHERE, True, measure)
    assert index is not None
    assert same(index, index_of(now, flagged, measure=by_name))
    assert sorted(measured) == sorted(names.stem(MANY[number]) for number in added)


@pytest.mark.parametrize("new", [[b"1.a", b"1.a,S=1"], [b"1.a", b"1.b", b"2.U1%2Ea.h"]])
def test_update_that_would_share_an_id_is_none(new: list[bytes]) -> None:
    assert updated(index_of([b"1.a"]), paths(new), NOWHERE, True, by_name) is None


def test_letters_that_share_an_id_are_not_updated() -> None:
    """When one goes, the other's is its own again."""
    assert updated(index_of([b"1.a,S=1", b"1.a,S=2"]), paths([b"1.a,S=1"]), NOWHERE, True, by_name) is None


def test_what_holds_some_octets_is_found_without_a_look_at_all() -> None:
    """Also the first and the last one; once, however often they stand in it; never across two."""
    texts = [b"ab", b"", b"b", b"xabab", b"a", b"bab"]
    ends = array("I", accumulate(map(len, texts)))
    assert list(Listing(b"".join(texts), ends).holding(b"ab")) == [0, 3, 5]
