"""Dates of letters, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.message.when import unix_time

NOON = 1795521600  # Tue, 24 Nov 2026 12:00:00 +0000


@pytest.mark.parametrize(
    "text",
    [
        "Tue, 24 Nov 2026 12:00:00 +0000",
        "Tue, 24 Nov 2026 12:00:00 -0000",
        "24 Nov 2026 12:00 GMT",
        "24 Nov 26 12:00:00 UT",
        "Tue, 24 Nov 2026 20:00:00 +0800 (CST)",
        "Tue,  24\tNov  2026 04:00:00 -0800 (PST)",
        "Tue 24 Nov 2026 07:00:00 EST",
        "Tuesday, 24-Nov-26 12:00:00 GMT",
        "Tue Nov 24 12:00:00 2026 +0000",
        "Tue, 24 November 2026 17:45:00 +0545",
        "Tue, 24 Nov 2026 12:00:00.123456 Z",
        "25 Nov 2026 02:00:00 +1400",
    ],
)
def test_forms(text: str) -> None:
    assert unix_time(text) == NOON


def test_leap_second() -> None:
    assert unix_time("Tue, 24 Nov 2026 11:59:60 +0000") == NOON


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "Tue, 24 Nov 0000 12:00:00 +0000",
        "Tue, 24 Nov 1969 12:00:00 +0000",
        "31 Dec 9999 12:00:00 +0000",
        "Tue, 24 Nov 20266 12:00:00 +0000",
        "Tue, 24 Nov 2026 12:00:00",  # the zone could be any
        "Tue, 24 Nov 2026 12:00:00 CEST",
        "Tue, 24 Nov 2026 12:00:00 +9999",
        "Tue, 24 Nov 2026 12:00:00 +1401",
        "Tue, 24 Nov 2026 12:00:00 +0060",
        "Tue, 24 Nov 2026 12:00:00 +000000",
        "Tue, 24 Nov 2026 24:00:00 +0000",
        "Tue, 24 Nov 2026 12:60:00 +0000",
        "Tue, 24 Nov 2026 12:00:61 +0000",
        "Mon, 29 Feb 2027 12:00:00 +0000",
        "0 Nov 2026 12:00:00 +0000",
        "24 Nox 2026 12:00:00 +0000",
        "٢٤ Nov 2026 12:00:00 +0000",
    ],
)
def test_none(text: str) -> None:
    assert unix_time(text) is None


def test_old_years() -> None:
    """RFC 5322 §4.3."""
    for year in ("1999", "99", "099"):
        assert unix_time(f"1 Jan {year} 00:00:00 +0000") == 915148800


@given(st.text() | st.from_regex(r"[0-9]{1,3} (Nov|Feb|xxx) [0-9]{1,5} [0-9:]{1,9} [+-][0-9]{3,5}"))
def test_never_raises(text: str) -> None:
    found = unix_time(text)
    assert found is None or abs(found) < 1 << 40
