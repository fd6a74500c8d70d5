"""Inbound mail to Maildirs and relayed mail, fully durable, beside Postfix, and POP3 beside Dovecot, on the same disk
in the same run.

    .venv/bin/python bench/run.py [--workload relay] [--rounds 5] [--messages 2000] [--json FILE]

Needs root, and Debian's ``postfix`` and ``dovecot-pop3d`` (``.ci/install``). Makes an ext4 with a journal in a file,
mounts it, runs two servers there by turns (A B A B …), and prints the medians and the median of the ratios of
neighbours. Figures of two different runs say little; nothing else should run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import load
import pop3 as fetching
from attrs import frozen
from dovecot import Dovecot
from ours import Mailstack
from postfix import Postfix, call

PORTS = {"mailstack": 14025, "postfix": 14026}
SINK = 14027
POP3 = {"mailstack": 14110, "dovecot": 14111}
DISK_SIZE = "6G"
WARM_UP = 200  # letters that each server gets before the first measurement


@contextlib.contextmanager
def disk() -> Iterator[pathlib.Path]:
    """A fresh ext4 with a journal."""
    with tempfile.TemporaryDirectory(prefix="mailstack-bench-") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        image, mount = folder / "disk", folder / "mnt"
        mount.mkdir()
        subprocess.run(["truncate", "-s", DISK_SIZE, image], check=True)
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
        subprocess.run(["mount", "-o", "loop", image, mount], check=True)
        mount.chmod(0o755)
        try:
            yield mount
        finally:
            unmount(mount)


def unmount(folder: pathlib.Path) -> None:
    """The last of Postfix's daemons may still be on their way out."""
    for _ in range(50):
        if subprocess.run(["umount", folder], stderr=subprocess.DEVNULL).returncode == 0:
            return
        time.sleep(0.2)
    subprocess.run(["umount", "--lazy", folder], check=True)


Server = Mailstack | Postfix
S = TypeVar("S")


def by_turns(count: int, servers: dict[str, S], measure: Callable[[S], float]) -> dict[str, list[float]]:
    """By server name, one figure a round, the servers by turns."""
    figures: dict[str, list[float]] = {name: [] for name in servers}
    for _ in range(count):
        for name, server in servers.items():
            figures[name].append(measure(server))
    return figures


class Bench:
    """Both servers, the next hop of both, and a fresh mailbox for each measurement."""

    def __init__(self, servers: dict[str, Server], sink: load.Sink, messages: int) -> None:
        self.servers = servers
        self.sink = sink
        self.messages = messages
        self._used = 0

    def mailbox(self) -> str:
        self._used += 1
        return f"u{self._used}"

    def inbound(self, server: Server, keep_open: bool, messages: int) -> float:
        user = self.mailbox()
        maildir = server.mail / "example.org" / user
        return load.inbound(server.port, maildir, f"{user}@example.org", messages, keep_open)

    def rounds(self, count: int, measure: Callable[[Server], float]) -> dict[str, list[float]]:
        return by_turns(count, self.servers, measure)


def compare(title: str, figures: dict[str, list[float]], unit: str) -> dict[str, object]:
    """Print a row; the ratio is the median of those of neighbours, so a drift of the machine's speed cancels out."""
    ratio = statistics.median(a / b for a, b in zip(*figures.values(), strict=True))
    medians = {name: statistics.median(values) for name, values in figures.items()}
    cells = "  ".join(f"{name} {value:8.1f}" for name, value in medians.items())
    print(f"{title:38} {cells} {unit:6} ratio {ratio:5.2f}", flush=True)
    return {"title": title, "unit": unit, "figures": figures, "medians": medians, "ratio": ratio}


Results = Iterator[dict[str, object]]


def idle(bench: Bench) -> Results:
    yield compare("idle memory", {name: [load.memory(each.pid())] for name, each in bench.servers.items()}, "MiB")


def inbound(bench: Bench, rounds: int) -> Results:
    for server in bench.servers.values():
        bench.inbound(server, keep_open=False, messages=WARM_UP)
    for keep_open, title in ((False, "20 sessions, one message each"), (True, "20 sessions, kept open")):
        figures = bench.rounds(rounds, lambda server, k=keep_open: bench.inbound(server, k, bench.messages))
        yield compare(title, figures, "msg/s")
    for share in (0.5, 0.99):
        latency = bench.rounds(rounds, lambda server, s=share: load.percentile(lone(bench, server), s))
        yield compare(f"lone client, acknowledgement p{share * 100:.0f}", latency, "ms")
    octets = 20 * 1024 * 1024
    flight = bench.rounds(1, lambda server: load.in_flight(server.port, server.pid(), "u1@example.org", 20, octets))
    yield compare("20 MiB in flight, memory for each", flight, "MiB")


