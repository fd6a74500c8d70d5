"""Text in the parameters of MAIL and RCPT: RFC 3461 §4, RFC 6533 §3."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.model.xtext import decode, encode, envelope_id, in_ascii, original_recipient, readable


@given(st.text("+= abc~!", min_size=1))
def test_what_is_encoded_comes_back(text: str) -> None:
    assert decode(encode(text)) == text
    assert not {" ", "="} & set(encode(text))


@pytest.mark.parametrize("text", ["", "a b", "a=b", "a+2b", "a+", "a+2", "ü", "a+00", "a+0A", "a+FF", "+E2+80+AE"])
def test_no_xtext(text: str) -> None:
    """Lower-case digits are none, and what it means must be printable ASCII."""
    with pytest.raises(ValueError, match=r"."):
        decode(text)


@pytest.mark.parametrize(
    ("orcpt", "shown"),
    [
        ("rfc822;bob@example.com", "rfc822;bob@example.com"),
        ("RFC822;Bob+2Bx@example.com", "RFC822;Bob+x@example.com"),
        ("x400;/C=de".replace("=", "+3D"), "x400;/C=de"),
        ("rfc822;+E7+94+A8@x.test", "rfc822;用@x.test"),
        ("utf-8;用户@例子.测试", "utf-8;用户@例子.测试"),
        (r"UTF-8;\x{7528}\x{6237}@x.test", "UTF-8;用户@x.test"),
        (r"utf-8;a\x{20}b+2Bc@x.test", "utf-8;a b+c@x.test"),
    ],
)
def test_original_recipient(orcpt: str, shown: str) -> None:
    assert original_recipient(orcpt) == orcpt
    assert readable(orcpt) == shown


@pytest.mark.parametrize(
    "orcpt",
    [
        "",
        "rfc822",
        "rfc822;",
        ";bob@example.com",
        "rfc 822;bob",
        "rfc822;用户@x.test",
        "rfc822;a+0D+0Ab",
        "utf-8;",
        r"utf-8;\x{202E}",
        r"utf-8;\x{D800}",
        r"utf-8;\x{110000}",
        r"utf-8;\x{0A}",
        "rfc822;" + "x" * 500,
    ],
)
def test_no_original_recipient(orcpt: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        original_recipient(orcpt)


def test_the_longest_that_must_be_taken() -> None:
    """RFC 3461 §5.4."""
    assert original_recipient("rfc822;" + "x" * 493)
    assert envelope_id("x" * 100)
    with pytest.raises(ValueError, match="100"):
        envelope_id("x" * 101)


def test_envelope_id_is_ascii() -> None:
    """RFC 3461 §4.4."""
    with pytest.raises(ValueError, match="not ASCII"):
        envelope_id("+E7+94+A8")


def test_seven_bit_form() -> None:
    assert in_ascii("utf-8;用户@x.test") == r"utf-8;\x{7528}\x{6237}@x.test"
    assert readable(in_ascii("utf-8;用户😀@x.test")) == "utf-8;用户😀@x.test"
