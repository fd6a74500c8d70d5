"""Sessions between whatever other programs may do, against a model that knows all letters."""

from __future__ import annotations

import os
import shutil
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep

import pytest
from attrs import define
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mailstack.interfaces.mailboxes import IMailbox
from mailstack.maildir import listed, looking, mailbox
from mailstack.maildir.mailbox import StoredLetter
from mailstack.maildir.mailboxes import Mailboxes
from mailstack.maildir.sizes import counted
from tests.maildir.contract import ALICE, content
from tests.maildir.test_foreign import YESTERDAY, Maildir

CONTENTS = st.sampled_from([b"", b"x\n", b"no end", b"a\r\nb\n", b"a\rb", b"\0\n\n", b"y" * 70_000, b"z\n" * 40_000])
FLAGS = st.sets(st.sampled_from("DFPRSTab"), max_size=3).map(lambda flags: "".join(sorted(flags)))
WHO = st.sampled_from(["M1P2.far", "Q4Xy9.host", "Uold%2Did.host", "odd name", "x" * 80])
NUMBERS = st.integers(0, 9)
TICK = 15_000_000  # nanoseconds


@define
class Known:
    """A letter as the model has it."""

    path: Path
    content: bytes
    measures: str  #: as in its name


class Beside(RuleBasedStateMachine):
    """Each letter has a stem of its own; the first session that sees it tells its unique-id."""

    def __init__(self) -> None:
        super().__init__()
        self._place = TemporaryDirectory(prefix="mailstack-")
        self.maildir = Maildir(Path(self._place.name) / "alice")
        self.letters: dict[str, Known] = {}  # by stem
        self.uids: dict[str, str] = {}  # by stem, for ever
        self.count = 0
        self.box: IMailbox | None = None
        self.stems: list[str] = []  # of the session, by index
        self.told: list[int] = []

        self.running = self.maildir.started()
        self._patch = pytest.MonkeyPatch()
        # This machine's clock for files ticks every 4 ms.
        self._patch.setattr(listed, "TICK", TICK)
        self._patch.setattr(looking, "MOMENT", 0)
        self._patch.setattr(listed, "PAUSE", 0)
        self._patch.setattr(mailbox, "sync_paths", lambda paths: None)

    def teardown(self) -> None:
        self._patch.undo()
        self._place.cleanup()

    @property
    def folder(self) -> Path:
        return self.maildir.folder

    def letter(self, number: int) -> Known:
        return self.letters[sorted(self.letters)[number % len(self.letters)]]

    # ---- What other programs do

    @rule(
        who=WHO,
        content=CONTENTS,
        measured=st.sampled_from(["", "S", "W", "Dovecot"]),
        place=st.sampled_from(["new", "cur"]),
    )
    def deliver(self, who: str, content: bytes, measured: str, place: str) -> None:
        self.count += 1
        stem = f"{1_700_000_000 + self.count % 3}.{who.partition('.')[0]}{self.count}.{who.partition('.')[2]}"
        wire = counted(BytesIO(content))
        lacking = 2 if content and not content.endswith(b"\n") and not who.startswith(("Q", "U")) else 0
        measures = {
            "": "",
            "S": f",S={len(content)}",
            "W": f",S={len(content)},W={wire}",
            "Dovecot": f",S={len(content)},W={wire - lacking}",
        }[measured]
        name = stem + measures + (":2," if place == "cur" else "")
        self.letters[stem] = Known(self.maildir.put(f"{place}/{name}", content), content, measures)

    @precondition(lambda self: self.letters)
    @rule(number=NUMBERS, flags=FLAGS, measured=st.booleans())
    def rename(self, number: int, flags: str, measured: bool) -> None:
        """Flags; some programs drop or add measures as well."""
        letter = self.letter(number)
        stem = letter.path.name.partition(":")[0].partition(",")[0]
        measures = letter.measures if measured else ""
        letter.path = letter.path.rename(self.folder / "cur" / f"{stem}{measures}:2,{flags}")

    @precondition(lambda self: self.letters)
    @rule(number=NUMBERS)
    def make_unseen(self, number: int) -> None:
        letter = self.letter(number)
        letter.path = letter.path.rename(self.folder / "new" / letter.path.name.partition(":")[0])

    @precondition(lambda self: self.letters)
    @rule(number=NUMBERS)
    def remove(self, number: int) -> None:
        letter = self.letter(number)
        letter.path.unlink()
        self.letters = {stem: each for stem, each in self.letters.items() if each is not letter}

    @precondition(lambda self: self.letters)
    @rule(number=NUMBERS)
    def restore(self, number: int) -> None:
        """From a backup: another inode."""
        letter = self.letter(number)
        letter.path.unlink()
        self.maildir.put(letter.path.relative_to(self.folder).as_posix(), letter.content, age=2 * YESTERDAY)

    @rule(place=st.sampled_from(["new", "cur"]), kind=st.sampled_from(["link", "folder", "fifo", "hidden"]))
    def litter(self, place: str, kind: str) -> None:
        """What is no letter."""
        self.count += 1
        path = self.folder / place / f"{'.' if kind == 'hidden' else ''}{self.count}.{kind}"
        if kind == "link":
            path.symlink_to("/etc/hostname")
        elif kind == "folder":
            path.mkdir()
        elif kind == "fifo":
            os.mkfifo(path)
        else:
            path.write_bytes(b"x\n")

    @rule(place=st.sampled_from(["new", "cur"]), old=st.booleans())
    def replace_directory(self, place: str, old: bool) -> None:
        """By a copy, whose time may be that of the first one."""
        directory, copy = self.folder / place, self.folder / "copy"
        found = directory.stat()
        copy.mkdir()
        for letter in self.letters.values():
            if letter.path.parent == directory:
                shutil.copy2(letter.path, copy)
        shutil.rmtree(directory)
        copy.rename(directory)
        if old:
            os.utime(directory, ns=(found.st_atime_ns, found.st_mtime_ns))

    @rule(place=st.sampled_from(["new", "cur"]))
    def touch(self, place: str) -> None:
        """The time of a directory is set back, as by rsync: an index may look old then."""
        os.utime(self.folder / place, (1, 1))

    @rule()
    def wait(self) -> None:
        """So long that an index may be kept."""
        sleep(1.5 * TICK / 1e9)
        self.running.open(ALICE).close()

    @rule()
    def forget(self) -> None:
        """What is remembered of sizes is lost."""
        for name in ("mailstack.sizes", "mailstack.ends"):
            (self.folder / name).unlink(missing_ok=True)

    # ---- Sessions

    @precondition(lambda self: self.box is None)
    @rule()
    def log_in(self) -> None:
        self.box, self.stems = self.seen(self.maildir.mailboxes)
        self.told = [self.box.size(index) for index in range(self.box.count)]

    def seen(self, mailboxes: Mailboxes) -> tuple[IMailbox, list[str]]:
        """A new session, and the stems of its letters."""
        box = mailboxes.open(ALICE)
        by_file = {letter.path.name: stem for stem, letter in self.letters.items()}
        stems = [by_file[_file(box, index)] for index in range(box.count)]
        assert sorted(stems) == sorted(self.letters), "no letter is missed, or there twice"
        times = [int(stem.partition(".")[0]) for stem in stems]
        assert times == sorted(times)
        for index, stem in enumerate(stems):
            assert box.uid(index) == self.uids.setdefault(stem, box.uid(index)), "for ever"
            assert box.size(index) == counted(BytesIO(self.letters[stem].content))
        assert len(set(self.uids.values())) == len(self.uids)
        assert box.octets == sum(box.size(index) for index in range(box.count))
        return box, stems

    @precondition(lambda self: self.stems)
    @rule(number=NUMBERS)
    def fetch(self, number: int) -> None:
        box, index = self.session, number % len(self.stems)
        known = self.letters.get(self.stems[index])
        try:
            try:
                letter = box.open(index)
            except FileNotFoundError:
                box.look_again()
                letter = box.open(index)
        except FileNotFoundError:
            assert known is None, "it is there"
            return
        assert known is not None, "it is gone"
        assert content(letter) == known.content

    @precondition(lambda self: self.stems)
    @rule(numbers=st.sets(NUMBERS))
    def quit(self, numbers: set[int]) -> None:
        box, marked = self.session, sorted({number % len(self.stems) for number in numbers})
        assert box.delete(marked) == []
        for index in marked:
            gone = self.letters.pop(self.stems[index], None)
            assert gone is None or not gone.path.exists()
        self.hang_up()

    @precondition(lambda self: self.box is not None)
    @rule()
    def hang_up(self) -> None:
        self.session.close()
        self.box, self.stems, self.told = None, [], []

    @property
    def session(self) -> IMailbox:
        assert self.box is not None
        return self.box

    @invariant()
    def next_session_sees_all(self) -> None:
        """That of a server which knows the mailbox from before, and that of one which has just started."""
        for mailboxes in (self.running, self.maildir.started()):
            self.seen(mailboxes)[0].close()

    @invariant()
    def session_is_a_snapshot(self) -> None:
        if self.box is not None:
            assert [self.box.size(index) for index in range(self.box.count)] == self.told

    @invariant()
    def nothing_else_is_removed(self) -> None:
        assert all(letter.path.exists() for letter in self.letters.values())


def _file(box: IMailbox, index: int) -> str:
    letter = box.open(index)
    assert isinstance(letter, StoredLetter)
    return Path(f"/proc/self/fd/{letter.fileno()}").readlink().name


TestBeside = Beside.TestCase
TestBeside.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
