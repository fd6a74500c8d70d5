"""What aliases send on: under which sender, with which mark, and how often."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import CancelledError
from zope.interface import implementer
from zope.interface.verify import verifyObject

from mailstack.delivery.forwarding import Forwarding
from mailstack.interfaces.delivery import ITransport, Outcomes
from mailstack.message.loops import BEEN_HERE
from mailstack.model.address import Address
from mailstack.model.letter import Due, Letter, Pending, Recipient
from mailstack.model.outcome import Delivered, Failed
from mailstack.model.reply import Reply
from mailstack.protocol.srs import Srs
from mailstack.spool.memory import MemorySpool
from tests.fakes import ListLog, at_once
from tests.fakes_accounts import MemoryDirectory

FRIEND = Address("friend", "far.test")
DELIVERED = Delivered(Reply(250, "2.0.0", "taken"), "there")
HEADER = b"Return-Path: <friend@far.test>\nReceived: here\nSubject: hello\n"
OFFSET = len(b"Return-Path: <friend@far.test>\n")


@implementer(ITransport)
class Onward:
    """Keeps what it is given; ``error`` is raised from the call on whose number is ``good``."""

    def __init__(self) -> None:
        self.calls: list[Sequence[Due]] = []
        self.error: BaseException | None = None
        self.good = 0

    async def deliver(self, dues: Sequence[Due]) -> Sequence[Outcomes]:
        if self.error is not None and len(self.calls) >= self.good:
            raise self.error
        self.calls.append(dues)
        return [{each.number: DELIVERED for each in due.pending} for due in dues]

    @property
    def seen(self) -> list[tuple[str, list[str], bytes]]:
        """Sender, recipients and opening of each letter."""
        return [
            (str(due.letter.sender or "<>"), [str(each.recipient.address) for each in due.pending], due.letter.opening)
            for dues in self.calls
            for due in dues
        ]


class Scene:
    def __init__(self) -> None:
        self.onward, self.spool, self.log = Onward(), MemorySpool(), ListLog()
        self.srs = Srs(b"k" * 32, 26)
        directory = MemoryDirectory((), {}, ("office.test", "second.test"), self.srs)
        self.forwarding = Forwarding(self.onward, directory, self.spool, 100_000, self.log)

    def due(self, *recipients: str, sender: Address | None = FRIEND, content: bytes = HEADER, **more: Any) -> Due:
        """``original>address`` is forwarded, ``address`` alone is what the client gave."""
        everyone = tuple(
            Recipient(Address.parse(each.rpartition(">")[2]), Address.parse(each.partition(">")[0]))
            for each in recipients
        )
        letter = Letter(f"L{len(self.spool.stored)}", sender, everyone, 0.0, len(content), 3, OFFSET, False, 0, **more)
        incoming = self.spool.receive(letter.id)
        incoming.write(content)
        at_once(self.spool.add(letter, incoming))
        return Due(letter, tuple(Pending(number, each) for number, each in enumerate(everyone)))

    def deliver(self, *dues: Due) -> Sequence[Outcomes]:
        """As the queue does: who had no turn has the next one."""
        found: list[Outcomes] = [{} for _ in dues]
        while left := [(index, due) for index, due in enumerate(dues) if len(found[index]) < len(due.pending)]:
            waiting = [[one for one in due.pending if one.number not in found[index]] for index, due in left]
            rest = [evolve(due, pending=tuple(who)) for (_, due), who in zip(left, waiting, strict=True)]
            for (index, _), answer in zip(left, at_once(self.forwarding.deliver(rest)), strict=True):
                assert answer
                found[index] |= answer
        return found

    def given(self, domain: str = "office.test", sender: Address = FRIEND) -> str:
        return str(self.srs.outward(sender, domain, 0.0))


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_interface(scene: Scene) -> None:
    assert verifyObject(ITransport, scene.forwarding)


def test_what_an_alias_sends_on(scene: Scene) -> None:
    """Its sender is one of ours on the wire, and the letter itself stays as it is, for our own reports."""
    due = scene.due("team@office.test>x@away.test")
    assert scene.deliver(due) == [{0: DELIVERED}]
    assert scene.onward.seen == [(scene.given(), ["x@away.test"], b"Delivered-To: team@office.test\n")]
    assert due.letter.sender == FRIEND
    assert due.letter.opening == b""
    assert scene.log.events == [
        ("L0", {"what": "forwarded", "from_": f"<{scene.given()}>", "orig_to": "<team@office.test>"})
    ]


def test_an_alias_for_several_is_one_letter(scene: Scene) -> None:
    scene.deliver(scene.due("team@office.test>x@away.test", "team@office.test>y@away.test"))
    assert [recipients for _, recipients, _ in scene.onward.seen] == [["x@away.test", "y@away.test"]]
    assert len(scene.log.events) == 1


def test_what_is_not_forwarded_stays_as_it_is(scene: Scene) -> None:
    """A network of ours, or a user, sends somewhere: the sender is their business. We are backup: likewise."""
    due = scene.due("x@away.test", "y@away.test")
    scene.deliver(due)
    assert [list(call) for call in scene.onward.calls] == [[due]]
    assert scene.log.events == []


@pytest.mark.parametrize("sender", [None, Address("alice", "office.test")])
def test_bounces_and_our_own_people_keep_their_sender(scene: Scene, sender: Address | None) -> None:
    """But a loop is one for them, too."""
    scene.deliver(scene.due("team@office.test>x@away.test", sender=sender))
    assert scene.onward.seen == [(str(sender or "<>"), ["x@away.test"], b"Delivered-To: team@office.test\n")]
    assert scene.log.events == []


def test_the_domain_is_that_of_the_alias(scene: Scene) -> None:
    scene.deliver(scene.due("team@second.test>x@away.test"))
    assert scene.onward.seen[0][0] == scene.given("second.test")


def test_different_senders_are_different_letters(scene: Scene) -> None:
    """Each recipient has an outcome all the same; the transport gets the first of each letter together."""
    first = scene.due("x@away.test", "team@office.test>y@away.test", "sales@office.test>z@away.test", "w@away.test")
    second = scene.due("v@away.test")
    assert scene.deliver(first, second) == [dict.fromkeys(range(4), DELIVERED), {0: DELIVERED}]
    assert scene.onward.seen == [
        ("friend@far.test", ["x@away.test", "w@away.test"], b""),
        ("friend@far.test", ["v@away.test"], b""),
        (scene.given(), ["y@away.test"], b"Delivered-To: team@office.test\n"),
        (scene.given(), ["z@away.test"], b"Delivered-To: sales@office.test\n"),
    ]
    assert [len(dues) for dues in scene.onward.calls] == [2, 1, 1]


def test_every_attempt_has_the_same_sender(scene: Scene) -> None:
    """Greylisting wants it. The log has it once."""
    due = scene.due("team@office.test>x@away.test")
    scene.deliver(due)
    scene.deliver(evolve(due, pending=(evolve(due.pending[0], attempts=1),)))
    assert len({sender for sender, _, _ in scene.onward.seen}) == 1
    assert len(scene.log.events) == 1


def test_what_has_been_here_ends(scene: Scene) -> None:
    content = HEADER + b"Delivered-To: TEAM@office.test\n\nbody\n"
    assert scene.deliver(scene.due("team@office.test>x@away.test", content=content)) == [{0: Failed(BEEN_HERE)}]
    assert scene.onward.calls == []


def test_others_get_what_goes_round_for_one(scene: Scene) -> None:
    content = HEADER + b"Delivered-To: team@office.test\n\nbody\n"
    due = scene.due("x@away.test", "team@office.test>y@away.test", "sales@office.test>z@away.test", content=content)
    assert scene.deliver(due) == [{0: DELIVERED, 1: Failed(BEEN_HERE), 2: DELIVERED}]


def test_only_the_header_counts_and_not_what_is_for_our_own_mailboxes(scene: Scene) -> None:
    ours = b"Return-Path: <friend@far.test>\nDelivered-To: team@office.test\n"
    content = ours + b"Subject: x\n\nDelivered-To: team@office.test\n"
    due = scene.due("team@office.test>x@away.test", content=content)
    due = evolve(due, letter=evolve(due.letter, relay_offset=len(ours)))
    assert scene.deliver(due) == [{0: DELIVERED}]


def test_a_header_across_blocks(scene: Scene) -> None:
    content = HEADER + b"X: y\n" * 15_000 + b"Delivered-To: team@office.test\n"
    assert scene.deliver(scene.due("team@office.test>x@away.test", content=content)) == [{0: Failed(BEEN_HERE)}]


def test_a_file_that_is_gone_is_the_transports_business(scene: Scene) -> None:
    due = scene.due("team@office.test>x@away.test")
    del scene.spool.stored["L0"]
    assert scene.deliver(due) == [{0: DELIVERED}]


def test_the_server_stops_before_anything_was_sent(scene: Scene) -> None:
    scene.onward.error = CancelledError()
    with pytest.raises(CancelledError):
        scene.deliver(scene.due("team@office.test>x@away.test"))


def test_one_transaction_is_recorded_before_the_next_one_begins(scene: Scene) -> None:
    """What was sent must not be sent again because of a crash in the next one."""
    due = scene.due("x@away.test", "team@office.test>y@away.test", "w@away.test")
    assert list(at_once(scene.forwarding.deliver([due]))) == [{0: DELIVERED, 2: DELIVERED}]
    assert len(scene.onward.calls) == 1
