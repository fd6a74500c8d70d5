"""The small things of which letters to people are made: lines, paragraphs, times, subjects, templates, excerpts."""

# ruff: noqa: RUF001 - Chinese punctuation

from __future__ import annotations

from datetime import UTC, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.message.excerpt import excerpt, header_of
from mailstack.message.filled import WIDTH, columns, filled, joined
from mailstack.message.mime import MAX_SUBJECT, encoded_subject
from mailstack.message.moment import moment
from mailstack.message.one_line import one_line
from mailstack.message.original import subject_of, zone_of
from mailstack.message.report_fields import MAX_VALUE
from mailstack.message.template import Template, template


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\r\n b\tc\u3000d\xa0e", "a b c d e"),
        ("\x1b[2Jx\x00", "?[2Jx?"),
        ("a\u202eb\u200dc", "abc"),
        ("x" * 30, "x" * 9 + "…"),
        ("", ""),
        ("\udc80", "?"),
    ],
)
def test_one_line(text: str, line: str) -> None:
    assert one_line(text, 10) == line


@given(st.text(max_size=400))
def test_one_line_is_one(text: str) -> None:
    line = one_line(text, 50)
    assert len(line) <= 50 and (line.isprintable() or not line)


def test_english_is_filled_as_usual() -> None:
    text = " ".join(["word"] * 40)
    lines = filled(text, "  ", "    ").split("\n")
    assert lines[0].startswith("  word") and lines[1].startswith("    word")
    assert " ".join(" ".join(lines).split()) == text
    assert max(map(len, lines)) <= WIDTH


def test_chinese_breaks_between_characters_but_not_before_punctuation() -> None:
    text = "请检查收件人地址有没有写错，" * 20
    lines = filled(text).split("\n")
    assert "".join(lines) == text
    assert len(lines) > 5
    assert not [line for line in lines if line[0] in "，。"]
    assert max(map(columns, lines)) <= WIDTH + 2, "punctuation may hang over"


@given(st.text(alphabet="abc 请检查，。（）x“”\n", max_size=300))
def test_nothing_is_lost_in_filling(text: str) -> None:
    assert "".join(filled(text).split()) == "".join(text.split())


def test_long_word_stays_whole() -> None:
    assert "x" * 200 in filled("see " + "x" * 200 + " there").split("\n")


def test_lines_of_a_paragraph_are_joined() -> None:
    assert joined(["one", " two"]) == "one two"
    assert joined(["一二", "三"]) == "一二三"
    assert joined(["一二", "three"]) == "一二 three"


def test_moment() -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    assert moment(1_700_000_000, UTC, "en") == "Tue 14 Nov 2023, 22:13 (UTC)"
    assert moment(1_700_000_000, east, "en") == "Wed 15 Nov 2023, 03:43 (UTC+05:30)"
    assert moment(1_700_000_000, timezone(timedelta(hours=8)), "zh") == "2023年11月15日（星期三）06:13（UTC+08:00）"
    assert moment(1e20, UTC, "en") == "@100000000000000000000"


@pytest.mark.parametrize(
    ("value", "subject"),
    [
        (b"plain", "plain"),
        (b"=?UTF-8?B?5L2g5aW9?=", "你好"),
        (b"=?gb2312?B?xOM=?= =?gb2312?B?usM=?=", "你好"),
        (b"=?gb2312?B?xA==?= =?gb2312?B?47rD?=", "你好"),
        (b"=?gb2312?B?6UY=?=", "镕"),
        (b"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"),
        (b"=?utf-8*de?q?gr=C3=BC=C3=9Fe?= an Bob", "grüße an Bob"),
        (b"Re: =?utf-8?q?=1B=5B2Jx=0A?=", "Re: ?[2Jx"),
        (b"=?utf-8?b?!!!?=", ""),
        (b"=?utf-8?b?A?=", "=?utf-8?b?A?="),
        (b"=?zip?q?x?=", "x"),
        (b"=?a\x00b?q?x?=", "x"),
        ("grüße 你好".encode(), "grüße 你好"),
        (b"caf\xe9", "caf\N{REPLACEMENT CHARACTER}"),
        (b"\n folded\n\tthrice", "folded thrice"),
        (b"x" * 500, "x" * 149 + "…"),
        (b"", ""),
    ],
)
def test_subject(value: bytes, subject: str) -> None:
    assert subject_of(b"From: a@b\nSubject: " + value + b"\nSubject: another\n") == subject


