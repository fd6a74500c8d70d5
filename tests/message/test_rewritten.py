"""Sender addresses that programs have made."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailstack.message.rewritten import BATV, SRS, VERP, Rewritten, rewritten


@pytest.mark.parametrize(
    ("local", "made"),
    [
        ("SRS0=Ab+2=XY=far.test=friend", Rewritten(SRS, "friend@far.test")),
        ("srs0+ab12=xy=far.test=my=name", Rewritten(SRS, "my=name@far.test")),
        ("SRS1=CdEf=fwd.test==Ab12=XY=far.test=friend", Rewritten(SRS, "friend@far.test")),
        ("prvs=0123abcdef=friend", Rewritten(BATV, "friend@mx.test")),
        ("prvs=friend/0123abcdef", Rewritten(BATV, "friend@mx.test")),
        ("news-bounces+alice=office.test", Rewritten(VERP, "alice@office.test")),
        ("list-owner-alice=sub.office.test-", Rewritten(VERP, "alice@sub.office.test")),
    ],
)
def test_made_of(local: str, made: Rewritten) -> None:
    assert rewritten(local, "mx.test") == made


@pytest.mark.parametrize(
    "local", ["", "friend", "SRS0", "SRS0=a=b=c", "prvs=x", "a=b", "alice=office", "alice=office.test"]
)
def test_ordinary(local: str) -> None:
    assert rewritten(local, "mx.test") is None


@given(st.text() | st.text(alphabet="SR01=+-.aprvs/"))
def test_never_raises(local: str) -> None:
    rewritten(local, "mx.test")
