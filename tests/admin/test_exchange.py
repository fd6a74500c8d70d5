"""Sessions in memory: replies as a client cuts them, decisions that wait for nothing."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from mailstack.admin.exchange import at_once, replies
from mailstack.model.reply import Reply


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"", []),
        (b"250 ok\r\n", ["250 ok"]),
        (b"250 ok\r\n550 no\r\n", ["250 ok", "550 no"]),
        (b"250-a\r\n250-b\r\n250 c\r\n500 no\r\n", ["250-a\n250-b\n250 c", "500 no"]),
        (b"250-a\r\n250", ["250-a\n250"]),
        (b"250 \xff\r\n", ["250 \\xff"]),
    ],
)
def test_replies(octets: bytes, expected: list[str]) -> None:
    assert replies(octets) == expected


def test_a_decision_at_once() -> None:
    async def decide() -> Reply:
        return Reply(250, "", "ok")

    assert at_once(decide()).code == 250


def test_a_decision_that_waits_is_a_bug() -> None:
    async def decide() -> Reply:
        await Deferred()
        raise AssertionError("never")

    with pytest.raises(RuntimeError, match="waits"):
        at_once(decide())
