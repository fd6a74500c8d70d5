"""The simulation has teeth: servers and disks that break a promise are found out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from mailstack.config.settings import DAY, MINUTE, Queue
from mailstack.delivery import local
from mailstack.delivery.local import Attempt, LocalDelivery, Maildir
from mailstack.durable import hard_link
from mailstack.intake.relay import RelayRule
from mailstack.queue.attempts import Attempts
from mailstack.queue.looks import Looks
from mailstack.queue.schedule import Schedule
from mailstack.spool import diagnosis, recovery, store
from mailstack.spool.commit import GroupCommit
from mailstack.spool.contents import Contents
from mailstack.spool.incoming import FileIncoming
from mailstack.spool.store import Store
from tests.simulation import letters
from tests.simulation.disk import Disk
from tests.simulation.full import Pieces
from tests.simulation.plan import Plan
from tests.simulation.watch import outcome
from tests.simulation.world import World

ENOUGH = 40  # worlds; most bad servers are found in one of the first


def plan(seed: int, *kinds: str) -> Plan:
    """A short one, with the kinds of faults that matter."""
    queue = Queue(retry=(MINUTE,), lifetime=20 * MINUTE, bounce_lifetime=20 * MINUTE, delay_warning=())
    looks = Looks(poll=MINUTE, sent=DAY, sweep=2 * MINUTE)
    few = {"letters": 8, "spell": 2.0, "crashes": 3, "strangers": 1, "sync": "file"}
    return evolve(Plan.of(seed), kinds=frozenset(kinds), queue=queue, looks=looks, **few)


def faults(*kinds: str, mutate: Callable[[World], None] | None = None, worlds: Sequence[int] = range(ENOUGH)) -> str:
    """The first that are found."""
    for seed in worlds:
        found = outcome(plan(seed, *kinds), mutate=mutate).faults
        if found:
            return "\n".join(found)
    return ""


def test_none_where_all_is_well() -> None:
    assert not faults("power", "sync", worlds=range(5))


def test_a_disk_whose_syncs_do_nothing() -> None:
    def lie(world: World) -> None:
        for machine in world.machines:
            machine.disk.lies = True

    found = faults("power", mutate=lie)
    assert any(words in found for words in ("lost: T", "malformed", "takes for damage"))


def test_folders_that_are_not_synced() -> None:
    def blind(world: World) -> None:
        for machine in world.machines:
            machine.disk.blind = True

    assert faults("power", mutate=blind)


def test_a_reply_before_the_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = GroupCommit.join

    async def join(self: Any, change: Any, urgent: bool = True, must: int = 0) -> None:
        if not urgent or must:
            await waiting(self, change, urgent, must)
            return
        change(self._batch)
        self._plan_all = self._clock.callLater(0.05, self._waiters.append, _Nobody())
        self._clock.callLater(0.06, self._plan)

    monkeypatch.setattr(GroupCommit, "join", join)
    found = faults("power")
    assert any(words in found for words in ("lost: T", "takes for damage"))


class _Nobody:
    """Waits, and is not interested."""

    def callback(self, result: object) -> None: ...

    def errback(self, error: object) -> None: ...


def test_a_mark_before_the_delivery_is_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(self: Any, dues: Any, placed: Any, before: int) -> Any:
        return None, ()

    monkeypatch.setattr(LocalDelivery, "_make_durable", at_once)
    assert "lost: T" in faults("power")


def test_letters_whose_folder_is_forgotten(monkeypatch: pytest.MonkeyPatch, unlogged: None) -> None:
    sync = Store.sync_files

    def without_folders(self: Store, paths: Iterable[Path]) -> None:
        sync(self, {path for path in paths if path.name != "messages"})

    monkeypatch.setattr(Store, "sync_files", without_folders)
    assert faults("power")


def none_restored(db: object, messages: object, create: bool) -> list[str]:
    return []


class TestSmallLetters:
    """Acknowledged before their files are durable."""

    def test_files_that_a_power_loss_has_taken_are_not_made_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(recovery, "restore", none_restored)
        assert faults("power")

    def test_files_are_not_written_once_more_after_a_failed_sync(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def found(seed: int) -> Sequence[str]:
            return outcome(evolve(plan(seed, "power", "sync"), letters=40, spell=4 * MINUTE, crashes=8)).faults

        assert not any(map(found, range(5)))
        monkeypatch.setattr(store, "restore", none_restored)
        assert any(map(found, range(ENOUGH)))

    def test_what_a_power_loss_has_left_in_a_maildir_is_taken_for_the_letter(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def found(seed: int) -> str:
            many = evolve(plan(seed, "power"), letters=40, spell=1.0, crashes=8)
            return "\n".join(outcome(many).faults)

        assert not any(map(found, range(5)))

        def believed(attempt: Attempt, maildir: Maildir) -> bool:
            try:
                return hard_link(attempt.source, maildir.arrivals + attempt.name)
            except FileExistsError:
                return True

        monkeypatch.setattr(local, "_link", believed)
        assert any(found(seed) for seed in range(ENOUGH))

    def test_contents_that_go_before_the_file_is_durable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def at_once(self: Contents, ids: Sequence[str]) -> None:
            await self._commit.join(lambda batch: batch.firm.extend(ids), urgent=False)
            self.forget(ids)

        def found(seed: int) -> str:
            slow = evolve(plan(seed, "power", "mood"), spell=2 * MINUTE, letters=20, crashes=6)
            return "\n".join(outcome(evolve(slow, looks=evolve(slow.looks, poll=2.0))).faults)

        assert not any(map(found, range(3)))
        monkeypatch.setattr(Contents, "_make_firm", at_once)
        assert any(map(found, range(ENOUGH)))

    def test_a_log_that_does_not_hear_of_pages_that_were_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Disk, "sync_log", lambda self, path, heard: self._sync([path]))
        assert faults("power", "sync")


class TestWhatAFailedSyncHasTakenFromWhoCameMeanwhile:
    """No later sync tells of it."""

    @pytest.fixture(autouse=True)
    def _large(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            letters, "_body", lambda rng: b"".join(b"%070x\n" % rng.getrandbits(280) for _ in range(2_500))
        )

    def faults(self, seed: int) -> Sequence[str]:
        quiet = plan(seed, "power", "sync")
        return outcome(evolve(quiet, sync="filesystem", letters=60, spell=60.0, crashes=12)).faults

    def test_nothing(self) -> None:
        assert not any(map(self.faults, range(5)))

    def test_from_large_messages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(FileIncoming, "_spill", _spilled_without_a_look)
        assert any(map(self.faults, range(50, 50 + ENOUGH)))

    def test_from_the_next_batch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As far as its files are written already."""

        monkeypatch.setattr(GroupCommit, "_files_failed", lambda self, error: None)
        monkeypatch.setattr("mailstack.spool.batch.AT_ONCE", -1)
        assert any(map(self.faults, range(ENOUGH, 2 * ENOUGH)))


