"""The order of mail exchangers."""

from __future__ import annotations

from random import Random

from mailstack.delivery.exchangers import in_order
from mailstack.model.reply import Reply


def test_best_first_and_random_among_equals() -> None:
    """RFC 5321 §5.1."""
    exchangers = [(20, "c"), (10, "a"), (10, "b")]
    seen = set()
    for seed in range(20):
        ranks = in_order(exchangers, "mx.office.test", Random(seed))
        assert not isinstance(ranks, Reply)
        seen.add(tuple(map(tuple, ranks)))
    assert seen == {(("a", "b"), ("c",)), (("b", "a"), ("c",))}


def test_only_better_ones_than_ourselves() -> None:
    """A backup never hands to another backup, nor to itself."""
    exchangers = [(10, "a"), (20, "MX.office.test"), (20, "b"), (30, "c")]
    assert in_order(exchangers, "mx.office.test", Random(1)) == [["a"]]


def test_loop() -> None:
    """Where we are the best ourselves, the mail would come back."""
    reply = in_order([(10, "mx.office.test"), (20, "b")], "mx.office.test", Random(1))
    assert isinstance(reply, Reply)
    assert (reply.code, reply.status) == (554, "5.4.6")
