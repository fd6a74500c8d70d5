"""Replies, outcomes, ids, names of Maildirs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mailstack.model.address import Address
from mailstack.model.ids import ALPHABET, Ids
from mailstack.model.maildir_name import below_mail
from mailstack.model.outcome import Delayed, Delivered, Failed, Outcome, from_reply
from mailstack.model.reply import Reply


@pytest.mark.parametrize(
    ("reply", "wire", "line"),
    [
        (Reply(250, "2.0.0", "Ok"), b"250 2.0.0 Ok\r\n", "250 2.0.0 Ok"),
        (Reply(354, "", "Go on"), b"354 Go on\r\n", "354 Go on"),
        (Reply(334, "", ""), b"334 \r\n", "334"),
        (Reply(250, "", "a\nb\nc"), b"250-a\r\n250-b\r\n250 c\r\n", "250 a b c"),
        (Reply(550, "5.7.1", "no\nnever"), b"550-5.7.1 no\r\n550 5.7.1 never\r\n", "550 5.7.1 no never"),
        (Reply(250, "", "ü"), "250 ü\r\n".encode(), "250 ü"),
    ],
)
def test_reply(reply: Reply, wire: bytes, line: str) -> None:
    """RFC 5321 §4.2.1; the enhanced code on each line (RFC 2034 §4)."""
    assert reply.wire() == wire
    assert str(reply) == line


@pytest.mark.parametrize(
    ("code", "positive", "permanent"), [(250, True, False), (354, True, False), (452, False, False), (550, False, True)]
)
def test_kinds_of_reply(code: int, positive: bool, permanent: bool) -> None:
    reply = Reply(code, "", "")
    assert (reply.positive, reply.permanent) == (positive, permanent)


@pytest.mark.parametrize(
    ("code", "kind"),
    [(250, Delivered), (251, Delivered), (421, Delayed), (552, Failed), (354, Delayed), (199, Delayed), (600, Delayed)],
)
def test_outcome_of_a_reply(code: int, kind: Callable[[Reply, str], Outcome]) -> None:
    """What is odd is tried again rather than given up."""
    reply = Reply(code, "", "")
    assert from_reply(reply, "relay") == kind(reply, "relay")


class TestIds:
    def test_order_is_that_of_time(self) -> None:
        now = [1_000_000_000.0]
        new = Ids(lambda: now[0], lambda n: 0)
        ids = [new()]
        for step in (0.0, 0.000_001, 0.5, 1000.0, -5000.0, 1e8):
            now[0] += step
            ids.append(new())
        assert ids == sorted(set(ids))

    def test_form(self) -> None:
        """Twelve letters and digits that nobody mistakes on the telephone; a file name, and no path."""
        for last in (0, 1023):
            id = Ids(lambda: 1e9, lambda n, last=last: last)()  # type: ignore[misc]
            assert len(id) == 12
            assert set(id) <= set(ALPHABET)

    def test_chance_tells_two_runs_apart(self) -> None:
        assert Ids(lambda: 1e9, lambda n: 1)() != Ids(lambda: 1e9, lambda n: 2)()

    def test_chance_is_asked_for_the_bits_of_two_digits(self) -> None:
        asked: list[int] = []
        Ids(lambda: 1e9, lambda n: asked.append(n) or 0)()  # type: ignore[func-returns-value]
        assert asked == [10]


class TestMaildirName:
    @pytest.mark.parametrize(
        ("local", "name"),
        [("Alice", "alice"), ("a b", "a b"), ("a.b", "a.b"), ("x" * 64, "x" * 64), ("ÜX", "üx"), ("用户", "用户")],
    )
    def test_below_mail(self, local: str, name: str) -> None:
        assert below_mail(Address(local, "office.test")) == f"office.test/{name}"

    @pytest.mark.parametrize(
        "local", ["", ".", "..", ".hidden", "a/b", "../x", "a\0b", "a\nb", "x" * 65, "ü" * 33, "a\u202e"]
    )
    def test_nothing_leads_out_of_there(self, local: str) -> None:
        with pytest.raises(ValueError, match=r"office\.test: "):
            below_mail(Address(local, "office.test"))
