"""Modified UTF-7, RFC 3501 §5.1.3."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.protocol.modified_utf7 import decode, encode


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Junk", "Junk"),
        ("", ""),
        ("A & B", "A &- B"),
        ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),  # the RFC's own example
        ("垃圾邮件", "&V4NXPpCuTvY-"),  # as Outlook and QQ name it
        ("Entwürfe", "Entw&APw-rfe"),
        ("\U0001f600", "&2D3eAA-"),
        ("a\tb", "a&AAk-b"),
    ],
)
def test_both_ways(name: str, written: str) -> None:
    assert encode(name) == written
    assert decode(written) == name


@pytest.mark.parametrize("written", ["&", "a&b", "&Jjo", "&Jjo!", "&AEE-", "&V4N-", "&2D0-", "&V4NXPpCuTvY=-", "a\tb"])
def test_what_nobody_writes(written: str) -> None:
    """Also a second way to write a name that has one: two folders must not look the same."""
    with pytest.raises(ValueError):
        decode(written)


def test_a_name_in_utf8_is_what_it_is() -> None:
    assert decode("垃圾邮件") == "垃圾邮件"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_name_comes_back(name: str) -> None:
    assert encode(name).isascii()
    assert decode(encode(name)) == name
