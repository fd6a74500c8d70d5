"""Load for a mail server on the loopback, the same for every server; each measurement is a function.

SMTP load is made by Postfix's ``smtp-source``, and its ``smtp-sink`` is where relayed mail goes. Delivered means: in
``new/`` of the Maildir, or counted by the sink.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import resource
import socket
import subprocess
import time
from collections.abc import Callable, Sequence

from attrs import frozen

SENDER = "a@client.example"
RECIPIENT = "x@sink.example"
EACH_ADDRESS = 1000  # idle connections from one address
LAST_COUNTERS = 512  # octets of the sink's output in which there surely is a whole line


class LoadFailed(RuntimeError):
    """The server did not do what the measurement needs."""


# ---- Throughput


def in_new(maildirs: Sequence[pathlib.Path]) -> int:
    # Not iterdir: a Path for each would take from the server what it is measured for.
    return sum(len(os.listdir(d / "new")) for d in maildirs if (d / "new").is_dir())  # noqa: PTH208


def empty(maildirs: Sequence[pathlib.Path]) -> None:
    """Nothing is left to count, nor to be written to the disk."""
    for folder in (d / "new" for d in maildirs if (d / "new").is_dir()):
        for name in os.listdir(folder):  # noqa: PTH208
            (folder / name).unlink()
    os.sync()


def until(count: Callable[[], int], goal: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    while count() < goal:
        if time.monotonic() > end:
            raise LoadFailed(f"{count()} of {goal} letters arrived in {seconds:.0f} s")
        time.sleep(0.01)


@frozen
class Shape:
    """What clients do: so many letters in all, so many sessions at a time, of one letter each or kept open."""

    messages: int
    sessions: int = 20
    keep_open: bool = False
    size: int = 4096
    recipients: int = 1


def inbound(port: int, maildirs: Sequence[pathlib.Path], to: str, shape: Shape) -> float:
    """Letters a second, from the first connection until the last letter is in the ``new/`` of all."""
    before, start = in_new(maildirs), time.perf_counter()
    send(port, to, shape)
    until(lambda: in_new(maildirs), before + shape.messages * shape.recipients, 120)
    return shape.messages / (time.perf_counter() - start)


def send(port: int, to: str, shape: Shape) -> None:
    """Returns when all letters are accepted. With several recipients they are NAME@…, 2NAME@…, 3NAME@…"""
    command = ["smtp-source", "-s", shape.sessions, "-m", shape.messages, "-l", shape.size, "-f", SENDER, "-t", to]
    command += ["-d"] * shape.keep_open + (["-r", shape.recipients] if shape.recipients > 1 else [])
    command += [f"127.0.0.1:{port}"]
    done = subprocess.run([str(word) for word in command], text=True, capture_output=True, timeout=300)
    if done.returncode:
        raise LoadFailed(f"smtp-source: {done.stderr.strip()[:500]}")


# ---- Relaying


class Sink:
    """The next hop: takes all letters, keeps none, and counts. ``with Sink(port, file) as sink: sink.letters()``."""

    def __init__(self, port: int, counters: pathlib.Path) -> None:
        self.port, self._counters = port, counters

    def letters(self) -> int:
        """That have come since it was started."""
        with self._counters.open("rb") as counters:
            counters.seek(max(0, self._counters.stat().st_size - LAST_COUNTERS))
            found = re.findall(rb"mesg=(\d+)", counters.read())
        return int(found[-1]) if found else 0

    def __enter__(self) -> Sink:
        user = ["-u", "root"] if os.geteuid() == 0 else []
        command = ["smtp-sink", "-c", *user, f"127.0.0.1:{self.port}", "1000"]
        with self._counters.open("wb") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL)
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.terminate()
        self._process.wait(30)


def relay(port: int, sink: Sink, shape: Shape) -> float:
    """Letters a second, from the first connection until the sink has the last one."""
    before, start = sink.letters(), time.perf_counter()
    send(port, RECIPIENT, shape)
    until(sink.letters, before + shape.messages, 120)
    return shape.messages / (time.perf_counter() - start)


# ---- One client


class Client:
    """One blocking SMTP connection."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 60, (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.read()

    def read(self) -> bytes:
        got = self.socket.recv(65536)
        while got and not got.endswith(b"\r\n"):
            got += self.socket.recv(65536)
        if got[:1] not in (b"2", b"3"):
            raise LoadFailed(f"refused: {got[:200]!r}")
        return got

    def command(self, line: bytes) -> bytes:
        self.socket.sendall(line + b"\r\n")
        return self.read()

    def begin(self, to: str) -> None:
        for line in (f"MAIL FROM:<{SENDER}>", f"RCPT TO:<{to}>", "DATA"):
            self.command(line.encode())


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def acknowledgements(port: int, to: str, messages: int, size: int = 4096) -> list[float]:
    """One session, one message after the other: milliseconds from the last octet of each to its 250."""
    client = Client(port)
    letter = b"Subject: x\r\n\r\n" + (b"X" * 78 + b"\r\n") * (size // 80)
    client.command(b"HELO client.example")
    times = []
    for _ in range(messages):
        client.begin(to)
        start = time.perf_counter()
        client.command(letter + b".")
        times.append((time.perf_counter() - start) * 1e3)
    client.command(b"QUIT")
    return times


# ---- Memory


def descendants(pid: int) -> list[int]:
    """A process, and all that it has started, and they."""
    parents: dict[int, list[int]] = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
            parents.setdefault(parent, []).append(int(stat.parent.name))
    found, todo = [], [pid]
    while todo:
        found.append(each := todo.pop())
        todo += parents.get(each, [])
    return found


def memory(pid: int) -> float:
    """MiB of a process and all its descendants: proportional set size, so that shared pages count once."""
    total = 0
    for each in descendants(pid):
        with contextlib.suppress(OSError):
            found = re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{each}/smaps_rollup").read_text(), re.M)
            total += int(found[1]) if found else 0
    return total / 1024


def in_flight(port: int, pid: int, to: str, connections: int, octets: int) -> float:
    """MiB that a server takes for each message of which ``octets`` have arrived, and the end has not."""
    clients = [Client(port) for _ in range(connections)]
    for client in clients:
        client.command(b"HELO client.example")
        client.begin(to)
    before = memory(pid)
    line = b"X" * 998 + b"\r\n"
    for client in clients:
        client.socket.sendall(b"Subject: x\r\n\r\n" + line * (octets // len(line)))
    time.sleep(1)
    grown = memory(pid) - before
    for client in clients:
        client.socket.close()
    return grown / connections


def idle(port: int, pid: int, connections: int) -> float:
    """MiB that a server takes for so many connections that are open and have said HELO."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    before, held = memory(pid), []
    try:
        for number in range(connections):
            # Addresses of their own, or the ports of one might not do.
            held.append(Client(port, f"127.0.0.{2 + number // EACH_ADDRESS}"))
            held[-1].command(b"HELO client.example")
        time.sleep(0.5)
        return memory(pid) - before
    finally:
        for client in held:
            client.socket.close()
