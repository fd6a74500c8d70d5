"""What several threads do at once: a sync that fails concerns all that was written before, and nobody believes what he
has read before others have changed it."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from mailstack.delivery.local import LocalDelivery
from mailstack.durable import NotOpened
from mailstack.interfaces.spool import Result
from mailstack.model.address import Address
from mailstack.model.letter import Letter
from mailstack.model.outcome import Delayed
from mailstack.spool import incoming
from mailstack.spool.commit import PATIENCE
from mailstack.spool.disk import DiskSpool
from tests.fakes import ListLog
from tests.spool.contract import OK, due, letter

LARGE = b"z" * 100_000 + b"\n"


class Thread:
    """Its calls wait until somebody says that they are made."""

    def __init__(self) -> None:
        self.calls: list[tuple[Callable[[], Any], Deferred[Any]]] = []

    async def __call__(self, function: Callable[..., Any], *args: Any) -> Any:
        waiter: Deferred[Any] = Deferred()
        self.calls.append((lambda: function(*args), waiter))
        return await waiter

    def step(self) -> None:
        call, waiter = self.calls.pop(0)
        try:
            answer = call()
        except OSError as error:
            waiter.errback(error)
        else:
            waiter.callback(answer)


class Office:
    """A spool whose threads are moved by hand. ``given_up``: files that the kernel has believed written in vain."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.clock = Clock()
        self.disk, self.files = Thread(), Thread()
        self.spool = DiskSpool(data, "filesystem", self.disk, self.files, self.clock, ListLog(), str)
        self.spool.start()
        self.spool._store._sync = self.sync
        self.fails = False
        self.given_up: set[str] = set()

    def names(self) -> set[str]:
        return {path.name for folder in ("spool/messages", "mail") for path in (self.data / folder).rglob("*")}

    def sync(self, paths: Iterable[Path]) -> None:
        if self.fails:
            self.given_up |= self.names()
            raise OSError(errno.EIO, "sync")

    def begin(self, work: Coroutine[Any, Any, Any]) -> list[Any]:
        done: list[Any] = []
        Deferred.fromCoroutine(work).addBoth(done.append)
        self.clock.advance(0.01)
        return done

    def add(self, letter: Letter, content: bytes) -> list[Any]:
        arriving = self.spool.receive(letter.id)
        arriving.write(content)
        return self.begin(self.spool.add(letter, arriving))

    def somebodys_sync(self) -> list[Any]:
        """It is on its way."""
        done = self.begin(self.spool.flush([self.data], [], self.spool.failed_syncs()))
        self.clock.advance(0.03)
        assert len(self.files.calls) == 1 and not done
        return done

    def fail(self, done: list[Any]) -> None:
        self.fails = True
        self.files.step()
        self.fails = False
        assert done[0].check(OSError)

    def go_on(self, *threads: Thread) -> None:
        for _ in range(10):
            self.clock.advance(0.05)
            for thread in threads or (self.disk, self.files):
                while thread.calls:
                    thread.step()


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path)
    yield office
    office.spool.close()


@pytest.mark.parametrize("busy", [True, False])
def test_a_batch_on_its_way_hears_of_a_sync_that_fails(office: Office, busy: bool) -> None:
    """Its file is written, and it waits for the other thread: as the command line writes, or the log begins anew."""
    with closing(sqlite3.connect(office.data / "spool/queue.db", isolation_level=None)) as neighbour:
        if busy:
            neighbour.execute("BEGIN IMMEDIATE")
        else:
            office.spool._store.doubt()
        somebody = office.somebodys_sync()
        client = office.add(letter("L1", content=LARGE), LARGE)
        assert office.disk.calls and not client
        office.fail(somebody)
        assert "L1" in office.given_up
    office.go_on()
    assert client[0].check(OSError)
    assert not Path(office.spool.path("L1")).exists()
    again = office.add(letter("L2", content=LARGE), LARGE)
    office.go_on()
    assert again == [None]


