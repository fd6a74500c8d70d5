"""How many recipients a server takes at once: RFC 9422."""

from __future__ import annotations

import pytest

from mailstack.model.address import Address
from mailstack.protocol.smtp_limits import limits, within

FOUR = {number: Address.parse(text) for number, text in enumerate(("a@x.test", "b@y.test", "c@x.test", "d@z.test"))}


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ("", {}),
        ("RCPTMAX=20", {"RCPTMAX": 20}),
        ("mailmax=1 RcptDomainMax=2", {"MAILMAX": 1, "RCPTDOMAINMAX": 2}),
        ("RCPTMAX=0 MAILMAX=-1 RCPTDOMAINMAX=1234567 RCPTMAX", {}),
    ],
)
def test_limits(parameters: str, found: dict[str, int]) -> None:
    assert limits(parameters) == found


@pytest.mark.parametrize(
    ("parameters", "chosen"),
    [
        ("", [0, 1, 2, 3]),
        ("RCPTMAX=3", [0, 1, 2]),
        ("RCPTMAX=9", [0, 1, 2, 3]),
        ("RCPTDOMAINMAX=1", [0, 2]),
        ("RCPTDOMAINMAX=2", [0, 1, 2]),
        ("RCPTMAX=2 RCPTDOMAINMAX=2", [0, 1]),
    ],
)
def test_first_recipients_that_fit(parameters: str, chosen: list[int]) -> None:
    assert within(parameters, FOUR) == chosen


def test_nobody_is_nobody() -> None:
    assert within("RCPTMAX=3", {}) == []