def relay(bench: Bench, rounds: int) -> Results:
    for server in bench.servers.values():
        load.relay(server.port, bench.sink, WARM_UP, sessions=20)
    for sessions in (20, 100):
        figures = bench.rounds(
            rounds, lambda server, n=sessions: load.relay(server.port, bench.sink, bench.messages, sessions=n)
        )
        yield compare(f"relayed, {sessions} sessions", figures, "msg/s")


WORKLOADS = {"inbound": inbound, "relay": relay}


# ---- POP3


@frozen
class Shape:
    """Mailboxes of a kind: so many users have so many messages each; a round is so many sessions of each."""

    messages: int
    users: tuple[str, ...]
    sessions: int
    fetch: bool = False


def _users(first: int, count: int) -> tuple[str, ...]:
    return tuple(f"p{number}" for number in range(first, first + count))


SHAPES = (
    Shape(100, _users(1, 8), 50),
    Shape(10_000, _users(11, 4), 10),
    Shape(100_000, _users(21, 2), 3),
    Shape(100, _users(1, 8), 10, fetch=True),
)
LARGEST = SHAPES[2]


class Fetched:
    """One server, and where it answers."""

    def __init__(self, server: Mailstack | Dovecot, port: int) -> None:
        self.server, self.port = server, port

    def fill(self, pool: pathlib.Path) -> None:
        for shape in SHAPES:
            maildirs = [self.server.mail / "example.org" / user for user in shape.users]
            fetching.fill(pool, [each for each in maildirs if not each.exists()], shape.messages)

    def run(self, shape: Shape) -> fetching.Run:
        mode = "fetch" if shape.fetch else "check"
        return fetching.run(self.port, self.server.pid(), shape.users, mode, shape.sessions)

    def memory(self) -> float:
        return fetching.memory_a_message(self.port, self.server.pid(), LARGEST.users, LARGEST.messages)


def pop3(mount: pathlib.Path, rounds: int) -> Results:
    users = sorted({user for shape in SHAPES for user in shape.users})
    ours = Mailstack(mount / "mailstack-pop3", PORTS["mailstack"], SINK, users=users, pop3=POP3["mailstack"])
    theirs = Dovecot(mount / "dovecot", POP3["dovecot"], users)
    servers = {"mailstack": Fetched(ours, POP3["mailstack"]), "dovecot": Fetched(theirs, POP3["dovecot"])}
    for each in servers.values():
        each.fill(mount / "letters")
    call("chown", "-R", "nobody:", mount / "letters", theirs.mail)
    with ours, theirs:
        title = f"{len(LARGEST.users)} mailboxes of {LARGEST.messages} open"
        yield compare(f"{title}, a message", by_turns(1, servers, Fetched.memory), "octets")
        for shape in SHAPES:
            runs: dict[str, list[fetching.Run]] = {name: [] for name in servers}
            for _ in range(rounds):
                for name, each in servers.items():
                    runs[name].append(each.run(shape))
            title = f"POP3 {'fetch' if shape.fetch else 'check'}, {shape.messages} messages"
            yield compare(title, {name: [run.rate for run in done] for name, done in runs.items()}, "/s")
            yield compare(f"{title}, processor", {name: [run.cpu for run in done] for name, done in runs.items()}, "ms")


def lone(bench: Bench, server: Server) -> list[float]:
    return load.acknowledgements(server.port, f"{bench.mailbox()}@example.org", 200)


def mail(mount: pathlib.Path, chosen: argparse.Namespace) -> Results:
    with contextlib.ExitStack() as stack:
        servers: dict[str, Server] = {
            "mailstack": stack.enter_context(Mailstack(mount / "mailstack", PORTS["mailstack"], SINK, chosen.sync)),
            "postfix": stack.enter_context(Postfix(mount / "postfix", PORTS["postfix"], SINK)),
        }
        bench = Bench(servers, stack.enter_context(load.Sink(SINK, mount.parent / "sink")), chosen.messages)
        yield from idle(bench)
        for name, workload in WORKLOADS.items():
            if chosen.workload in (name, "all"):
                yield from workload(bench, chosen.rounds)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--workload", choices=(*WORKLOADS, "pop3", "all"), default="all")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--messages", type=int, default=2000, help="a round and server")
    options.add_argument("--sync", choices=("auto", "filesystem", "file"), default="auto", help="[spool] sync of ours")
    options.add_argument("--json", type=pathlib.Path, help="write all figures into this file")
    chosen = options.parse_args()
    if os.geteuid():
        sys.exit("bench/run.py needs root: it mounts a file system and starts Postfix and Dovecot")
    results: list[dict[str, object]] = []
    with disk() as mount:
        if chosen.workload != "pop3":
            results += mail(mount, chosen)
        if chosen.workload in ("pop3", "all"):
            results += pop3(mount, chosen.rounds)
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
