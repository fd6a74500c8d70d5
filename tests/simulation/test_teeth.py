"""The simulation has teeth: servers and disks that break a promise are found out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from attrs import evolve

from mailstack.config.settings import DAY, MINUTE, Queue
from mailstack.delivery.local import LocalDelivery
from mailstack.intake.relay import RelayRule
from mailstack.queue.attempts import Attempts
from mailstack.queue.looks import Looks
from mailstack.spool import diagnosis
from mailstack.spool.batch import Batch
from mailstack.spool.commit import GroupCommit
from mailstack.spool.store import Store
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
    assert "lost: T" in faults("power")


class _Nobody:
    """Waits, and is not interested."""

    def callback(self, result: object) -> None: ...

    def errback(self, error: object) -> None: ...


def test_a_mark_before_the_delivery_is_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(self: Any, placed: Any) -> None:
        return None

    monkeypatch.setattr(LocalDelivery, "_make_durable", at_once)
    assert "lost: T" in faults("power")


def test_letters_whose_folder_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    sync = Store.sync

    def without_folders(self: Store, batch: Batch) -> None:
        batch.paths = {path for path in batch.paths if path.name != "messages"}
        sync(self, batch)

    monkeypatch.setattr(Store, "sync", without_folders)
    assert faults("power")


def test_deliveries_that_are_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    record = Attempts.record
    seen: set[str] = set()

    async def forget_the_first(self: Any, results: Any) -> None:
        await record(self, {id: each for id, each in results.items() if id in seen})
        seen.update(results)

    monkeypatch.setattr(Attempts, "record", forget_the_first)
    assert "duplicated: T" in faults()


def test_an_open_relay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RelayRule, "trusts", lambda self, address: True)
    assert "relayed for a stranger" in faults()


def test_a_power_loss_that_is_taken_for_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start that believes what stands in the index of the log, and that all of the log is there."""
    monkeypatch.setattr(diagnosis, "same_boot", lambda path: True)
    assert "takes for damage: queue.db" in faults("power", "kill")
