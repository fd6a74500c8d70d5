"""Rounds of load and crash on one data folder, and what came of them: for :mod:`.killed` and :mod:`.power_loss`."""

from __future__ import annotations

import argparse
import email
import random
import re
import signal
import sys
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

from attrs import Factory, define

from tests.crash.judge import HERE, RETURNED, SENT, Book, Crash, Place, Sighting, Verdict, judge
from tests.crash.letters import recognised
from tests.crash.load import ACCOUNTS, ALIASES, SENDER, Load
from tests.crash.no_damage import taken_for_damage
from tests.crash.remote import Remote
from tests.live.office import Office, Sections
from tests.live.waiting import eventually
from tests.live.wire import DOMAIN, PASSWORD

JUDGED_AFTER = 25  # rounds
SETTLED = 120.0  # seconds until all has gone its way, or a start; long, for a machine that others keep busy
LONGEST = 1.0  # seconds of load in a round
START = 0.6  # seconds that a start takes where nobody else is at work

#: In the log: a bug.
BUGS = ("Traceback", "Unhandled")

#: What a report says of: the letter's subject, a recipient.
_RETURNED = re.compile(rb"^Subject: letter (\w+) [0-9a-f]{16}\r?$", re.MULTILINE)


@define
class Tally:
    """What was seen in all rounds."""

    rounds: int = 0
    verdict: Verdict = Factory(Verdict)
    problems: list[str] = Factory(list)  #: others than the verdict's
    answers: dict[str, int] = Factory(dict)
    notes: dict[str, int] = Factory(dict)  #: what a kind of round counts

    def add(self, other: Tally) -> None:
        self.rounds += other.rounds
        self.verdict.add(other.verdict)
        self.problems += other.problems
        for mine, more in ((self.answers, other.answers), (self.notes, other.notes)):
            for key, number in more.items():
                mine[key] = mine.get(key, 0) + number

    def note(self, what: str, number: int = 1) -> None:
        self.notes[what] = self.notes.get(what, 0) + number


def sections(port: int, more: Sections) -> dict[str, dict[str, str]]:
    """For mail.ini: nothing holds back the clients, and all mail goes to the other server."""
    ours = {
        "relay": {"networks": "127.0.0.0/8"},
        "routes": {"*": f"smtp:[127.0.0.1]:{port}"},
        "queue": {"retry": "1s", "delay_warning": ""},
        "submission": {"save_sent": "yes"},
        "limits": {"recipients_per_hour": "1000000"},
    }
    return {**ours, **{name: {**ours.get(name, {}), **keys} for name, keys in more.items()}}


def populate(office: Office, names: Sequence[str]) -> None:
    """With passwords that are checked in no time."""
    hash = b64encode(sha256(PASSWORD.encode()).digest()).decode()
    office.users.write_text("".join(f"{name}@{DOMAIN}:{{SHA256}}{hash}\n" for name in names))
    office.aliases.write_text(ALIASES)


@define
class Progress:
    """Tells on standard error how far a server is, and knows whether it shall end before all rounds are over."""

    name: str
    began: float  #: by the monotonic clock
    ending: threading.Event
    _told: set[str] = Factory(set)  #: problems

    def ends(self) -> bool:
        return self.ending.is_set()

    def tell(self, tally: Tally) -> None:
        passed = time.monotonic() - self.began
        print(f"{passed:6.0f} s, {self.name}, of which {tally.rounds}: {tally.verdict}", file=sys.stderr)
        problems = [each for each in tally.verdict.problems + tally.problems if each not in self._told]
        for problem in problems:
            print(f"        {problem[:3000]}", file=sys.stderr)
        self._told.update(problems)


def unheeded() -> Progress:
    return Progress("in a test", time.monotonic(), threading.Event())


