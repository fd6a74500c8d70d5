"""A machine with a mail server: it is started, killed, loses power, sleeps, and has a clock that may be wrong."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from ipaddress import ip_network
from pathlib import Path
from random import Random
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from zope.interface import implementer

from mailstack.config.settings import (
    Accounts,
    Log,
    Pop3Listener,
    Queue,
    Relay,
    Server,
    Settings,
    SmtpListener,
    Spool,
    Submission,
    Tls,
    TlsPolicy,
)
from mailstack.delivery.ip import Here
from mailstack.durable import Syncs, make_folders
from mailstack.inbound import RECEIVERS, Inbound
from mailstack.interfaces.alarms import SILENT
from mailstack.interfaces.log import IEventLog
from mailstack.interfaces.sessions import IRecording, ISessions
from mailstack.model.address import Address
from mailstack.model.ids import Ids
from mailstack.outbound import Outbound, Pools
from mailstack.queue.looks import Looks
from tests.fakes import ListCounts
from tests.fakes_accounts import MemoryAuthenticator, MemoryDirectory
from tests.simulation.clock import EPOCH, Owner, Time, in_ticks
from tests.simulation.disk import Disk
from tests.simulation.full import Room, limit, limit_rows
from tests.simulation.network import Network, Reactor
from tests.simulation.thread import Spans, Thread

TRUSTED = "10.9.0.0/16"  #: who may relay


@implementer(IEventLog)
class MachineLog:
    """Into the trace of the world. A bug is a fault of the world."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def event(self, id: str, **fields: object) -> None:
        self._machine.note(id, fields)

    def each(self, id: str, several: Sequence[Mapping[str, object]], **shared: object) -> None:
        for own in several:
            self.event(id, **own, **shared)

    detail = event

    def warn(self, id: str, **fields: object) -> None:
        self._machine.note(id, fields)
        self._machine.rectified += "the clock was ahead" in str(fields.get("what"))

    def failure(self, id: str, note: str) -> None:
        self._machine.fault(f"traceback in {id}: {note}\n{traceback.format_exc()}")


@implementer(ISessions, IRecording)
class NoSessions:
    def begin(self, service: str, port: int, who: Any) -> NoSessions:
        return self

    def add(self, said: Any) -> None:
        pass

    def secured(self, tls: str) -> None:
        pass

    def end(self) -> None:
        pass


