"""What becomes of damaged files and a damaged database: nothing is lost, nothing wrong is delivered."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mailstack.interfaces.spool import Result
from mailstack.model.condition import DAMAGED, ERRORS
from mailstack.model.deed import BOUNCE, DROP, RELEASE, Deed
from mailstack.model.selection import EVERYTHING
from mailstack.spool import aside
from mailstack.spool.batch import Batch
from mailstack.spool.content import fault
from mailstack.spool.desk import QueueDesk
from mailstack.spool.disk import DiskSpool
from mailstack.spool.errors import Damaged
from mailstack.spool.files import FRESH
from mailstack.spool.health import WARY
from mailstack.spool.pages import image, rows
from mailstack.spool.schema import VERSION, WIPE
from tests.fakes import ListAlarms
from tests.spool.contract import LATER, OK, all_due, letter
from tests.spool.test_spool import Runner, open_spool

CONTENT = b"Return-Path: <a@far.test>\nDelivered-To: alice@office.test\nSubject: x\n\nbody\n"
GOOD = "CHKD"  # a letter that is not touched


class Damage:
    """A spool of which something is damaged while no server runs."""

    def __init__(self, data: Path) -> None:
        self.data, self.run = data, Runner()
        self.alarms = ListAlarms()
        self.folder = data / "spool"
        self.messages = self.folder / "messages"
        self.database = self.folder / "queue.db"
        self.told: dict[str, str] = {}

    def open(self) -> DiskSpool:
        spool = open_spool(self.data, self.run, alarms=self.alarms)
        spool.custody.on_damage = self.told.update
        return spool

    def add(self, *ids: str, killed: bool = False, **options: Any) -> None:
        spool = self.open()
        for id in ids:
            incoming = spool.receive(id)
            incoming.write(CONTENT)
            self.run(spool.add(letter(id, content=CONTENT, **options), incoming))
        if not killed:
            self.run(spool.stop())
            return
        image = {path: path.read_bytes() for path in self.folder.glob("queue.db*")}
        spool.close()
        for path, content in image.items():
            path.write_bytes(content)

    def script(self, text: str) -> None:
        with closing(sqlite3.connect(self.database, isolation_level=None)) as db:
            db.executescript(text)

    def flip(self, path: Path, at: int, bit: int = 4) -> None:
        octets = bytearray(path.read_bytes())
        octets[at] ^= bit
        path.write_bytes(octets)

    def due(self, spool: DiskSpool) -> list[str]:
        return [due.letter.id for due in all_due(spool, self.run, 1e9)]

    def state(self, id: str) -> str:
        entry = QueueDesk(self.data).entry(id)
        return entry.state if entry else ""


@pytest.fixture
def damage(tmp_path: Path) -> Damage:
    return Damage(tmp_path)


def _replace(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.unlink()
        make(path)

    return change


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut off": (lambda path: path.write_bytes(CONTENT[:-1]), "octets instead of"),
    "empty": (lambda path: path.write_bytes(b""), "has 0 octets"),
    "longer": (lambda path: path.write_bytes(CONTENT + b"x"), "octets instead of"),
    "flipped": (lambda path: path.write_bytes(CONTENT.replace(b"body", b"bodx")), "other content"),
    "folder": (_replace(Path.mkdir), "cannot be read"),
    "link": (_replace(lambda path: path.symlink_to("/etc/passwd")), "cannot be read"),
    "fifo": (_replace(os.mkfifo), "cannot be read"),
    "missing": (Path.unlink, "is missing"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_damaged_file_is_seen_before_it_goes(damage: Damage, kind: str) -> None:
    damage.add("L1", GOOD)
    change, words = FILES[kind]
    change(damage.messages / "L1")
    spool = damage.open()
    found = spool.repairs.faults  # type: ignore[attr-defined]
    if kind != "missing":
        dues = all_due(spool, damage.run, 1e9)
        found = damage.run(spool.faults([due.letter for due in dues]))
        damage.run(spool.quarantine(found))
        damage.run(spool.quarantine(found))
        assert damage.told == found
        assert len(spool._log.warnings) == 1, "it is told once"  # type: ignore[attr-defined]
    assert list(found) == ["L1"] and words in found["L1"]
    assert damage.due(spool) == [GOOD] and damage.state("L1") == "hold"
    spool.close()


@pytest.mark.parametrize("verb", [RELEASE, DROP, BOUNCE])
def test_what_the_administrator_does_with_what_is_no_file(damage: Damage, verb: str) -> None:
    """The next start clears away what a dropped letter leaves."""
    damage.add("L1")
    FILES["folder"][0](damage.messages / "L1")
    spool = damage.open()
    damage.run(spool.quarantine({"L1": "its file is a folder"}))
    QueueDesk(damage.data).change(Deed(verb, "root", 1500.0), ["L1"], EVERYTHING)
    damage.run(spool.stop())
    spool = damage.open()
    assert bool(damage.state("L1")) is (verb != DROP)
    assert (damage.folder / "quarantine/L1").is_dir() is (verb == DROP)
    spool.close()


def test_what_we_have_just_written_is_believed_for_a_while(damage: Damage) -> None:
    spool = damage.open()
    incoming = spool.receive("L1")
    incoming.write(CONTENT)
    added = letter("L1", content=CONTENT)
    damage.run(spool.add(added, incoming))
    (damage.messages / "L1").write_bytes(b"")
    assert damage.run(spool.faults([added])) == {}
    damage.run.clock.advance(FRESH)
    assert list(damage.run(spool.faults([added]))) == ["L1"]
    spool.close()


def test_a_folder_that_is_gone_is_nothing_about_one_letter(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        fault(str(tmp_path / "gone/L1"), 1, 1)


def test_a_letter_of_the_last_batch_is_damaged_not_cut_off_after_a_stop(damage: Damage) -> None:
    damage.add("L1")
    (damage.messages / "L1").write_bytes(b"")
    spool = damage.open()
    assert spool.repairs.unacknowledged == () and damage.due(spool) == ["L1"]  # type: ignore[attr-defined]
    spool.close()


@pytest.mark.parametrize(
    ("content", "torn"),
    [
        (CONTENT.replace(b"y", b"z"), False),
        (CONTENT.replace(b"y", b"\0"), False),
        (CONTENT[:9], True),
        (CONTENT[:9].ljust(len(CONTENT), b"\0"), True),
        (b"", True),
        (bytes(len(CONTENT)), True),
    ],
)
def test_a_crash_leaves_less_than_was_written_but_nothing_else(
    damage: Damage, content: bytes, torn: bool, unlogged: None
) -> None:
    damage.add("L1", killed=True)
    (damage.messages / "L1").write_bytes(content)
    spool = damage.open()
    assert bool(spool.repairs.unacknowledged) is torn  # type: ignore[attr-defined]
    assert damage.state("L1") == ("" if torn else "hold")
    assert [path.read_bytes() for path in (damage.folder / "leftovers").glob("*")] == ([content] if torn else [])
    spool.close()


def test_what_a_crash_has_left_goes_after_a_week(damage: Damage, monkeypatch: pytest.MonkeyPatch) -> None:
    damage.add(GOOD)
    (damage.messages / "OLD").write_bytes(b"half")
    damage.open().close()
    damage.open().close()
    assert (damage.folder / "leftovers/OLD").exists()
    monkeypatch.setattr(aside, "KEEP", -60.0)
    damage.open().close()
    assert not (damage.folder / "leftovers/OLD").exists()


@pytest.mark.parametrize(("limit", "most"), [("MOST_FILES", 2), ("MOST_OCTETS", 11)])
def test_what_crashes_leave_does_not_fill_the_disk(
    damage: Damage, monkeypatch: pytest.MonkeyPatch, limit: str, most: int
) -> None:
    """The newest stays."""
    monkeypatch.setattr(aside, limit, most)
    for number in range(4):
        damage.add()  # another start
        (damage.messages / f"L{number}").write_bytes(b"half.")
        damage.open().close()
    assert sorted(path.name for path in (damage.folder / "leftovers").iterdir()) == ["L2", "L3"]


ROWS = {
    "address": "UPDATE recipients SET address = 'mallory@office.test' WHERE id = 'L1'",
    "sender": "UPDATE messages SET sender = 'mallory@far.test' WHERE id = 'L1'",
    "size": "UPDATE messages SET size = 3 WHERE id = 'L1'",
    "no text": "UPDATE recipients SET original = CAST(x'ff' AS TEXT) WHERE id = 'L1'",
    "no address": "UPDATE recipients SET address = 'nonsense' WHERE id = 'L1'",
}


@pytest.mark.parametrize("kind", ROWS)
def test_an_envelope_that_has_changed_goes_nowhere(damage: Damage, kind: str) -> None:
    damage.add("L1", GOOD)
    damage.script(ROWS[kind])
    spool = damage.open()
    assert damage.due(spool) == [GOOD] and damage.state("L1") == "hold"
    assert list(damage.told) == ["L1"]
    spool.close()


def test_a_letter_that_the_disk_did_not_let_be_held_is_held_later(damage: Damage) -> None:
    """It goes nowhere meanwhile, and is not forgotten: nobody would hear of it."""
    damage.add("L1", GOOD)
    damage.script(ROWS["address"])
    spool = damage.open()
    write = spool._store.write

    def refuse(batch: Batch) -> list[str]:
        raise OSError(errno.EIO, "sick")

    spool._store.write = refuse  # type: ignore[method-assign]
    assert damage.due(spool) == [GOOD] and damage.state("L1") != "hold" and not damage.told
    spool._store.write = write  # type: ignore[method-assign]
    assert damage.due(spool) == [GOOD] and damage.state("L1") == "hold"
    assert list(damage.told) == ["L1"]
    spool.close()


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ("UPDATE recipients SET state = 'actiwe' WHERE id = 'L1'", "hold"),
        ("UPDATE recipients SET id = 'L2' WHERE id = 'L1'", ""),
        ("UPDATE messages SET id = 'L2' WHERE id = 'L1'", ""),
        ("DELETE FROM recipients WHERE id = 'L1'", ""),
    ],
)
def test_rows_that_do_not_belong_together(damage: Damage, change: str, state: str) -> None:
    damage.add("L1", GOOD)
    damage.script(change)
    spool = damage.open()
    assert damage.due(spool) == [GOOD] and damage.state("L1") == state
    assert "L1" in spool.repairs.faults  # type: ignore[attr-defined]
    assert (damage.folder / "quarantine/L1").exists() is (state == "")
    spool.close()


def _zero(path: Path) -> None:
    path.write_bytes(b"")


def _header(path: Path) -> None:
    path.write_bytes(b"x" * 100 + path.read_bytes()[100:])


DATABASES: dict[str, tuple[Callable[[Path], object], bool]] = {
    "missing": (Path.unlink, False),
    "empty": (_zero, False),
    "text": (lambda path: path.write_text("this is no database " * 1000), False),
    "folder": (_replace(Path.mkdir), False),
    "link to nowhere": (_replace(lambda path: path.symlink_to("nowhere")), False),
    "header": (_header, True),
}


@pytest.mark.parametrize("kind", DATABASES)
def test_a_lost_database_loses_no_letter(damage: Damage, kind: str) -> None:
    """Else all mail in the folder would count as never acknowledged."""
    damage.add("L1", "L2")
    change, readable = DATABASES[kind]
    change(damage.database)
    spool = damage.open()
    assert damage.due(spool) == (["L1", "L2"] if readable else [])
    faults = spool.repairs.faults  # type: ignore[attr-defined]
    assert sorted(faults) == (["queue.db"] if readable else ["L1", "L2", "queue.db"])
    if not readable:
        assert (damage.folder / "quarantine/L1").read_bytes() == CONTENT
    kept = list(damage.folder.glob("queue.db.damaged-*"))
    assert len(kept) == (kind != "missing")
    damage.run(spool.stop())
    spool = damage.open()
    assert spool.repairs.faults == {}, "and that was it"  # type: ignore[attr-defined]
    spool.close()


@pytest.mark.parametrize("page", range(2, 12))
def test_letters_whose_rows_can_be_read_flow_on(damage: Damage, page: int) -> None:
    ids = [f"M{number:03}" for number in range(100)]
    damage.add(*ids)
    octets = bytearray(damage.database.read_bytes())
    octets[(page - 1) * 4096 : page * 4096] = bytes(4096)
    damage.database.write_bytes(octets)
    spool = damage.open()
    due = damage.due(spool)
    quarantined = {path.name for path in (damage.folder / "quarantine").glob("*")}
    assert set(due) | quarantined == set(ids) and not set(due) & quarantined
    spool.close()


@pytest.mark.parametrize("kind", ["flipped", "header", "header alone", "cut", "gone"])
def test_a_log_that_is_damaged_hides_no_letter(damage: Damage, kind: str) -> None:
    """SQLite takes what stands behind a wrong frame for never written."""
    damage.add("L1", GOOD, "L3", killed=True)
    log = damage.folder / "queue.db-wal"
    octets = log.read_bytes()
    if kind == "flipped":
        damage.flip(log, 32 + 24 + 4000)
    elif kind.startswith("header"):
        damage.flip(log, 17)
        if kind == "header alone":
            (damage.folder / "queue.db-shm").unlink()
    elif kind == "cut":
        log.write_bytes(octets[: len(octets) // 2])
    else:
        log.unlink()
    spool = damage.open()
    quarantined = {path.name for path in (damage.folder / "quarantine").glob("*")}
    assert set(damage.due(spool)) | quarantined == {"L1", GOOD, "L3"}
    assert "queue.db" in spool.repairs.faults  # type: ignore[attr-defined]
    assert bool(quarantined) is (kind in ("cut", "gone"))
    spool.close()


@pytest.mark.parametrize("change", [_header, lambda path: path.with_name("queue.db-shm").unlink()])
@pytest.mark.parametrize("left", [b"", CONTENT[:9]])
def test_a_small_letter_that_a_crash_has_cut_off_is_mended_from_what_is_saved(
    damage: Damage, change: Callable[[Path], object], left: bytes
) -> None:
    damage.add("L1", killed=True)
    (damage.messages / "L1").write_bytes(left)
    change(damage.database)
    spool = damage.open()
    assert damage.due(spool) == ["L1"] and "L1" not in spool.repairs.faults  # type: ignore[attr-defined]
    assert (damage.messages / "L1").read_bytes() == CONTENT
    spool.close()


def test_a_page_of_something_else_among_the_contents_costs_no_letter(damage: Damage) -> None:
    damage.add("L1", GOOD)
    spool = damage.open()
    damage.run(spool.settle({"L1": [Result(0, "bounced", LATER)]}))
    damage.run(spool.stop())
    with closing(sqlite3.connect(damage.database)) as db:
        roots = dict(db.execute("SELECT name, rootpage FROM sqlite_schema"))
    octets = bytearray(damage.database.read_bytes())
    one, two = (slice((roots[table] - 1) * 4096, roots[table] * 4096) for table in ("unreported", "contents"))
    octets[one], octets[two] = octets[two], octets[one]
    damage.database.write_bytes(octets)
    spool = damage.open()
    assert list(spool.repairs.faults) == ["queue.db"]  # type: ignore[attr-defined]
    spool.close()


def test_a_page_that_has_changed_places_with_a_free_one_is_found(tmp_path: Path) -> None:
    """Also with the one that lists the free ones: it is no such list any more."""
    path = tmp_path / "queue.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(WIPE)
        db.execute("CREATE TABLE t (id TEXT PRIMARY KEY, content BLOB) WITHOUT ROWID")
        db.executemany("INSERT INTO t VALUES (?, ?)", [(f"L{number}", bytes(9000)) for number in range(9)])
        db.execute("DELETE FROM t WHERE id > 'L1'")
    octets = path.read_bytes()
    pages = [octets[at : at + 4096] for at in range(0, len(octets), 4096)]
    live = next(number for number, page in enumerate(pages) if page.count(b"L0"))
    trunk = int.from_bytes(octets[32:36], "big") - 1
    assert trunk > 0
    for free in (trunk, int.from_bytes(pages[trunk][8:12], "big") - 1):
        swapped = list(pages)
        swapped[live], swapped[free] = pages[free], pages[live]
        path.write_bytes(b"".join(swapped))
        with path.open("rb") as file:
            assert [row[0] for row in rows(image(file, None)) if row[0] in ("L0", "L1", "L2")] == ["L0", "L1"]


def test_of_states_that_contradict_each_other_none_is_believed(damage: Damage) -> None:
    """A page that was let go has the recipient as it was before."""
    damage.add("L1")
    spool = damage.open()
    damage.run(spool.settle({"L1": [Result(0, "deferred", LATER, next_attempt=5.0)]}))
    damage.run(spool.stop())
    with damage.database.open("rb") as file:
        found = [row for row in rows(image(file, None)) if row[:1] == ["L1"] and len(row) == 15]
    assert [row[4] for row in found] == ["deferred"]


def test_a_bit_in_an_id_makes_no_other_letter_done(damage: Damage) -> None:
    """The row of a recipient who has it already is another letter's now, to the same one."""
    spool = damage.open()
    for id, to in (("L1", ("alice@office.test", "x@far.test")), ("L3", ("alice@office.test",))):
        incoming = spool.receive(id)
        incoming.write(CONTENT)
        damage.run(spool.add(letter(id, *to, content=CONTENT), incoming))
    damage.run(spool.settle({"L1": [Result(0, "sent", OK)]}))
    damage.run(spool.stop())
    damage.flip(damage.database, damage.database.read_bytes().index(b"L1alice@office.test") + 1, 2)
    spool = damage.open()
    assert damage.state("L3") == "hold"
    assert [path.name for path in (damage.folder / "quarantine").iterdir()] == ["L1"]
    assert sorted(spool.repairs.faults) == ["L1", "L3", "queue.db"]  # type: ignore[attr-defined]
    spool.close()


