"""A long queue and many hosts: who waits for whom, and how much of it is in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred

from mailstack.config.settings import Queue
from mailstack.durable import SYNCS, Sync
from mailstack.interfaces.delivery import Outcomes
from mailstack.interfaces.spool import Wanted
from mailstack.model.letter import Due
from mailstack.model.outcome import Delayed, Delivered, Outcome
from mailstack.model.reply import Reply
from mailstack.queue.lines import BACKLOG, CROWD, FRESH, Hurry
from mailstack.spool.disk import DiskSpool
from tests.fakes import FakeTransport, ListLog, at_once, in_place
from tests.queue.test_dispatch import SETTINGS, START, SlowTransport, World, where
from tests.spool.contract import letter

TAKEN = Delivered(Reply(250, "2.0.0", "ok"), "mx[192.0.2.1]:25")
DOWN = Delayed(Reply(451, "4.4.1", "timed out"), "mx[192.0.2.1]:25", unreachable=True)
QUICK, LONG = 0.05, 30.0  # seconds until a host answers; until a dead one has not


class Net(FakeTransport):
    """Hosts that take their time: dead ones, and those that take all."""

    def __init__(self) -> None:
        super().__init__()
        self.clock: Any = None
        self.quick = QUICK
        self.on_the_way: dict[str, int] = {}
        self.most: dict[str, int] = {}
        self.times: dict[str, float] = {}

    async def deliver(self, dues: Sequence[Due]) -> Sequence[Outcomes]:
        (due,) = dues
        domain = due.pending[0].recipient.address.domain
        dead = domain.startswith("dead")
        self.on_the_way[domain] = self.on_the_way.get(domain, 0) + 1
        self.most[domain] = max(self.most.get(domain, 0), self.on_the_way[domain])
        gate: Deferred[None] = Deferred()
        self.clock.callLater(LONG if dead else self.quick, gate.callback, None)
        await gate
        self.on_the_way[domain] -= 1
        outcome: Outcome = DOWN if dead else TAKEN
        if not dead:
            self.delivered.append((due.letter.id, domain))
            self.times[due.letter.id] = self.clock.seconds()
        return [{each.number: outcome for each in due.pending}]


def nothing_is_synced(folder: Path, by_file: bool) -> Sync:
    return lambda paths: None


class Crowd(World):
    """On a real database, as so many letters would be too slow in the other."""

    spool: Any

    def __init__(self, folder: Path, settings: Queue = SETTINGS) -> None:
        self.folder, self.settings = folder, settings
        self.net = Net()
        super().__init__(self.net)
        self.net.clock = self.clock
        self.most = 0

    def make_spool(self) -> Any:
        spool = DiskSpool(
            self.folder,
            "file",
            in_place,
            in_place,
            self.clock,
            ListLog(),
            where,
            syncs=SYNCS._replace(of_folder=nothing_is_synced),
        )
        spool.start()
        return spool

    def fill(self, *domains: str) -> None:
        """A letter for each, tried before and due."""
        content = self.folder / "content"
        content.write_bytes(b"x\n")
        for number in range(len(domains)):
            (self.folder / f"spool/messages/L{number:05}").hardlink_to(content)
        with closing(sqlite3.connect(self.folder / "spool/queue.db")) as db:
            db.executemany(
                "INSERT INTO messages (id, sender, arrived, size, lines, relay_offset, eight_bit, checksum, batch)"
                " VALUES (?, 'alice@office.test', ?, 2, 1, 0, 0, ?, 0)",
                ((f"L{number:05}", START - 100, crc32(b"x\n")) for number in range(len(domains))),
            )
            db.executemany(
                "INSERT INTO recipients (id, number, address, original, state, attempts, next_attempt, destination)"
                " VALUES (?, 0, ?, ?, 'deferred', 1, ?, ?)",
                (
                    (f"L{number:05}", f"x@{name}", f"x@{name}", START - 50 + number / 1000, where(name))
                    for number, name in enumerate(domains)
                ),
            )
            db.commit()

    def fresh(self, id: str, domain: str) -> None:
        added = letter(id, f"x@{domain}", arrived=self.now())
        incoming = self.spool.receive(id)
        incoming.write(b"x\n")
        work = Deferred.fromCoroutine(self.spool.add(added, incoming))
        work.addCallback(lambda _: self.dispatcher.wake(added))

    def pass_time(self, seconds: float) -> None:
        end = self.clock.seconds() + seconds
        while self.clock.seconds() < end:
            following = min((call.getTime() for call in self.clock.getDelayedCalls()), default=end)
            self.clock.advance(max(0.0, min(following, end) - self.clock.seconds()))
            self.most = max(self.most, len(self.dispatcher._telling.letters))

    def delivered(self, prefix: str = "") -> int:
        return sum(domain.startswith(prefix) for _, domain in self.net.delivered)


@pytest.fixture
def crowd(tmp_path: Path) -> Crowd:
    return Crowd(tmp_path)


def test_a_quick_host_need_not_wait_for_the_disk(tmp_path: Path) -> None:
    """While what it has taken is being recorded, it gets the next letters; and little is in memory all the same."""
    crowd = Crowd(tmp_path, evolve(SETTINGS, concurrency_per_destination=20))
    crowd.net.quick = 0.005
    crowd.fill(*["alive.test"] * 2_000)
    crowd.pass_time(1.2)
    assert crowd.delivered() == 2_000
    assert crowd.most < 200
    assert not crowd.log.failures


def test_what_finds_no_room_while_the_database_is_asked_is_not_forgotten(crowd: Crowd) -> None:
    """The answer is older than the letters: that there is nothing more is not true of them."""
    crowd.fill(*["alive.test"] * 81)
    ask, gate, waiting = crowd.spool.due, Deferred[None](), []

    async def slow(now: float, wanted: Sequence[Wanted]) -> Any:  # Any: what the spool gives
        found = await ask(now, wanted)
        if not any(found) and any(each.destination == "alive.test" for each in wanted) and not gate.called:
            waiting.append(wanted)
            await gate
        return found

    crowd.spool.due = slow
    crowd.pass_time(5)
    assert waiting and crowd.delivered() == 81, "it is asked what more there is, and there is nothing"
    for number in range(FRESH + 20):
        crowd.fresh(f"N{number}", "alive.test")
    crowd.pass_time(0.1)
    gate.callback(None)
    crowd.pass_time(20)
    assert crowd.delivered() == 81 + FRESH + 20


def test_nor_while_the_database_is_asked_what_was_put_off(crowd: Crowd) -> None:
    gate = Deferred[None]()

    async def slow(*_: object) -> None:
        """Nothing was."""
        await gate

    crowd.spool.hurry = slow
    work, sweep = crowd.dispatcher._work, crowd.dispatcher._sweep
    line = work.lines.open("alive.test", work._transports.terms("alive.test"))
    line.hurry = Hurry(crowd.now(), crowd.now())
    sweep._refill_soon()
    for number in range(FRESH + 20):
        crowd.fresh(f"N{number}", "alive.test")
    crowd.pass_time(0.1)
    gate.callback(None)
    crowd.pass_time(20)
    assert crowd.delivered() == FRESH + 20


def test_twenty_thousand_letters_of_which_most_are_for_a_dead_host(crowd: Crowd) -> None:
    """The longest waiting are its. All others are delivered, few letters are in memory, and new ones go at once."""
    crowd.fill(*["dead.test"] * 17_000, *[f"{number % 30}.alive.test" for number in range(3_000)])
    crowd.pass_time(2)
    crowd.fresh("N1", "new.test")
    crowd.fresh("N2", "office.test")
    crowd.pass_time(0.2)
    assert ("N2", "x@office.test") in crowd.local.delivered, "at once"
    crowd.pass_time(2)
    assert ("N1", "new.test") in crowd.net.delivered
    crowd.pass_time(40)
    assert crowd.delivered() == 3_001
    assert crowd.net.most["dead.test"] <= 5
    assert crowd.most < 600
    assert not crowd.log.failures


def test_as_many_dead_hosts_as_letters(tmp_path: Path) -> None:
    """They are a thousand and more, and each takes half a minute to fail. Who is new does not wait for them."""
    crowd = Crowd(tmp_path, evolve(SETTINGS, concurrency=100))
    crowd.fill(*[f"dead{number}.test" for number in range(4_000)])
    crowd.pass_time(25)
    assert sum(crowd.net.on_the_way.values()) > 750
    for number in range(10):
        crowd.fresh(f"N{number}", f"new{number}.test")
        asked = crowd.clock.seconds()
        crowd.pass_time(2)
        assert crowd.net.times[f"N{number}"] - asked < 2
    assert crowd.most <= BACKLOG + 10
    assert sum(crowd.net.most.values()) == len(crowd.net.most), "each is tried once"


def test_who_finds_no_room_is_waited_for_in_peace(tmp_path: Path) -> None:
    """While memory is full of what waits for dead hosts, nobody looks again and again; after that, somebody does."""
    crowd = Crowd(tmp_path, evolve(SETTINGS, concurrency=100))
    crowd.fill(*[f"dead{number % 1_000}.test" for number in range(5_000)], "late.alive.test")
    sweep, looks = crowd.dispatcher._sweep, 0
    begin = sweep._begin

    def counted(all: bool) -> None:
        nonlocal looks
        looks += 1
        assert looks < 2_000, "looks without an end"
        begin(all)

    sweep._begin = counted  # type: ignore[method-assign]
    crowd.pass_time(2)
    assert crowd.dispatcher._work.lines.size == BACKLOG
    before = looks
    crowd.pass_time(20)
    assert looks - before < 10
    crowd.pass_time(60)
    assert crowd.delivered() == 1


def test_new_mail_does_not_wait_for_a_long_line_of_its_own_host(crowd: Crowd) -> None:
    """Lines are filled from both ends in turn."""
    crowd.fill(*["one.test"] * 3_000)
    crowd.pass_time(3)
    done = crowd.delivered()
    assert done < 2_000
    crowd.fresh("N1", "one.test")
    crowd.pass_time(3)
    position = [id for id, _ in crowd.net.delivered].index("N1")
    assert position - done < 150


@pytest.mark.parametrize(("limit", "first"), [(2, 2), (8, 5)])
def test_the_window_grows_up_to_the_limit(tmp_path: Path, limit: int, first: int) -> None:
    crowd = Crowd(tmp_path, evolve(SETTINGS, concurrency=100, concurrency_per_destination=limit))
    crowd.fill(*["one.test"] * 500)
    crowd.pass_time(0.04)
    assert crowd.net.most["one.test"] == first
    crowd.pass_time(5)
    assert crowd.net.most["one.test"] == limit


def test_turns_are_taken_by_destination(crowd: Crowd) -> None:
    """There are ten places, and a hundred letters for each of ten hosts came before one for the eleventh."""
    crowd.fill(*[f"{number // 100}.alive.test" for number in range(1_000)], "late.test")
    crowd.pass_time(2)
    assert ("L01000", "late.test") in crowd.net.delivered
    counts = [crowd.delivered(f"{number}.alive") for number in range(10)]
    assert max(counts) - min(counts) <= 10, counts


def test_a_backlog_for_our_own_mailboxes_goes_too(crowd: Crowd) -> None:
    crowd.fill(*["office.test"] * 300, *["dead.test"] * 300)
    crowd.pass_time(20)
    assert len(crowd.local.delivered) == 300


def test_more_new_mail_than_memory_is_for(crowd: Crowd) -> None:
    """It is found again when there is room."""
    count = CROWD + 50
    for number in range(count):
        crowd.fresh(f"N{number:05}", f"{number % 1500}.alive.test")
    crowd.pass_time(60)
    assert crowd.delivered() == count
    assert crowd.most <= count


def test_a_letter_with_many_destinations_is_in_memory_once(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read again for each mouthful, with all its recipients."""
    crowd.fill(*[f"dead{number}.test" for number in range(40)])
    with closing(sqlite3.connect(crowd.folder / "spool/queue.db")) as db, db:
        db.execute("UPDATE recipients SET number = CAST(substr(id, 2) AS INTEGER), id = 'L00000'")
        db.execute("DELETE FROM messages WHERE id <> 'L00000'")
    kept: list[Due] = []
    deliver = crowd.net.deliver

    async def keeping(dues: Sequence[Due]) -> Sequence[Outcomes]:
        kept.extend(dues)
        return await deliver(dues)

    monkeypatch.setattr(crowd.net, "deliver", keeping)
    crowd.pass_time(20)
    assert len(kept) == 40
    assert len({id(due.letter) for due in kept}) == 1


