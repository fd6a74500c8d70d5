"""What file names say, odd ones included."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailstack.maildir.names import keeping
from mailstack.maildir.raw_names import base, letter_id, order, stem, unique_id, wire_size

FILE_NAMES = st.binary(min_size=1, max_size=200)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        (b"1.a.host,S=10,W=12", 12),
        (b"1.a.host,W=12,S=10", 12),
        (b"1.a.host,S=10", None),
        (b"1.a.host,W=,S=1", None),
        (b"1.a.host,W=12x", None),
        (b"1.a.host,W=-12", None),
        (b"1.a.host,W=99999999999999999999", None),
        (b"1.aW=3.host", None),
    ],
)
def test_wire_size(name: bytes, size: int | None) -> None:
    assert wire_size(name) == size


def test_base_is_what_flags_do_not_change() -> None:
    assert base(b"1.a.host,S=1:2,FS") == base(b"1.a.host,S=1") == b"1.a.host,S=1"


def test_stem_is_what_measures_do_not_change() -> None:
    assert stem(b"1.a.host,S=1,W=2") == stem(b"1.a.host") == b"1.a.host"


def test_order_is_by_time_as_a_number() -> None:
    names = [b"10.a", b"9.b", b"odd", b"1700000000.a", b"9.a", b"0009.a", b"17000000000.a", b"999999999.a"]
    assert sorted(names, key=lambda name: order(name) + name) == [
        b"odd", b"0009.a", b"9.a", b"9.b", b"10.a", b"999999999.a", b"1700000000.a", b"17000000000.a",
    ]  # fmt: skip


def test_unique_id_is_the_name_where_that_is_possible() -> None:
    assert unique_id(b"1700000000.M1P2.host") == b"1700000000.M1P2.host"


@pytest.mark.parametrize("name", [b"1." + b"x" * 70, b"1.a b", b"1.\xc3\xa4", b"1.\xff", b"", b"1.a\r\n.b"])
def test_unfit_name_gets_a_hash(name: bytes) -> None:
    """Too long, with a space, not ASCII, not even text, nothing at all."""
    assert len(unique_id(name)) == 64


def test_letter_id_is_in_the_names_that_we_give() -> None:
    assert letter_id(b"1.Q4Xy9.host,S=1,W=2") == "4Xy9"
    assert letter_id(b"1.M4P9.host,S=1,W=2") is None


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=70))
def test_file_keeps_the_id_that_its_letter_had_elsewhere(uid: str) -> None:
    """Any that RFC 1939 allows; with measures and flags behind it."""
    name = keeping(uid, 1, "host")
    assert not set(name) & set("/:,")
    assert unique_id(stem(base(f"{name},S=1,W=2:2,S".encode()))) == uid.encode()


@given(FILE_NAMES.map(base).map(stem))
@settings(max_examples=200)
def test_any_name_gives_a_fit_id(name: bytes) -> None:
    uid = unique_id(name).decode("ascii")
    assert 1 <= len(uid) <= 70
    assert uid.isprintable()
    assert " " not in uid
