"""RFC 3339, and wishes of RFC 4865."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.model import moment
from mailstack.model.hold import Hold

NOON = 1_795_608_000.0  # 2026-11-25T12:00:00Z


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2026-11-25T12:00:00Z", NOON),
        ("2026-11-25t12:00:00z", NOON),
        ("2026-11-25T12:00:00.25Z", NOON + 0.25),
        ("2026-11-25T20:00:00+08:00", NOON),
        ("2026-11-25T12:00:00-00:00", NOON),
        ("2026-11-24T23:00:00-13:00", NOON),
        ("2016-12-31T23:59:60Z", 1_483_228_800.0),
        ("9999-12-31T23:59:59-23:59", 253_402_387_139.0),
    ],
)
def test_date_times(text: str, found: float) -> None:
    assert moment.read(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-25",
        "2026-11-25T12:00:00",
        "2026-11-25 12:00:00Z",
        "2026-11-25T12:00Z",
        "2026-11-25T12:00:00+8:00",
        "2026-11-25T12:00:00.Z",
        "2026-11-25T24:00:00Z",
        "2026-11-25T12:60:00Z",
        "2026-11-25T12:00:61Z",
        "2026-02-29T12:00:00Z",
        "2026-13-01T12:00:00Z",
        "0000-01-01T00:00:00Z",
        "2026-11-25T12:00:00+24:00",
        "\N{FULLWIDTH DIGIT TWO}026-11-25T12:00:00Z",
        "2026-11-25T12:00:00Z\n",
    ],
)
def test_what_is_no_date_time(text: str) -> None:
    with pytest.raises(ValueError):
        moment.read(text)


@given(st.integers(0, 4_000_000_000))
def test_what_is_written_is_read(seconds: int) -> None:
    assert moment.read(moment.written(seconds)) == seconds


@given(st.text() | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,12}(Z|[+-][0-9]{2}:[0-9]{2})"))
def test_any_text_is_a_time_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(moment.read(text), float)


def test_wishes() -> None:
    assert Hold.for_("60").released(NOON) == NOON + 60
    assert str(Hold.for_("60")) == "for;60"
    assert Hold.until_("2026-11-25T20:00:00.5+08:00").released(5.0) == NOON + 0.5
    assert str(Hold.until_("2026-11-25T20:00:00.5+08:00")) == "until;2026-11-25T12:00:00Z"
