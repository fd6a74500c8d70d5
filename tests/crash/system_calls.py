"""Killed at each system call: a receipt, a local delivery, a relay and a bounce, with strace.

    python -m tests.crash.system_calls [--every 1] [--scenario local] [--seed N]

For each scenario and each kind of call, the server is killed at its first call after the letter has begun, then at
the second, and so on, until a letter gets through. It starts again each time, and in the end all that was acknowledged
must be there.
Needs strace, and the right to trace.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from attrs import Factory, define, frozen

from tests.crash.letters import Found, found, letter, named
from tests.crash.no_damage import taken_for_damage
from tests.live.office import Office
from tests.live.programs import program
from tests.live.sink import Sink
from tests.live.waiting import eventually
from tests.live.wire import Wire

#: Each thread counts for itself: what the reactor's thread calls, and what the disk's does.
CALLS = {
    "files": "openat,write,pwrite64,close,link,linkat,rename,unlink,mkdir,ftruncate",
    "network": "sendto,recvfrom,accept4,connect,shutdown,setsockopt",
    "sync": "fsync,fdatasync,syncfs,sync_file_range",
    "waiting": "epoll_wait,futex",
}
MOST = 400  # calls of one kind for one letter; more means that the letter does not get through by itself
SETTLED = 30.0  # seconds until all that a start found has gone its way

PATIENCE = 20.0  # seconds for a letter, under strace; reports wait ten seconds for company
BREATH = 0.1  # seconds in which what was still to be done is done

REFUSED = "refused.test"


@frozen
class Scenario:
    """One letter's way. ``found`` reads where the letters have come to in the end."""

    recipient: str
    contents: Callable[[Office, Sink], Iterator[bytes]]


def _local(office: Office, sink: Sink) -> Iterator[bytes]:
    return (path.read_bytes() for path in office.files("alice"))


def _relayed(office: Office, sink: Sink) -> Iterator[bytes]:
    return (each.content for each in sink.letters)


def _returned(office: Office, sink: Sink) -> Iterator[bytes]:
    """The letters whose headers reports show."""
    return (named(path.read_bytes()) for path in office.files("sender"))


SCENARIOS = {
    "local": Scenario("alice@office.test", _local),
    "relay": Scenario("x@far.test", _relayed),
    "bounce": Scenario(f"x@{REFUSED}", _returned),
}


@define
class Tally:
    """What was seen."""

    kills: int = 0
    acknowledged: list[str] = Factory(list)
    through: int = 0  #: letters that the server survived
    problems: list[str] = Factory(list)


def answer(line: str) -> str | None:
    return "550 5.1.1 nobody of that name" if f"@{REFUSED}" in line else None


