"""What every ISpool does."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Coroutine
from typing import Any

from attrs import evolve

from mailstack.interfaces.spool import ISpool, Lagging, Result, Wanted
from mailstack.model.address import Address
from mailstack.model.letter import Due, Letter, Pending, Recipient
from mailstack.model.outcome import Delayed, Delivered, Failed
from mailstack.model.reply import Reply

LATER = Reply(451, "4.4.1", "later")
NEVER = Reply(550, "5.1.1", "no such user")
OK = Reply(250, "2.0.0", "ok")
ALICE = Address("alice", "office.test")
BOB = Address("bob", "office.test")


def recipient(address: str) -> Recipient:
    return Recipient(Address.parse(address), Address.parse(address))


def due(letter: Letter) -> Due:
    """All of it."""
    return Due(letter, tuple(Pending(number, recipient) for number, recipient in enumerate(letter.recipients)))


def letter(
    id: str,
    *to: str,
    sender: str = "a@far.test",
    arrived: float = 1000.0,
    content: bytes = b"x\n",
    not_before: float = 0.0,
    hold: str = "",
    sent_by: Address | None = None,
    account: Address | None = None,
) -> Letter:
    return Letter(
        id,
        Address.parse(sender) if sender else None,
        tuple(recipient(address) for address in to or ("alice@office.test",)),
        arrived,
        len(content),
        content.count(b"\n"),
        0,
        False,
        zlib.crc32(content),
        not_before=not_before,
        hold=hold,
        sent_by=sent_by,
        account=account,
    )


def all_due(spool: ISpool, run: Callable[[Coroutine[Any, Any, Any]], Any], now: float) -> list[Due]:
    """All that the queue would find, the longest waiting first: each letter once, with all of it that is due. First
    those of which there is something to tell."""
    found: dict[str, Due] = {due.letter.id: due for due in run(spool.untold(1000))}
    keys = run(spool.destinations(now, 1000))
    parts = [due for dues in run(spool.due(now, [Wanted(key, 1000) for key in keys])) for due in dues]
    for part in sorted(parts, key=lambda due: (min(each.planned or 0.0 for each in due.pending), due.letter.id)):
        before = found.get(part.letter.id, evolve(part, pending=()))
        pending = sorted((*before.pending, *part.pending), key=lambda each: each.number)
        found[part.letter.id] = evolve(before, pending=tuple(pending))
    return list(found.values())


class SpoolContract:
    """A subclass gives ``spool`` (a fixture or attribute) and ``run``, which waits for a coroutine."""

    spool: ISpool
    run: Callable[[Coroutine[Any, Any, Any]], Any]

    def add(self, *args: str, content: bytes = b"x\n", **options: Any) -> Letter:
        added = letter(*args, content=content, **options)
        incoming = self.spool.receive(added.id)
        incoming.write(content)
        self.run(self.spool.add(added, incoming))
        return added

    def due(self, now: float) -> list[Due]:
        return all_due(self.spool, self.run, now)

    def due_ids(self, now: float) -> list[str]:
        return [due.letter.id for due in self.due(now)]

    def test_an_added_letter_is_due_at_once_and_as_it_was(self) -> None:
        added = self.add("L1", "alice@office.test", "two words@far.test".replace("two words", '"two words"'))
        (due,) = self.due(1000.0)
        assert due.letter == added
        assert [each.number for each in due.pending] == [0, 1]
        assert [each.attempts for each in due.pending] == [0, 0]
        with self.spool.open("L1") as file:
            assert file.read() == b"x\n"

    def of_account(self, account: Address, limit: int = 10) -> list[str]:
        return [entry.id for entry in self.run(self.spool.of_account(account, limit))]

    def test_what_a_user_has_sent_the_latest_first_and_not_too_many(self) -> None:
        for number in range(4):
            self.add(f"L{number}", account=ALICE, not_before=2000.0)
        self.add("L4", sender=str(ALICE))  # a stranger's, who says that it is from her
        self.add("L5", account=BOB)
        assert self.of_account(ALICE) == ["L3", "L2", "L1", "L0"]
        assert self.of_account(ALICE, limit=2) == ["L3", "L2"]
        assert self.of_account(BOB) == ["L5"]
        (entry,) = self.run(self.spool.of_account(ALICE, 1))
        assert (entry.next_attempt, entry.not_before, entry.state) == (2000.0, 2000.0, "deferred")

    def test_a_user_takes_back_what_waits(self) -> None:
        self.add("L1", "x@x.test", "y@x.test", "z@x.test", account=ALICE)
        self.run(self.spool.settle({"L1": [Result(1, "sent", OK)]}))
        assert self.run(self.spool.drop("L1", BOB, 1000.0)) == 0
        assert self.run(self.spool.drop("L2", ALICE, 1000.0)) == 0
        assert self.due_ids(1000.0) == ["L1"]
        assert self.run(self.spool.drop("L1", ALICE, 1000.0)) == 2
        assert self.due_ids(1e12) == [] and self.of_account(ALICE) == []
        assert self.run(self.spool.drop("L1", ALICE, 1001.0)) == 0, "it is gone"

    def test_an_end_that_is_to_be_told_is_told_though_the_rest_is_taken_back(self) -> None:
        self.add("L1", "x@x.test", "y@x.test", account=ALICE)
        self.run(self.spool.settle({"L1": [Result(0, "bounced", NEVER)]}))
        assert self.run(self.spool.drop("L1", ALICE, 1000.0)) == 1
        assert self.of_account(ALICE) == [] and self.run(self.spool.drop("L1", ALICE, 1001.0)) == 0
        assert list(self.run(self.spool.unreported("L1"))) == [0]

    def test_what_was_taken_back_altogether_is_not_saved(self) -> None:
        for id in ("L1", "L2"):
            self.add(id, "x@x.test", "y@x.test", account=ALICE, sent_by=ALICE)
        self.run(self.spool.settle({"L2": [Result(0, "sent", OK)]}))
        assert [self.run(self.spool.drop(id, ALICE, 1000.0)) for id in ("L1", "L2")] == [2, 1]
        assert [each.id for each in self.run(self.spool.unsaved(2000.0, 10))] == ["L2"]

    def test_the_null_sender_survives(self) -> None:
        self.add("L1", sender="")
        (due,) = self.due(1000.0)
        assert due.letter.sender is None

    def test_a_letter_whose_recipients_are_all_sent_is_gone(self) -> None:
        self.add("L1", "a@x.test", "b@x.test")
        self.run(self.spool.settle({"L1": [Result(0, "sent", OK)]}))
        assert self.due_ids(1000.0) == ["L1"]
        self.run(self.spool.settle({"L1": [Result(1, "sent", OK)]}))
        assert self.due_ids(1e12) == []
        try:
            self.spool.open("L1").close()
        except FileNotFoundError:
            return
        raise AssertionError("the file is still there")

    def test_a_deferred_recipient_comes_back_in_its_time_with_its_count(self) -> None:
        self.add("L1", "a@x.test", "b@x.test")
        self.run(self.spool.settle({"L1": [Result(0, "sent", OK), Result(1, "deferred", LATER, "none", 1060.0)]}))
        assert self.due_ids(1059.0) == []
        assert self.run(self.spool.next_due(1000.0)) == 1060.0
        (due,) = self.due(1060.0)
        assert [(each.number, each.attempts) for each in due.pending] == [(1, 1)]

    def test_a_letter_that_its_sender_holds_back_comes_in_its_time(self) -> None:
        """RFC 4865."""
        added = self.add("L1", arrived=1000.0, not_before=5000.0)
        assert self.due_ids(4999.0) == []
        assert self.run(self.spool.next_due(1000.0)) == 5000.0
        (due,) = self.due(5000.0)
        assert due.letter == added and due.letter.released == 5000.0

    def test_the_longest_waiting_comes_first_and_the_limit_holds(self) -> None:
        for number, arrived in enumerate((30.0, 10.0, 20.0)):
            self.add(f"L{number}", arrived=arrived)
        assert self.due_ids(100.0) == ["L1", "L2", "L0"]
        here = "office.test"

        def found(*wanted: Wanted) -> list[list[str]]:
            return [[due.letter.id for due in each] for each in self.run(self.spool.due(100.0, wanted))]

        assert found(Wanted(here, 2)) == [["L1", "L2"]]
        assert found(Wanted(here, 2, newest=True)) == [["L0", "L2"]]
        assert found(Wanted(here, 9, frozenset({"L1"})), Wanted("x.test", 9)) == [["L2", "L0"], []]
        assert found() == []

    def test_destinations_with_something_due(self) -> None:
        for number, (arrived, domain) in enumerate([(30.0, "x"), (10.0, "y"), (20.0, "x"), (40.0, "z"), (900.0, "w")]):
            self.add(f"L{number}", f"a@{domain}.test", arrived=arrived)
        ask = self.spool.destinations
        assert self.run(ask(100.0, 10)) == ["y.test", "x.test", "z.test"]
        assert self.run(ask(100.0, 10, newest=True)) == ["z.test", "x.test", "y.test"]
        assert self.run(ask(100.0, 2)) == ["y.test", "x.test"]
        assert self.run(ask(100.0, 2, ["y.test"])) == ["x.test", "z.test"]

    def test_a_letter_is_found_with_what_is_for_one_destination(self) -> None:
        self.add("L1", "a@x.test", "b@y.test", "c@x.test")
        ((x,), (y,)) = self.run(self.spool.due(1000.0, [Wanted("x.test", 5), Wanted("y.test", 5)]))
        assert [each.number for each in x.pending] == [0, 2] and [each.number for each in y.pending] == [1]
        assert x.letter == y.letter
        assert x.pending[0].planned == 1000.0 and not x.pending[0].asked

    def test_what_was_put_off_is_hastened_a_little_at_a_time(self) -> None:
        """Not what was tried since, what is elsewhere, or what its sender holds back."""
        for number in range(5):
            self.add(f"L{number}", "a@x.test")
            result = Result(0, "deferred", LATER, next_attempt=5000.0 + number, at=1500.0 if number else 2500.0)
            self.run(self.spool.settle({f"L{number}": [result]}))
        self.add("M1", "a@x.test", arrived=1000.0, not_before=6000.0)
        self.add("M2", "a@y.test")
        self.defer("M2", 0)
        hurry = self.spool.hurry
        assert self.run(hurry("x.test", 2000.0, 2000.0, 2000.0, 3)) == 5003.0
        assert self.due_ids(2000.0) == ["L1", "L2", "L3"]
        assert self.run(hurry("x.test", 2000.0, 5003.0, 2001.0, 3)) == 5004.0
        assert self.run(hurry("x.test", 2000.0, 5004.0, 2001.0, 3)) is None
        assert self.due_ids(2001.0) == ["L1", "L2", "L3", "L4"]

    def test_what_a_wrong_clock_wrote_is_put_right(self) -> None:
        """A pause of more than an hour was never made; nobody sends a letter tomorrow."""
        far = 1e6
        self.add("L1", "a@x.test", "b@x.test")
        soon, never = (Result(n, "deferred", LATER, next_attempt=at) for n, at in ((0, 4000.0), (1, far)))
        self.run(self.spool.settle({"L1": [soon, never]}))
        self.add("L2", "a@x.test", arrived=far)
        self.add("L3", "a@x.test", arrived=far, not_before=far + 600.0)
        self.add("L4", "a@x.test", not_before=far)
        self.add("L5", "a@x.test", arrived=far, not_before=far + 600.0, hold="until;1970-01-12T13:56:40Z")
        assert self.run(self.spool.rectify(2000.0, 3600.0)) == 4
        assert [(due.letter.id, len(due.pending)) for due in self.due(2000.0)] == [("L1", 1), ("L2", 1)]
        assert self.due_ids(2600.0) == ["L1", "L2", "L3"]
        (_, two, three) = self.due(2600.0)
        assert (two.letter.arrived, two.letter.not_before) == (2000.0, 0.0)
        assert (three.letter.arrived, three.letter.not_before) == (2000.0, 2600.0)
        assert self.due_ids(far) == ["L1", "L2", "L3", "L4"]
        assert self.due_ids(far + 600.0) == ["L1", "L2", "L3", "L4", "L5"], "the moment that was named is right"
        assert self.run(self.spool.rectify(2000.0, 3600.0)) == 0

    def defer(self, id: str, *numbers: int) -> None:
        self.run(self.spool.settle({id: [Result(number, "deferred", LATER, "none", 5000.0) for number in numbers]}))

    def test_what_waits_for_a_domain_can_be_hastened(self) -> None:
        """All of it is counted; what was not tried yet stays as it is, and so do recipients elsewhere."""
        self.add("L1", "a@x.test", "b@y.test")
        self.defer("L1", 0, 1)
        self.add("L2", "a@x.test")
        self.add("L3", "a@sub.x.test", "a@notx.test", "x.test@y.test")
        self.defer("L3", 0, 1, 2)
        assert self.due_ids(2000.0) == ["L2"]
        assert self.run(self.spool.hasten("x.test", False)) == 2
        assert self.due_ids(2000.0) == ["L1", "L2"]
        (due, _) = self.due(2000.0)
        assert due.pending[0].asked
        assert [(each.number, each.attempts) for each in due.pending] == [(0, 1)]

    def test_sub_domains_can_be_hastened(self) -> None:
        self.add("L1", "a@x.test")
        self.add("L2", "a@sub.x.test", "a@notx.test", "x.test@y.test")
        self.add("L3", "a@deep.sub.x.test")
        for id, numbers in (("L1", (0,)), ("L2", (0, 1, 2)), ("L3", (0,))):
            self.defer(id, *numbers)
        assert self.run(self.spool.hasten("x.test", True)) == 3
        pending = {due.letter.id: [each.number for each in due.pending] for due in self.due(2000.0)}
        assert pending == {"L1": [0], "L2": [0], "L3": [0]}

    def test_what_is_done_does_not_wait(self) -> None:
        self.add("L1", "a@x.test", "b@y.test")
        self.run(self.spool.settle({"L1": [Result(0, "sent", OK), Result(1, "deferred", LATER, "none", 5000.0)]}))
        assert self.run(self.spool.hasten("x.test", False)) == 0
        assert self.due_ids(2000.0) == []

    def test_what_waits_for_domains(self) -> None:
        """The oldest first, due or not; what is done and what is for others is not among it."""
        self.add("L1", "a@y.test", arrived=3.0)
        self.add("L2", "a@x.test", "b@z.test", arrived=4.0)
        self.defer("L2", 0)
        self.add("L3", "a@sub.x.test", "a@notx.test", arrived=5.0)
        self.add("L4", "a@x.test", "b@z.test", arrived=6.0)
        self.run(self.spool.settle({"L4": [Result(0, "sent", OK)]}))
        assert self.run(self.spool.waiting(["x.test", "y.test"])) == ["L1", "L2"]
        assert self.run(self.spool.waiting(["none.test"])) == []

    def test_a_letter_ahead_of_its_time(self) -> None:
        self.add("L1", "a@x.test", "b@y.test", "c@z.test", "d@x.test")
        self.defer("L1", 0, 1)
        self.run(self.spool.settle({"L1": [Result(3, "sent", OK)]}))
        due = self.run(self.spool.ahead_of_time("L1", ["x.test", "z.test"]))
        assert [(each.number, each.attempts) for each in due.pending] == [(0, 1), (2, 0)]
        assert due.letter.id == "L1"
        assert self.run(self.spool.ahead_of_time("L1", ["none.test"])) is None
        assert self.run(self.spool.ahead_of_time("NONE", ["x.test"])) is None

    def test_a_letter_that_is_held_back_is_not_hastened(self) -> None:
        self.add("L1", "a@x.test", not_before=5000.0)
        self.run(self.spool.hasten("x.test", False))
        assert self.due_ids(4999.0) == []
        assert self.due_ids(5000.0) == ["L1"]

    def test_a_failure_is_due_until_it_is_reported(self) -> None:
        self.add("L1", "a@x.test", "b@x.test")
        self.run(
            self.spool.settle(
                {"L1": [Result(0, "bounced", NEVER, "mx.x.test"), Result(1, "deferred", LATER, "none", 5000.0)]}
            )
        )
        (due,) = self.due(2000.0)
        assert due.unreported and due.pending == ()
        assert self.run(self.spool.unreported("L1")) == {0: Failed(NEVER, "mx.x.test")}
        bounce = letter("B1", "a@far.test", sender="", content=b"report\n")
        content = self.spool.receive("B1")
        content.write(b"report\n")
        self.run(self.spool.report("L1", [0], bounce, content, 0))
        assert self.due_ids(2000.0) == ["B1"]
        assert self.run(self.spool.unreported("L1")) == {}
        with self.spool.open("B1") as file:
            assert file.read() == b"report\n"

    def test_what_of_a_letter_is_not_done(self) -> None:
        """Who is being tried, or in line; and who was tried and waits, with what the last attempt came to."""
        self.add("L1", "a@x.test", "b@x.test", "c@x.test")
        assert self.run(self.spool.lagging("L1", 2000.0)) == Lagging({}, True, 0)
        later = Result(1, "deferred", LATER, "mx.x.test", 5000.0)
        self.run(self.spool.settle({"L1": [Result(0, "bounced", NEVER), later]}))
        assert self.run(self.spool.lagging("L1", 2000.0)) == Lagging({1: Delayed(LATER, "mx.x.test")}, True, 0)
        self.run(self.spool.settle({"L1": [Result(2, "sent", OK)]}))
        assert not self.run(self.spool.lagging("L1", 2000.0)).trying
        assert self.run(self.spool.lagging("L1", 5000.0)).trying
        self.run(self.spool.report("L1", [0], None, None, 2))
        assert self.run(self.spool.lagging("L1", 2000.0)).warned == 2
        self.run(self.spool.settle({"L1": [Result(1, "bounced", NEVER)]}))
        assert self.run(self.spool.lagging("L1", 9000.0)) == Lagging({}, False, 2)
        assert self.run(self.spool.lagging("NONE", 9000.0)) == Lagging({}, False, 0)

    def test_all_of_the_envelope_survives(self) -> None:
        user, domain = Address.parse("用户@例子.测试"), Address.parse("a@xn--bcher-kva.test")
        to = (
            Recipient(user, domain, frozenset({"SUCCESS", "DELAY"}), "utf-8;用户@例子.测试"),
            Recipient(domain, domain, frozenset({"NEVER"})),
            Recipient(user, user, frozenset({"SUCCESS"}), expanded=True),
        )
        wishes = {"smtputf8": True, "require_tls": True, "ret": "FULL", "envid": "QQ+2B1"}
        added = evolve(letter("L1"), sender=user, recipients=to, **wishes)
        incoming = self.spool.receive("L1")
        incoming.write(b"x\n")
        self.run(self.spool.add(added, incoming))
        (due,) = self.due(1000.0)
        assert due.letter == added
        assert [each.number for each in due.pending] == [0, 1], "nothing is sent to what was expanded"

    def test_an_expanded_alias_is_due_until_it_is_reported(self) -> None:
        to = (recipient("a@x.test"), evolve(recipient("list@x.test"), expanded=True))
        added = evolve(letter("L1"), recipients=to)
        incoming = self.spool.receive("L1")
        incoming.write(b"x\n")
        self.run(self.spool.add(added, incoming))
        self.run(self.spool.settle({"L1": [Result(0, "sent", OK)]}))
        (due,) = self.due(1000.0)
        assert due.unreported and due.pending == ()
        ((number, outcome),) = self.run(self.spool.unreported("L1")).items()
        assert number == 1 and outcome.action == "expanded"
        self.run(self.spool.report("L1", [1], None, None, 0))
        assert self.due_ids(1e12) == []

    def test_a_success_that_the_sender_wants_to_hear_of_is_due_until_it_is_reported(self) -> None:
        """As a failure is: the letter stays, and comes again after a crash."""
        self.add("L1", "a@x.test", "b@x.test", "c@x.test")
        results = [
            Result(0, "delivered", OK, "local"),
            Result(1, "relayed", OK, "mx.x.test"),
            Result(2, "bounced", NEVER, "mx.x.test"),
        ]
        self.run(self.spool.settle({"L1": results}))
        (due,) = self.due(2000.0)
        assert due.unreported and due.pending == ()
        assert self.run(self.spool.unreported("L1")) == {
            0: Delivered(OK, "local", action="delivered"),
            1: Delivered(OK, "mx.x.test", action="relayed"),
            2: Failed(NEVER, "mx.x.test"),
        }
        self.run(self.spool.report("L1", [0, 1, 2], None, None, 0))
        assert self.due_ids(1e12) == []

    def test_what_no_report_has_told_is_still_to_be_told(self) -> None:
        """It may have come to be while the report was made."""
        self.add("L1", "a@x.test", "b@x.test", "c@x.test")
        self.run(self.spool.settle({"L1": [Result(0, "bounced", NEVER), Result(1, "bounced", NEVER)]}))
        self.run(self.spool.report("L1", [0, 2], None, None, 0))
        assert list(self.run(self.spool.unreported("L1"))) == [1]
        (due,) = self.due(2000.0)
        assert due.unreported and [each.number for each in due.pending] == [2]
        self.run(self.spool.settle({"L1": [Result(2, "sent", OK)]}))
        self.run(self.spool.report("L1", [1], None, None, 0))
        assert self.due_ids(1e12) == []

    def test_a_failure_that_nobody_wants_to_hear_of_is_the_end(self) -> None:
        self.add("L1")
        self.run(self.spool.settle({"L1": [Result(0, "reported", NEVER)]}))
        assert self.due_ids(1e12) == []

    def test_a_letter_whose_failures_are_reported_is_gone(self) -> None:
        self.add("L1")
        self.run(self.spool.settle({"L1": [Result(0, "bounced", NEVER)]}))
        self.run(self.spool.report("L1", [0], None, None, 0))
        assert self.due_ids(1e12) == []

    def test_warnings_are_counted(self) -> None:
        self.add("L1")
        self.run(self.spool.settle({"L1": [Result(0, "deferred", LATER, "none", 1500.0)]}))
        self.run(self.spool.report("L1", [], None, None, 2))
        (due,) = self.due(1500.0)
        assert due.warned == 2

    def test_results_of_a_dropped_letter_are_ignored(self) -> None:
        self.run(self.spool.settle({"NONE": [Result(0, "sent", OK)]}))
        self.run(self.spool.report("NONE", [0], None, None, 1))

    def test_surviving_names_what_is_there(self) -> None:
        """And who of it still waits."""
        self.add("L1", "a@x.test", "b@x.test")
        self.add("L2", "a@x.test", "b@x.test")
        self.run(self.spool.settle({"L1": [Result(0, "bounced", NEVER)]}))
        found = self.run(self.spool.surviving(["L1", "L2", "L3"]))
        assert {id: set(numbers) for id, numbers in found.items()} == {"L1": {1}, "L2": {0, 1}}

    def test_nothing_waits_in_an_empty_spool(self) -> None:
        assert self.run(self.spool.next_due(0.0)) is None
        assert self.due_ids(1e12) == []

    def test_discarded_content_leaves_nothing(self) -> None:
        incoming = self.spool.receive("L1")
        incoming.write(b"x" * 3_000_000)
        incoming.discard()
        incoming.discard()
        assert self.due_ids(1e12) == []

    def test_a_letter_stays_until_its_copy_is_saved(self) -> None:
        """The copy is no recipient: it is in no attempt, and nothing waits for it."""
        self.add("L1", sent_by=ALICE)
        self.add("L2")
        (found,) = self.run(self.spool.unsaved(2000.0, 10))
        assert (found.id, found.sent_by) == ("L1", ALICE)
        self.run(self.spool.settle({"L1": [Result(0, "sent", OK)], "L2": [Result(0, "sent", OK)]}))
        assert self.due_ids(1e12) == []
        assert set(self.run(self.spool.surviving(["L1", "L2"]))) == {"L1"}
        assert [each.id for each in self.run(self.spool.unsaved(2000.0, 10))] == ["L1"]
        self.run(self.spool.saved(["L1", "GONE"]))
        assert self.run(self.spool.surviving(["L1"])) == {}
        assert self.run(self.spool.unsaved(2000.0, 10)) == []

    def test_a_copy_that_is_saved_first_leaves_the_letter_where_it_is(self) -> None:
        self.add("L1", sent_by=ALICE)
        self.run(self.spool.saved(["L1"]))
        assert self.due_ids(1e12) == ["L1"]
        self.run(self.spool.settle({"L1": [Result(0, "sent", OK)]}))
        assert self.run(self.spool.surviving(["L1"])) == {}

    def test_what_its_sender_holds_back_is_not_saved_yet(self) -> None:
        self.add("L1", sent_by=ALICE, not_before=5000.0)
        assert self.run(self.spool.unsaved(4999.0, 10)) == []
        assert [each.id for each in self.run(self.spool.unsaved(5000.0, 10))] == ["L1"]

    def test_some_of_what_is_to_be_saved(self) -> None:
        for number in range(5):
            self.add(f"L{number}", sent_by=ALICE)
        found = self.run(self.spool.unsaved(2000.0, 2, ["L0", "L2"]))
        assert [each.id for each in found] == ["L1", "L3"]