class Campaign:
    """Close it, whatever happens."""

    def __init__(self, office: Office, remote: Remote, book: Book, seed: str, by_sendmail: bool = True) -> None:
        self.office, self.remote, self.book = office, remote, book
        self.rng = random.Random(seed)
        self.tally = Tally()
        self.load = Load(office, book, seed, by_sendmail)
        self.patience = SETTLED
        self._read = 0  #: octets of the log
        self._amiss: set[str] = set()  #: what was there before
        self._slowness = 1.0
        office.greets_within = SETTLED

    def run(self, rounds: int, strike: Callable[[], Crash], progress: Progress) -> Tally:
        """``strike`` lets the load go on for a while, ends the server and starts it again."""
        self.start()
        self.load.go()
        for number in range(1, rounds + 1):
            self.book.crashes.append(strike())
            self.tally.rounds += 1
            last = number == rounds or progress.ends()
            if number % JUDGED_AFTER == 0 or last:
                self.load.pause()
                self.judge()
                progress.tell(self.tally)
            if last:
                break
            self.load.go()
        self.office.stop()
        self._look_into_log()
        return self.tally

    def start(self) -> None:
        began = time.monotonic()
        self.office.start()
        self._slowness = max(1.0, (time.monotonic() - began) / START)

    def crash(self, began: float, power: bool = False) -> Crash:
        """It begins anew now."""
        ended, slowness = time.time(), self._slowness
        self.start()
        return Crash(began, ended, power, max(slowness, self._slowness), time.time())

    def close(self) -> None:
        self.office.kill()
        if self.load.going:
            self.load.pause()
        self.load.close()

    # ---- Judging, while the load is paused

    def judge(self) -> None:
        """Let all go its way, look where it is, and begin with empty mailboxes."""
        self.remote.calm = True
        if not eventually(self.settled, self.patience):
            self.tally.problems.append(f"still in the queue after {self.patience} s: {self.office.queue()}"[:2000])
        self.remote.calm = False
        stranded = list(self.office.data.glob("mail/*/*/**/tmp/*")) + self.office.spooled()
        self.tally.problems.extend(f"stranded: {path}" for path in stranded)
        self.tally.verdict.add(judge(self.book, [*self.book.arrived, *self.stored()]))
        self.tally.problems += [f"a client heard: {reply}" for reply in self.book.strange]
        for code, number in self.book.answers.items():
            self.tally.answers[code] = self.tally.answers.get(code, 0) + number
        self._look_into_log()
        self._begin_anew()

    def settled(self) -> bool:
        return not self.office.spooled() and not self.office.queue()

    def stored(self) -> Iterator[Sighting]:
        for name in ACCOUNTS:
            address = f"{name}@{DOMAIN}"
            for path in self.office.files(name):
                content = path.read_bytes()
                if name == SENDER:
                    yield from returned(content, path.stat().st_mtime)
                else:
                    yield _sighting(content, Place(HERE, address), path.stat().st_mtime)
        for path in self._saved():
            yield _sighting(path.read_bytes(), Place(SENT, f"{SENDER}@{DOMAIN}"), path.stat().st_mtime)

    def _saved(self) -> list[Path]:
        return list((self.office.maildir(SENDER) / ".Sent" / "cur").glob("*"))

    def _begin_anew(self) -> None:
        self.book.forget()
        self.book.answers.clear()
        self.book.strange.clear()
        self.remote.lines.clear()
        for path in [path for name in ACCOUNTS for path in self.office.files(name)] + self._saved():
            path.unlink()

    def _look_into_log(self) -> None:
        """What is new in it."""
        with self.office.log_file.open("rb") as log:
            log.seek(self._read)
            text = log.read().decode("utf-8", "backslashreplace")
            self._read = log.tell()
        for bug in BUGS:
            place = text.find(bug)
            if place >= 0:
                self.tally.problems.append(f"in the log: {text[max(0, place - 300) : place + 2000]}")
        amiss = taken_for_damage(self.office, text)
        self.tally.problems += sorted(amiss - self._amiss)
        self._amiss |= amiss
        self.tally.notes["files in spool/leftovers"] = len(list(self.office.data.glob("spool/leftovers/*")))


def _sighting(content: bytes, place: Place, at: float) -> Sighting:
    name = recognised(content)
    return Sighting(name, place, at, b"" if name else content[:300])


def returned(content: bytes, at: float) -> Iterator[Sighting]:
    """What a report says, for each recipient."""
    said = _RETURNED.search(content)
    fields = email.message_from_bytes(content)
    failed = [block["Final-Recipient"] for block in fields.walk() if block.get("Action") == "failed"]
    if said is None or not failed:
        yield Sighting("", Place(RETURNED, "?"), at, content[:300])
        return
    for each in failed:
        yield Sighting(said[1].decode(), Place(RETURNED, each.partition(";")[2].strip()), at)


# ---- The commands

Play = Callable[[Path, int, str, Progress], Tally]


def side_by_side(plays: Mapping[str, tuple[Play, int]], seed: str) -> Tally:
    """Each of them is a server with so many rounds in a folder of its own. ^C ends it after the round at hand."""
    began, ending = time.monotonic(), threading.Event()

    def play(name: str) -> Tally:
        function, rounds = plays[name]
        progress = Progress(f"{name}: {rounds} rounds", began, ending)
        try:
            with tempfile.TemporaryDirectory(prefix="mailstack-crash-") as folder:
                return function(Path(folder), rounds, f"{seed}-{name}", progress)
        except BaseException:
            ending.set()
            raise

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ending.set())
    total = Tally()
    with ThreadPoolExecutor(len(plays)) as pool:
        for tally in pool.map(play, plays):
            total.add(tally)
    return total


def options(description: str, rounds: int) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--seed", default=str(random.randrange(10**6)))
    return parser


def told(what: str, tally: Tally, most: int | None = None) -> list[str]:
    """Print the summary, with so many problems; all that must not be."""
    problems = tally.verdict.problems + tally.problems
    print(f"{what}: {tally.rounds} rounds, {tally.verdict}")
    print(f"answers to ends of data, and commands put off: {dict(sorted(tally.answers.items()))}")
    if tally.notes:
        print(f"also: {dict(sorted(tally.notes.items()))}")
    for problem in problems[:most]:
        print(problem)
    print(f"{len(problems)} problems")
    return problems