class Executioner:
    """strace at a server that runs: kills it at the ``number``-th call of a kind, in whichever thread. That may be
    before the first command of a client."""

    def __init__(self, office: Office, calls: str, number: int) -> None:
        self._tasks = Path(f"/proc/{office.process.pid}/task")
        inject = f"inject={calls}:signal=KILL:when={number}"
        options = f"-f -q -p {office.process.pid} -o /dev/null -e trace={calls} -e {inject}"
        self._process = subprocess.Popen(
            [program("strace"), *options.split()], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        assert eventually(lambda: office.ended is not None or self._holds_all()), "strace may not trace"

    def _holds_all(self) -> bool:
        try:
            states = [(task / "status").read_text() for task in self._tasks.iterdir()]
        except OSError:
            return False
        return all("TracerPid:\t0\n" not in state for state in states)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()


class Trial:
    """One scenario on one data folder."""

    def __init__(self, name: str, office: Office, sink: Sink, tally: Tally) -> None:
        self.name, self.office, self.sink, self.tally = name, office, sink, tally
        self.scenario = SCENARIOS[name]

    def run(self, kind: str, numbers: Iterator[int]) -> None:
        """Kill at those calls, until one comes too late."""
        for number in numbers:
            name = f"{self.name}{kind}{number}"
            executioner = Executioner(self.office, CALLS[kind], number)
            try:
                acknowledged = self._send(name)
                survived = self._survives(name, acknowledged)
            finally:
                executioner.close()
            if acknowledged:
                self.tally.acknowledged.append(name)
            if survived:
                self.tally.through += 1
                return
            self.tally.kills += 1
            self.office.process.wait()
            self._start_again(f"{self.name}: call {number} of {kind}")

    def _send(self, name: str) -> bool:
        """Whether the letter was acknowledged."""
        try:
            with Wire(self.office.port.smtp) as wire:
                replies = wire.envelope("sender@office.test", self.scenario.recipient)
                if not replies[-1].startswith("354"):
                    return False
                wire.send(letter(name).replace(b"\r\n.", b"\r\n..") + b".\r\n")
                reply = wire.reply()
                wire.send(b"QUIT\r\n")
                wire.reply()
        except OSError:
            return False
        return reply.startswith("250")

    def _survives(self, name: str, acknowledged: bool) -> bool:
        """Wait until the server is gone, or the letter is where it belongs and nothing is left to do."""

        def over() -> bool:
            return acknowledged and name in self._found().whole and not self.office.spooled()

        eventually(lambda: self.office.ended is not None or over(), PATIENCE)
        # What it does next, it does in the next turn.
        return not eventually(lambda: self.office.ended is not None, BREATH)

    def _start_again(self, when: str) -> None:
        self.office.start()
        if not eventually(lambda: not self.office.spooled(), SETTLED):
            self.tally.problems.append(f"{when}: something stays in the spool: {self.office.queue()}")

    def _found(self) -> Found:
        return found(self.scenario.contents(self.office, self.sink))

    def judge(self) -> None:
        seen = self._found()
        mine = [name for name in self.tally.acknowledged if name.startswith(self.name)]
        for name in sorted(seen.lost(mine)):
            self.tally.problems.append(f"lost: {name}")
        for start in seen.damaged:
            self.tally.problems.append(f"{self.name}: nobody has sent this: {start!r}")
        if self.name == "local":
            self.tally.problems.extend(f"twice: {name}" for name in sorted(seen.twice))
        if "Traceback" in self.office.log():
            self.tally.problems.append(f"{self.name}: a traceback in the log")
        self.tally.problems += sorted(taken_for_damage(self.office, self.office.log()))


def sections(port: int) -> dict[str, dict[str, str]]:
    return {
        "relay": {"networks": "127.0.0.0/8"},
        "routes": {"*": f"smtp:[127.0.0.1]:{port}"},
        "queue": {"retry": "1s"},
        "log": {"level": "debug"},
    }


def play(root: Path, scenarios: list[str], every: int, rng: random.Random) -> Tally:
    """Each ``every``-th call, from a random one on."""
    tally = Tally()
    for name in scenarios:
        folder = root / name
        folder.mkdir()
        with Sink(answer) as sink:
            office = Office(folder, sections(sink.port))
            office.add_users("alice", "sender")
            office.start()
            trial = Trial(name, office, sink, tally)
            try:
                for kind in CALLS:
                    trial.run(kind, iter(range(1 + rng.randrange(every), MOST, every)))
                office.stop()
                trial.judge()
            finally:
                office.close()
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill the server at each system call of a letter.")
    parser.add_argument("--every", type=int, default=1, help="only each so many-th call")
    parser.add_argument("--scenario", choices=list(SCENARIOS), help="only this one")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    options = parser.parse_args()
    scenarios = [options.scenario] if options.scenario else list(SCENARIOS)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mailstack-calls-") as folder:
        tally = play(Path(folder), scenarios, options.every, random.Random(options.seed))
    print(
        f"seed {options.seed}: killed {tally.kills} times in {time.monotonic() - began:.0f} s, "
        f"{len(tally.acknowledged)} letters acknowledged, {tally.through} times to the end of a letter"
    )
    for problem in tally.problems:
        print(problem)
    print(f"{len(tally.problems)} problems")
    return 1 if tally.problems else 0


if __name__ == "__main__":
    sys.exit(main())
