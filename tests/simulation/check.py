"""The promises, looked at when all is over."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.simulation.letters import TOKEN, Arrived, Told
from tests.simulation.reports import is_report, reports

if TYPE_CHECKING:
    from tests.simulation.machine import Machine
    from tests.simulation.world import World


#: What may keep a server from an attempt for long.
BUSY = frozenset(("kill", "power", "stop", "jump", "sleep", "sync", "slow disk", "full disk", "mood", "stall"))


def check(world: World) -> None:
    """Whatever is not as promised is a fault of the world."""
    arrived = list(world.ledger.far)
    told = list(world.ledger.far_told)
    for machine in world.machines:
        here, reported = _mailboxes(world, machine)
        arrived += here
        told += reported
    _Judge(world, arrived, told).judge()


def _mailboxes(world: World, machine: Machine) -> tuple[list[Arrived], list[Told]]:
    arrived: list[Arrived] = []
    told: list[Told] = []
    mail = machine.disk.root / "mail"
    for path in sorted(mail.glob("*/*/new/*")) + sorted(mail.glob("*/*/cur/*")):
        text = path.read_bytes()
        address = f"{path.parts[-3]}@{path.parts[-4]}"
        token = TOKEN.search(text)
        if token is None:
            world.fault(f"{machine.name}: nobody has sent {path.name}: {text[:80]!r}")
        elif is_report(text):
            told += reports(text)
        else:
            posted = world.ledger.posted[token[1].decode()]
            whole = text.endswith(posted.content) and text.startswith(b"Return-Path: ")
            arrived.append(Arrived(posted.token, address, whole))
    return arrived, told


class _Judge:
    def __init__(self, world: World, arrived: list[Arrived], told: list[Told]) -> None:
        self._world = world
        self._ledger = world.ledger
        self._copies = Counter((each.token, each.address) for each in arrived)
        self._failed = Counter((each.token, each.address) for each in told if each.action == "failed")
        self._delayed = Counter((each.token, each.address) for each in told if each.action == "delayed")
        self._damaged = [each for each in arrived if not each.whole]
        self._crashes = sum(len(machine.crashes) for machine in world.machines)
        if any(machine.disk.failures for machine in world.machines):
            # Some may have forgotten what the disk refused.
            self._crashes += world.counts["stop"]

    def judge(self) -> None:
        for each in self._damaged:
            self._world.fault(f"damaged: {each.token} at {each.address}")
        for token, letter in self._ledger.posted.items():
            if letter.stranger:
                self._judge_stranger(token)
            elif letter.acknowledged:
                for address in sorted(self._targets(letter.accepted)):
                    self._judge_one(token, address)
        self._nobody_else()
        counts = self._world.counts
        counts["copies"] = sum(self._copies.values())
        counts["duplicates"] = sum(count - 1 for count in self._copies.values())
        counts["acknowledged"] = sum(bool(each.acknowledged) for each in self._ledger.posted.values())

    def _targets(self, accepted: list[str]) -> set[str]:
        found: set[str] = set()
        for address in accepted:
            found |= self.expanded(address)
        return found

    def expanded(self, address: str) -> set[str]:
        for machine in self._world.machines:
            aliases: Any = machine.directory._aliases
            if address in aliases:
                return {str(target) for target in aliases[address]}
        return {address}

    def _judge_stranger(self, token: str) -> None:
        letter = self._ledger.posted[token]
        if letter.acknowledged or any(each == token for each, _ in self._copies):
            self._world.fault(f"relayed for a stranger: {token}")

    def _judge_one(self, token: str, address: str) -> None:
        copies, failed = self._copies[token, address], self._failed[token, address]
        doubts = self._doubts(token, address)
        letter = self._ledger.posted[token]
        if not copies and not failed and letter.sender and token not in self._ledger.unheard:
            self._world.fault(f"lost: {token} to {address}")
        if copies > 1 + doubts:
            self._world.fault(f"duplicated: {token} at {address}, copies={copies} doubts={doubts}")
        if copies and failed and not doubts:
            self._world.fault(f"delivered, and returned: {token} at {address}")
        self._judge_warnings(token, address)
        if failed > 1 + self._all_doubts(token) + self._crashes:
            self._world.fault(f"returned too often: {token} for {address}, failed={failed}")

    def _judge_warnings(self, token: str, address: str) -> None:
        """Not more than the schedule has, but for reports that came twice."""
        warnings = self._delayed[token, address]
        allowed = len(self._world.plan.queue.delay_warning) * (1 + self._letters(token))
        if warnings > allowed + self._all_doubts(token) + self._crashes:
            self._world.fault(f"too many warnings: {token} for {address}, {warnings}")
        if warnings < self._due_warnings(token, address):
            self._world.fault(f"too few warnings: {token} for {address}, {warnings}")

    def _due_warnings(self, token: str, address: str) -> int:
        """All that the schedule has, for whom always waits, where nothing else keeps a server from its work: that may
        make one of two warnings."""
        plan, sender = self._world.plan, self._ledger.posted[token].sender.rpartition("@")[2]
        ours = any(machine.name == sender for machine in self._world.machines)
        if not address.endswith("@late.test") or not ours or plan.kinds & BUSY:
            return 0
        return sum(age < plan.queue.lifetime for age in plan.queue.delay_warning)

    def _letters(self, token: str) -> int:
        """How many more letters, each with warnings of its own, were made of it on its way."""
        return len(self._world.machines) - 1 + self._all_doubts(token)

    def _doubts(self, token: str, address: str) -> int:
        ours = {machine.address for machine in self._world.machines}
        domain = address.rpartition("@")[2]
        here = [machine for machine in self._world.machines if machine.name == domain]
        renamed = sum(machine.rectified for machine in here if machine.crashes)
        return renamed + sum(
            count
            for (each, where), count in self._ledger.doubts.items()
            if each == token and (where in ours or not here)
        )

    def _all_doubts(self, token: str) -> int:
        return sum(count for (each, _), count in self._ledger.doubts.items() if each == token)

    def _nobody_else(self) -> None:
        """Nothing comes to whom it was not for."""
        for token, address in self._copies:
            letter = self._ledger.posted[token]
            if address not in self._targets(list(letter.to)):
                self._world.fault(f"unexpected: {token} at {address}")