class Everybody:
    def mailbox(self, address: Address) -> str:
        return f"{address.domain}/{address.local}"


def test_a_delivery_that_takes_its_time_hears_of_a_sync_that_fails(office: Office) -> None:
    """One letter is linked; the header of the next one is measured in a thread."""
    (office.data / "mail").mkdir()
    letters = [letter("L1"), evolve(letter("L2", "bob@office.test"), smtputf8=True)]
    for each in letters:
        office.add(each, b"x\n")
    office.go_on()
    thread = Thread()
    directory: Any = Everybody()
    local = LocalDelivery(office.data / "mail", "h", directory, office.spool, office.spool, thread, ListLog())
    somebody = office.somebodys_sync()
    done = office.begin(local.deliver([due(each) for each in letters]))
    assert len(list((office.data / "mail").rglob("new/*"))) == 1 and thread.calls
    office.fail(somebody)
    office.go_on(thread, office.files)
    assert all(isinstance(outcome, Delayed) for outcomes in done[0] for outcome in outcomes.values())
    assert list((office.data / "mail").rglob("new/*")) == []


def test_what_is_recorded_is_answered_after_a_look_that_has_not_seen_it(office: Office) -> None:
    """Or that would be believed. Large letters are synced in another thread than the one that looks."""
    office.add(letter("L1"), b"x\n")
    office.go_on()
    order: list[str] = []
    Deferred.fromCoroutine(office.spool.surviving(["L1"])).addCallback(lambda found: order.append("look"))
    assert len(office.disk.calls) == 1
    Deferred.fromCoroutine(office.spool.settle({"L1": [Result(0, "sent", OK)]})).addCallback(
        lambda _: order.append("settled")
    )
    office.add(letter("L2", content=LARGE), LARGE)
    for _ in range(5):
        office.clock.advance(0.05)
        while office.files.calls:
            office.files.step()
    assert order == []
    office.go_on()
    assert order == ["look", "settled"]


@pytest.mark.parametrize("quick", [True, False])
def test_a_letter_whose_file_is_refused_is_not_found_later(
    office: Office, monkeypatch: pytest.MonkeyPatch, quick: bool
) -> None:
    """Though the command line is writing at that moment; be it for longer than we wait."""
    neighbour = sqlite3.connect(office.data / "spool/queue.db", isolation_level=None)

    def full(*args: Any, **options: Any) -> None:
        neighbour.execute("BEGIN IMMEDIATE")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(incoming, "write_new", full)
    monkeypatch.setattr("mailstack.spool.store.PATIENCE", 0)
    client = office.add(letter("L1"), b"x\n")
    office.disk.step()  # the sync
    assert len(office.disk.calls) == 1
    if quick:
        neighbour.execute("ROLLBACK")
    office.go_on()
    assert isinstance(client[0], Failure)
    if not quick:
        neighbour.execute("ROLLBACK")
        assert office.spool._store.taken_back == {"L1"}
        office.clock.advance(PATIENCE)
        office.begin(office.spool.examine())
        office.go_on()
    assert neighbour.execute("SELECT id FROM messages").fetchall() == []
    neighbour.close()


def test_a_path_that_cannot_be_opened_is_the_trouble_of_those_who_have_named_it(office: Office) -> None:
    """Nothing was given up: it counts as no sync that has failed."""
    denied, other = office.data / "denied", office.data / "other"
    error = PermissionError(errno.EACCES, "Permission denied", str(denied))

    def sync(paths: Iterable[Path]) -> None:
        raise NotOpened(error, [denied])

    office.spool._store._sync = sync
    waiting = [office.begin(office.spool.flush([path], [], 0)) for path in (denied, other)]
    client = office.add(letter("L1", content=LARGE), LARGE)
    office.go_on()
    assert waiting[0][0].value.paths == {denied}
    assert waiting[1] == client == [None]
    assert office.spool.failed_syncs() == 0 and office.spool.fit()