def test_a_crash_while_it_is_saved_begins_anew_or_goes_on(damage: Damage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever step does not happen any more."""
    from mailstack.durable import move as original
    from mailstack.spool import salvage

    damage.add("L1", "L2", GOOD)
    _header(damage.database)
    steps = 0
    for last in range(1, 6):

        def dying(source: Path, target: Path, last: int = last) -> None:
            nonlocal steps
            steps += 1
            if steps == last:
                raise OSError("killed")
            original(source, target)

        steps = 0
        monkeypatch.setattr(salvage, "move", dying)
        try:
            spool = damage.open()
        except OSError:
            continue
        break
    assert sorted(damage.due(spool)) == [GOOD, "L1", "L2"] and last > 2
    spool.close()


def test_a_newer_database_is_left_alone_but_a_wrong_number_is_mended(damage: Damage) -> None:
    damage.add("L1")
    damage.script(f"PRAGMA user_version = {VERSION + 64}")
    spool = damage.open()
    assert damage.due(spool) == ["L1"]
    damage.run(spool.stop())
    damage.script(f"CREATE TABLE news (id TEXT); PRAGMA user_version = {VERSION + 1}")
    before = damage.database.read_bytes()
    with pytest.raises(OSError, match="newer mailstack"):
        damage.open()
    assert damage.database.read_bytes() == before


def test_damage_while_the_server_runs_is_an_error_and_an_alarm(damage: Damage) -> None:
    spool = damage.open()

    def broken(*args: Any) -> Any:
        raise Damaged("queue database: malformed")

    working, spool._store.write = spool._store.write, broken  # type: ignore[method-assign, assignment]
    for id in ("L1", "L2"):
        incoming = spool.receive(id)
        incoming.write(CONTENT)
        with pytest.raises(OSError, match="queue database"):
            damage.run(spool.add(letter(id, content=CONTENT), incoming))
    assert damage.alarms.lasting == {DAMAGED: "queue database: malformed"}
    # What SQLite has in memory may still be written, to where nobody will read it: so nothing new is taken.
    spool._store.write = working  # type: ignore[method-assign]
    for seconds, taken in ((0.0, False), (WARY, True)):
        damage.run.clock.advance(seconds)
        damage.run(spool.examine())
        incoming = spool.receive("L3")
        incoming.write(CONTENT)
        work = Deferred.fromCoroutine(spool.add(letter("L3", content=CONTENT), incoming))
        damage.run.clock.advance(0.1)
        assert isinstance(work.result, Failure) is not taken, seconds
        work.addErrback(lambda _: None)
        assert (damage.messages / "L3").exists() is taken
        assert (DAMAGED in damage.alarms.lasting) is not taken
    spool.close()


def test_a_disk_that_refuses_to_read_is_no_damaged_database(damage: Damage) -> None:
    """SQLite calls both malformed."""
    spool = damage.open()

    def refused(*args: Any) -> Any:
        raise Damaged(errno.EIO, "queue database: malformed")

    spool._store.write = refused  # type: ignore[method-assign]
    with Path("/proc/self/mem").open("rb") as unreadable:  # at least its first octets
        os.dup2(unreadable.fileno(), spool._health._database)
    incoming = spool.receive("L1")
    incoming.write(CONTENT)
    with pytest.raises(OSError, match="queue database"):
        damage.run(spool.add(letter("L1", content=CONTENT), incoming))
    assert list(damage.alarms.lasting) == [ERRORS]
    spool.close()


def test_names_that_are_no_text_stop_no_start(damage: Damage) -> None:
    damage.add(GOOD)
    for name in (b"\xff\xfe", b"two\nlines", b"x" * 200):
        Path(os.fsdecode(bytes(damage.messages) + b"/" + name)).write_bytes(b"?")
    spool = damage.open()
    assert damage.due(spool) == [GOOD]
    assert [path.name for path in damage.messages.iterdir()] == [GOOD]
    spool.close()
