"""Moments and spans, for people."""

from __future__ import annotations

import pytest

from mailstack.admin.moments import relative, short_span, span


@pytest.mark.parametrize(
    ("seconds", "text", "short"),
    [
        (0, "0 s", "0 s"),
        (0.4, "0 s", "0 s"),
        (59.6, "59 s", "59 s"),
        (61, "1 min 1 s", "1 min"),
        (600, "10 min", "10 min"),
        (601, "10 min", "10 min"),
        (3600, "1 h", "1 h"),
        (5400, "1 h 30 min", "1 h"),
        (86399, "23 h", "23 h"),
        (86400, "1 d", "1 d"),
        (90000, "1 d 1 h", "1 d"),
        (-90000, "1 d 1 h", "1 d"),
        (864000, "10 d", "10 d"),
    ],
)
def test_spans(seconds: float, text: str, short: str) -> None:
    assert (span(seconds), short_span(seconds)) == (text, short)


def test_relative() -> None:
    assert [relative(1000.0 + away, 1000.0) for away in (-60, -0.3, 0.3, 60)] == ["1 min ago", "now", "now", "in 1 min"]
