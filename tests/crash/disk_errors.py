"""The disk fails under a server that runs, in each way of :mod:`.faults`, and recovers.

    python -m tests.crash.disk_errors [--error full] [--seconds 4] [--seed N]

Before, meanwhile and afterwards clients bring letters for a mailbox here, for another server, and for one that refuses
them. What was acknowledged must be there in the end, once; what was refused must not be. Needs root, and strace.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import Factory, define
from click.testing import CliRunner

from mailstack.admin.cli import main as command_line
from mailstack.model.condition import GONE, REPLACED
from mailstack.server.alarms import english
from tests.crash.faults import FAULTS, Fault, SmallDisk, struck
from tests.crash.letters import Found, found, letter, named
from tests.crash.no_damage import taken_for_damage
from tests.crash.system_calls import REFUSED, answer, sections
from tests.live.office import Office
from tests.live.sink import Sink
from tests.live.waiting import eventually
from tests.live.wire import Wire

RECIPIENTS = {"local": "alice@office.test", "relay": "x@far.test", "bounce": f"x@{REFUSED}"}
CLIENTS = 4
BREATH = 0.05  # seconds between two letters of a client
BEFORE, AFTER = 3, 3  # letters of each kind
SETTLED = 60.0  # seconds until all has gone its way: reports wait ten seconds for company
OVER = 20.0  # seconds until mail flows again, and the log says so
SLOW = 15.0  # seconds that a client may have to wait, far from what it calls a hang
MOST_ALARMS = 6  # lines of one fault


@define
class Tally:
    """What became of letters, by name; and what is wrong."""

    replies: dict[str, str] = Factory(dict)
    slowest: float = 0.0
    problems: list[str] = Factory(list)
    _lock: threading.Lock = Factory(threading.Lock)

    def note(self, name: str, reply: str, seconds: float) -> None:
        with self._lock:
            self.replies[name] = reply
            self.slowest = max(self.slowest, seconds)

    @property
    def acknowledged(self) -> list[str]:
        return [name for name, reply in self.replies.items() if reply.startswith("250")]

    @property
    def refused(self) -> list[str]:
        return [name for name, reply in self.replies.items() if reply[:1] in ("4", "5")]


def send(office: Office, name: str, recipient: str) -> str:
    """The reply that counts; "" if the server has hung up."""
    try:
        with Wire(office.port.smtp) as wire:
            if not wire.greeting.startswith("220"):
                return wire.greeting
            wire.ask(b"EHLO client.test")
            for command in (b"MAIL FROM:<sender@office.test>", b"RCPT TO:<%s>" % recipient.encode(), b"DATA"):
                reply = wire.ask(command)
                if reply[:1] not in ("2", "3"):
                    return reply
            wire.send(letter(name).replace(b"\r\n.", b"\r\n..") + b".\r\n")
            return wire.reply()
    except TimeoutError:
        return "no reply"
    except OSError:
        return ""


class Trial:
    """One fault on one disk."""

    def __init__(self, name: str, office: Office, disk: SmallDisk, sink: Sink, rng: random.Random) -> None:
        self.name, self.fault, self.office, self.disk, self.sink = name, FAULTS[name], office, disk, sink
        self.tally = Tally()
        self._rng = rng
        self._numbers = iter(range(1_000_000))

    def run(self, seconds: float) -> Tally:
        self._some(BEFORE, "before")
        for name, reply in self.tally.replies.items():
            self._expect(reply.startswith("250"), f"refused before anything was wrong: {name}: {reply}")
        if self.fault.restart:
            # What was sent at that very moment, and cannot be recorded, would be sent again: as in a crash.
            eventually(lambda: not self.office.spooled(), SETTLED)
        with struck(self.fault, self.office, self.disk):
            with self._load():
                time.sleep(seconds)
            self._meanwhile()
        recovered = eventually(lambda: self._send("local", "after").startswith("250"), OVER)
        self._expect(recovered, "no mail is taken when it is over")
        self._some(AFTER, "late")
        self._afterwards()
        return self.tally

    # ---- Mail

    def _send(self, kind: str, when: str) -> str:
        name = f"{kind}{when}{next(self._numbers)}"
        began = time.monotonic()
        reply = send(self.office, name, RECIPIENTS[kind])
        self.tally.note(name, reply, time.monotonic() - began)
        return reply

    def _some(self, number: int, when: str) -> None:
        for kind in RECIPIENTS:
            for _ in range(number):
                self._send(kind, when)

    @contextmanager
    def _load(self) -> Iterator[None]:
        over = threading.Event()

        def client(kinds: list[str]) -> None:
            while not over.is_set():
                for kind in kinds:
                    self._send(kind, "meanwhile")
                    time.sleep(BREATH)

        clients = []
        for _ in range(CLIENTS):
            kinds = list(RECIPIENTS)
            self._rng.shuffle(kinds)
            clients.append(threading.Thread(target=client, args=(kinds,)))
        for each in clients:
            each.start()
        try:
            yield
        finally:
            over.set()
            for each in clients:
                each.join()

    # ---- The judge

    def _expect(self, fulfilled: object, problem: str) -> None:
        if not fulfilled:
            self.tally.problems.append(f"{self.name}: {problem}")

    def _meanwhile(self) -> None:
        self._expect(self.office.ended is None, f"the server has ended: {self.office.ended}")
        for name, reply in self.tally.replies.items():
            good = reply.startswith("250") or reply[:3] in self.fault.replies
            self._expect(good or "meanwhile" not in name, f"an odd reply: {name}: {reply!r}")
        self._expect(self.tally.slowest < SLOW, f"somebody had to wait for {self.tally.slowest:.0f} s")
        condition = self.fault.condition
        if condition:
            self._expect(self.office.logged("warn: disk: ALARM", condition), f"no alarm {condition}")
        if self.fault.lasting:
            said = self._doctor()
            self._expect(self._words() in said, f"the doctor does not see it: {said}")

    def _doctor(self) -> str:
        return CliRunner().invoke(command_line, ["-c", str(self.office.ini), "doctor", "--lang", "en"]).stdout

    def _words(self) -> str:
        return english().say("means", self.fault.condition, data=self.office.data)

    def _afterwards(self) -> None:
        quiet = eventually(lambda: not self._files() and not self.office.queue(), SETTLED)
        self._expect(quiet, f"something stays in the queue: {self.office.queue()}, {self._files()}")
        begun = len(self.office.logged("disk: ALARM"))
        self._expect(begun <= MOST_ALARMS, f"{begun} alarms")
        if not self.fault.restart:
            ended = eventually(lambda: len(self.office.logged("disk: over")) == begun, OVER)
            self._expect(ended, f"{begun} alarms, {len(self.office.logged('disk: over'))} are over")
        wrong = [line for line in self._doctor().splitlines() if line.startswith("problem")]
        self._expect(not wrong, f"the doctor finds it not well afterwards: {wrong}")
        self.tally.problems += [f"{self.name}: {each}" for each in taken_for_damage(self.office, self.office.log())]
        self.office.stop()
        self._expect("Traceback" not in self.office.log(), "a traceback in the log")
        self._judge("local", found(path.read_bytes() for path in self.office.files("alice")))
        self._judge("relay", found(each.content for each in self.sink.letters))
        self._judge("bounce", found(filter(None, (named(path.read_bytes()) for path in self.office.files("sender")))))

    def _files(self) -> list[Path]:
        """Not those that were to be removed while their folder was elsewhere: the next start does it."""
        return [] if self.fault.condition in (GONE, REPLACED) else self.office.spooled()

    def _judge(self, kind: str, seen: Found) -> None:
        mine = [name for name in self.tally.acknowledged if name.startswith(kind)]
        self._expect(not seen.lost(mine), f"lost: {sorted(seen.lost(mine))}")
        self._expect(not seen.twice, f"twice: {sorted(seen.twice)}")
        there = [name for name in self.tally.refused if seen.whole[name]]
        self._expect(not there, f"refused, and there: {there}")
        self._expect(not seen.damaged, f"nobody has sent this: {seen.damaged}")


def play(root: Path, name: str, seconds: float, rng: random.Random) -> Tally:
    fault: Fault = FAULTS[name]
    disk = SmallDisk(root, *(("-N", str(fault.inodes)) if fault.inodes else ()))
    try:
        with Sink(answer) as sink:
            settings = sections(sink.port)
            settings |= {"server": {"data": str(disk.folder / "data")}, "limits": {"message_size": "64KiB"}}
            settings["queue"] = {"retry": "1s", "lifetime": "1h"}
            office = Office(root, settings)
            office.data = disk.folder / "data"
            office.add_users("alice", "sender")
            office.start()
            try:
                return Trial(name, office, disk, sink, rng).run(seconds)
            finally:
                office.close()
    finally:
        disk.close()


def main() -> int:
    parser = argparse.ArgumentParser(description="Let the disk fail under a server that runs.")
    parser.add_argument("--error", choices=list(FAULTS), help="only this one")
    parser.add_argument("--seconds", type=float, default=4.0, help="how long each lasts")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    options = parser.parse_args()
    problems: list[str] = []
    print(f"seed {options.seed}")
    for name in [options.error] if options.error else list(FAULTS):
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="mailstack-disk-") as folder:
            tally = play(Path(folder), name, options.seconds, random.Random(f"{options.seed} {name}"))
        problems += tally.problems
        print(
            f"{name:<12} {len(tally.acknowledged):4} acknowledged, {len(tally.refused):4} refused, "
            f"slowest reply {tally.slowest:.1f} s, {len(tally.problems)} problems, {time.monotonic() - began:.0f} s",
            flush=True,
        )
    for problem in problems:
        print(problem)
    print(f"{len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