class Machine:
    """``faults`` hears of what must never happen; ``on_note`` of each line of the log."""

    def __init__(
        self,
        name: str,
        address: str,
        base: Path,
        time: Time,
        network: Network,
        rng: Random,
        queue: Queue,
        looks: Looks,
        sync: str,
        accounts: Sequence[str],
        aliases: dict[str, list[str]],
        resolver: Callable[[Owner], Any],
        trace: Callable[[str, str], None],
        on_fault: Callable[[str], None],
        on_note: Callable[[Machine, str, dict[str, object]], None],
    ) -> None:
        self.name = name  #: also its domain
        self.address = address
        self.disk = Disk(base / name, Random(rng.random()))
        self.disk.now = lambda: self.time.now
        self.rectified = 0  #: how often letters have come to have other times, and so other names in Maildirs
        self.room = Room()
        self.spans = Spans(Random(rng.random()))
        self.rng = rng
        self.time = time
        self.network = network
        self.skew = 0.0  #: seconds by which its clock is wrong
        self.looks = looks
        self.owner = Owner(time, name, alive=False)
        self.crashes: list[float] = []
        self._resolver = resolver
        self._trace = trace
        self._on_fault = on_fault
        self._on_note = on_note
        self.directory = MemoryDirectory(accounts, aliases, (name,))
        self._settings = self._configured(queue, sync)
        self.out: Outbound
        self.inbound: Inbound
        self.services: dict[str, Any] = {}

    def _configured(self, queue: Queue, sync: str) -> Settings:
        nowhere = Path("/nowhere")
        return Settings(
            source=nowhere,
            server=Server(f"mx.{self.name}", (self.name,), nowhere, Address("postmaster", self.name)),
            accounts=Accounts(nowhere, None, srs=False),
            smtp=SmtpListener((f"tcp:25:interface={self.address}",)),
            submission=Submission(),
            pop3=Pop3Listener(()),
            tls=Tls(policy=TlsPolicy("none", "none", "none")),
            relay=Relay((ip_network(TRUSTED),)),
            queue=queue,
            spool=Spool(sync),
            log=Log(sessions=0),
        )

    # ---- What it says

    def now(self) -> float:
        return EPOCH + self.time.now + self.skew

    def note(self, id: str, fields: dict[str, object]) -> None:
        text = " ".join(f"{key}={value}" for key, value in fields.items() if value is not None)
        self._trace(self.name, f"{id} {text}".replace(str(self.disk.root), ""))
        self._on_note(self, id, fields)

    def fault(self, what: str) -> None:
        self._on_fault(f"{self.name}: {what}")

    @property
    def up(self) -> bool:
        return self.owner.alive

    # ---- Start and stop

    def start(self) -> None:
        """Put together as service.py does, without threads, sockets and files of accounts."""
        self._trace(self.name, "starts")
        self.owner = Owner(self.time, self.name)
        self.network.down.discard(self.address)
        root = self.disk.root
        settings = evolve(self._settings, server=evolve(self._settings.server, data=root))
        reactor = Reactor(self.owner, self.network, self.address)
        log, rng = MachineLog(self), Random(self.rng.random())
        new_id = Ids(self.now, rng.getrandbits)
        self.thread = Thread(self.owner, self.disk, self.spans)
        files = Thread(self.owner, self.disk, self.spans)
        pools = Pools(self.thread.run, files.run, Thread(self.owner, self.disk, self.spans).run, self.thread.run)
        here = Here(lambda: [(self.address, 25)], lambda address: self.address)
        self.out = Outbound(
            settings,
            self.directory,
            pools,
            reactor,
            log,
            new_id,
            rng,
            here,
            1_000,
            SILENT,
            0.0,
            now=self.now,
            resolver=self._resolver(self.owner),
            syncs=Syncs(self.disk.open_sync, self.disk.open_log_sync),
            looks=self.looks,
        )
        limit(self.out.spool, self.room)
        self.out.spool.custody.on_damage = self._complain
        login, certificates, sessions = MemoryAuthenticator({}), None, NoSessions()
        self.counts = ListCounts()
        who: Any = (self.directory, login, self.out, certificates, sessions, self.counts)
        self.inbound = Inbound(settings, *who, pools.mailboxes, reactor, log, new_id, now=self.now)
        self.services = {each.name: each for each in (*self.out.services, *self.inbound.services)}
        # A disk that fails now would only mean a start that is tried again.
        broken, self.disk.broken = self.disk.broken, 0.0
        self.disk.log_failed = None
        self.disk.before_checkpoint()
        for folder in ("mail", "state"):
            make_folders(root / folder)
        try:
            self.repairs = self.out.spool.start()
        except OSError as error:
            self.fault(f"cannot start: {error}")
            return
        self._complain(self.repairs.faults)
        limit_rows(self.out.spool, self.room)
        self.disk.broken = broken
        for flight in self.disk.taken_off():
            self.disk.land(flight)
        for service in self.services.values():
            service.privilegedStartService()
        for service in self.services.values():
            service.startService()
        self._trace(self.name, f"repairs {self.repairs}")
        self._look_at_the_database()

    def _complain(self, faults: Mapping[str, str]) -> None:
        """A crash is a way to stop like any other, and damages nothing."""
        for id, wrong in faults.items():
            self.fault(f"takes for damage: {id}: {wrong}")

    def _look_at_the_database(self) -> None:
        store: Any = self.out.spool._store
        found = store._db.execute("PRAGMA quick_check").fetchall()
        if found != [("ok",)]:
            self.fault(f"the database is damaged: {found}")

    def stop(self, then: Callable[[], None]) -> None:
        """Politely, as SIGTERM does."""
        self._trace(self.name, "stops")
        Deferred.fromCoroutine(self._stop()).addCallbacks(
            lambda _: self._stopped(then), lambda failure: self.fault(f"cannot stop: {failure.getTraceback()}")
        )

    async def _stop(self) -> None:
        first = [self.services[name] for name in (*RECEIVERS, "pop3")]
        for services in (first, [each for each in self.services.values() if each not in first]):
            await gatherResults([maybeDeferred(service.stopService) for service in services])
        await self.out.spool.stop()

    def _stopped(self, then: Callable[[], None]) -> None:
        """SQLite has copied its log, synced, and removed it."""
        self._end()
        self.disk.closed()
        self._trace(self.name, "has stopped")
        then()

    # ---- Worse

    def kill(self) -> None:
        self._trace(self.name, "is killed")
        self.disk.taken_off()
        self.disk.kill()
        for wire in self.network.of(self.owner):
            wire.break_off(self.owner)
        self._crash()

    def lose_power(self) -> None:
        """Nobody hears of it: the others wait in vain."""
        self._trace(self.name, "loses power")
        self.network.down.add(self.address)
        self.disk.lose_power()
        for wire in self.network.of(self.owner):
            wire.go_silent(self.owner)
        self._crash()

    def _crash(self) -> None:
        self.crashes.append(self.time.now)
        spool = self.out.spool
        self._end()
        # The files are others by now: whatever SQLite does to the old ones is for nobody.
        spool.close()

    def _end(self) -> None:
        self.owner.alive = False
        for place in [place for place in self.network.listening if place[0] == self.address]:
            del self.network.listening[place]

    def sleep(self, seconds: float) -> None:
        """The lid is closed: timers stand, and the clock on the wall goes on."""
        self._trace(self.name, f"sleeps for {seconds:.0f} s")
        self.owner.slept += in_ticks(seconds)
        self.network.down.add(self.address)

    def wake(self) -> None:
        self.network.down.discard(self.address)

    # ---- What is left

    def queued(self) -> list[str]:
        return sorted(path.name for path in (self.disk.root / "spool/messages").iterdir())