@given(st.binary(max_size=300))
def test_any_subject(value: bytes) -> None:
    subject = subject_of(b"Subject: " + value)
    assert len(subject) <= 150 and (subject.isprintable() or not subject)


@pytest.mark.parametrize(
    ("value", "hours"),
    [
        (b"Wed, 15 Nov 2023 06:13:20 +0800", 8),
        (b"Wed, 15 Nov 2023 06:13:20 -0330 (NST)", -3.5),
        (b"Wed, 15 Nov 2023 06:13:20 GMT", None),
        (b"Wed, 15 Nov 2023 06:13:20 -0000", None),
        (b"Wed, 15 Nov 2023 06:13:20 +0000", 0),
        (b"Wed, 15 Nov 2023 06:13:20", None),
        (b"Wed, 15 Nov 2023 06:13:20 +9900", None),
        (b"yesterday", None),
        (b"\xff" * 50, None),
        (b"", None),
    ],
)
def test_zone(value: bytes, hours: float | None) -> None:
    zone = zone_of(b"Date: " + value + b"\n")
    assert (None if zone is None else zone.utcoffset(None)) == (None if hours is None else timedelta(hours=hours))


@given(st.text(max_size=300))
def test_subject_fits_into_a_header(text: str) -> None:
    """Whatever it is, it becomes ASCII, in lines of 78 characters, and is not cut in the middle of an encoded word."""
    value = encoded_subject(text)
    assert value.isascii() and len(value) < MAX_VALUE
    assert max(map(len, f"Subject: {value}".split("\n"))) <= 78 or value == one_line(text, MAX_SUBJECT)


def test_what_looks_like_an_encoded_word_does_not_become_one() -> None:
    assert "=?utf-8?q?x?=" not in encoded_subject("=?utf-8?q?x?=")


# ---- Templates


def test_template_is_filled() -> None:
    lines = ["\ufeffSubject: {account} here", "", "Dear {account},", "hello", "", "{clients}", "", "  kept   {command}"]
    octets = "\r\n".join(lines).encode()
    found = template("excess", octets)
    values = {"account": "{command}", "command": "c", "clients": "  1\n  2"}
    assert found.subject_with(values) == "{command} here", "what a value says is no placeholder"
    assert found.body_with(values) == "Dear {command}, hello\n\n  1\n  2\n\n  kept   c"


def test_braces_that_are_no_placeholder_stay() -> None:
    assert Template("", "a { b } {X} {}").body_with({}) == "a { b } {X} {}"


def test_template_without_a_subject() -> None:
    assert template("closing", "再见。".encode()) == Template("", "再见。")


# ---- Excerpts


def test_what_is_small_is_whole() -> None:
    assert excerpt(b"a: b\n\nc", 7) == b"a: b\n\nc"


def test_cut_at_the_end_of_a_line() -> None:
    assert excerpt(b"a: b\n\none\ntwo\nthree\n", 15) == b"a: b\n\none\ntwo\n"


@pytest.mark.parametrize(
    "field",
    [b"Content-Type: multipart/mixed; boundary=xy", b'CONTENT-TYPE: Multipart/Related; type="a";\n\tboundary="xy"'],
)
def test_end_of_a_multipart_is_added(field: bytes) -> None:
    cut = excerpt(field + b"\n\n--xy\n\n" + b"line\n" * 1000, 200)
    assert cut.endswith(b"line\n\n--xy--\n") and len(cut) < 220


def test_header_is_cut_too() -> None:
    assert header_of(b"a: 1\nb: 2\nc: 3\n\nbody", 9) == b"a: 1"
    assert header_of(b"\nbody", 9) == b""
    assert excerpt(b"a: 1\nb: 2\nc: 3\n\nbody", 9) == b""