# ---- Places


def test_an_attempt_that_lasts_gives_its_place_to_others() -> None:
    slow = SlowTransport()
    world = World(slow)
    for number in range(20):
        world.accept(f"L{number}", f"x@{number}.test")
    assert len(slow.held) == 9, "of ten places, one is for hosts that have answered"
    world.pass_time(3)
    assert len(slow.held) == 18
    world.pass_time(3)
    assert len(slow.held) == 20


def test_a_letter_on_hold_or_ended_while_it_waits_in_memory_is_not_sent() -> None:
    slow = SlowTransport()
    world = World(slow)
    for number in range(5):
        world.accept(f"L{number}", "x@one.test")
    world.spool.stored["L2"].rows[0].state = "hold"
    world.spool.stored["L3"].rows[0].state = "bounced"
    world.spool.stored["L3"].rows[0].reply = Reply(554, "5.7.0", "ended by the administrator")
    world.spool.touched = True
    world.pass_time(2)
    while slow.held:
        slow.held.pop(0).callback(None)
    world.turn()
    assert [id for id, _ in slow.delivered] == ["L0", "L1", "L4"]
    assert [id for id, _ in world.local.delivered] == ["B1"], "the report of the one that was ended"
    assert list(world.spool.stored) == ["L2"]


def test_a_change_is_heeded_although_the_disk_does_not_tell_at_once_which(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = SlowTransport()
    world = World(slow)
    for number in range(3):
        world.accept(f"L{number}", "x@one.test")
    assert len(slow.held) == 2, "the third waits in line"
    world.spool.stored["L2"].rows[0].state = "hold"
    world.spool.touched = True

    async def broken(ids: Sequence[str]) -> None:
        raise OSError("cannot be read")

    with monkeypatch.context() as patch:
        patch.setattr(world.spool, "surviving", broken)
        world.pass_time(2)
    world.pass_time(2)
    while slow.held:
        slow.held.pop(0).callback(None)
    world.turn()
    assert [id for id, _ in slow.delivered] == ["L0", "L1"]


def test_what_is_held_during_its_attempt_stays_held_or_is_sent() -> None:
    for outcome, left in ((DOWN, ["L1"]), (TAKEN, [])):
        slow = SlowTransport()
        slow.outcomes = {"x@one.test": [outcome]}
        world = World(slow)
        world.accept("L1", "x@one.test")
        world.spool.stored["L1"].rows[0].state = "hold"
        world.spool.touched = True
        world.pass_time(2)
        slow.held[0].callback(None)
        world.pass_time(2000)
        assert list(world.spool.stored) == left
        assert not left or world.spool.stored["L1"].rows[0].state == "hold"
        assert world.count == 0 and len(slow.held) == 1


def test_a_slow_host_of_a_letter_delays_neither_its_others_nor_their_report() -> None:
    """A part that is refused is told of within a minute, and what is to be tried again is."""
    slow = SlowTransport()
    slow.outcomes = {
        "x@one.test": [Delayed(Reply(450, "4.2.0", "greylisted"), "mx"), TAKEN],
    }
    world = World(slow)
    world.accept("L1", "x@one.test", "x@slow.test")
    assert len(slow.held) == 2
    slow.held[0].callback(None)
    world.pass_time(70)
    slow.held[2].callback(None)
    world.turn()
    assert slow.delivered == [("L1", "x@one.test")]


def test_no_letter_is_forgotten_in_memory() -> None:
    world = World()
    world.remote.outcomes = {"x@one.test": [DOWN], "x@two.test": [TAKEN]}
    for number in range(30):
        world.accept(f"L{number}", "x@one.test", "x@two.test", "bob@office.test")
    world.pass_time(300)
    world.dispatcher.stopService()
    world.turn()
    assert not world.dispatcher._telling.letters
    assert not world.dispatcher._work.here
    assert world.dispatcher._work.lines.size == 0
    assert at_once(world.spool.next_due(0.0)) is not None