def _spilled_without_a_look(self: Any, spill: Callable[[Any], None] = FileIncoming._spill) -> None:
    spill(self)
    self._failed_syncs = inf


def test_outcomes_that_are_dropped_on_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a reserve, and without trying again."""
    waiting = GroupCommit.join

    async def join(self: Any, change: Any, urgent: bool = True, must: int = 0) -> None:
        with suppress(*[] if urgent else [OSError]):
            await waiting(self, change, urgent, must)

    monkeypatch.setattr(GroupCommit, "join", join)
    monkeypatch.setattr(Pieces, "give_up", lambda self, everything: False)
    assert "duplicated: T" in faults("full disk")


def test_deliveries_that_are_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    record = Attempts.record
    seen: set[str] = set()

    async def forget_the_first(self: Any, results: Any) -> None:
        await record(self, {id: each for id, each in results.items() if id in seen})
        seen.update(results)

    monkeypatch.setattr(Attempts, "record", forget_the_first)
    assert "duplicated: T" in faults()


def test_warnings_that_are_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    def warned(seed: int) -> str:
        quiet = plan(seed)
        queue = evolve(quiet.queue, delay_warning=(2 * MINUTE, 8 * MINUTE))
        return "\n".join(outcome(evolve(quiet, queue=queue, letters=20)).faults)

    assert not any(map(warned, range(3)))
    monkeypatch.setattr(Schedule, "warnings", lambda self, released, now: 0)
    assert any("too few warnings" in warned(seed) for seed in range(ENOUGH))


def test_an_open_relay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RelayRule, "trusts", lambda self, address: True)
    assert "relayed for a stranger" in faults()


def test_a_power_loss_that_is_taken_for_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start that believes what stands in the index of the log, and that all of the log is there."""
    monkeypatch.setattr(diagnosis, "same_boot", lambda path: True)
    assert "takes for damage: queue.db" in faults("power", "kill")
