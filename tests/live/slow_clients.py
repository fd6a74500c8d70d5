"""Clients that waste our time and our memory, while others want to be served.

    .venv/bin/python -m tests.live.slow_clients [--slow 2000] [--good 20] [--seconds 60] [--megabytes 64]

So many megabytes without a line end come on each of ``good`` connections, in a command and in a message. Then ``slow``
clients send one octet every ten seconds, half of them in a command and half in a message, and ``good`` ones send letter
after letter meanwhile. Prints what that did to the server's memory and to the good ones.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import resource
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

from attrs import frozen

from tests.live.office import Office
from tests.live.wire import Wire

INTERVAL = 10.0  # seconds between two octets of a slow client
STEP = 0.05  # seconds; the slow clients take turns
ENVELOPE = b"EHLO slow.test\r\nMAIL FROM:<friend@far.test>\r\nRCPT TO:<alice@office.test>\r\nDATA\r\n"
LETTER = b"Subject: good\r\n\r\n" + b"It is a good letter.\r\n" * 50 + b"."
MANY = "10000"

#: What mail.ini needs for so many clients of one machine.
ROOM = {"limits": {"connections": MANY, "connections_per_client": MANY}}


@frozen
class Figures:
    letters: int
    median: float  #: seconds for a letter: from the connection to 221
    p99: float
    still_there: int  #: slow clients at the end


def raise_file_limit() -> int:
    """As far as we may; the server that we start inherits it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def memory(office: Office) -> int:
    """Octets that the server's process holds."""
    status = Path(f"/proc/{office.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


@contextlib.contextmanager
def slow_clients(port: int, number: int) -> Iterator[list[socket.socket]]:
    """They are connected, and half of them are in the middle of a message."""
    with contextlib.ExitStack() as stack:
        clients = []
        for index in range(number):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port), 20))
            if index % 2:
                client.sendall(ENVELOPE)
            clients.append(client)
        yield clients


def drip(clients: Sequence[socket.socket], stop: Event) -> int:
    """An octet of each every ten seconds; how many the server still listens to at the end."""
    alive, began, sent = set(clients), time.monotonic(), 0
    while not stop.wait(STEP):
        due = int((time.monotonic() - began) / INTERVAL * len(clients))
        for index in range(sent, due):
            client = clients[index % len(clients)]
            try:
                client.sendall(b"x")
            except OSError:
                alive.discard(client)
        sent = due
    return len(alive)


def good_client(port: int, until: float) -> list[float]:
    times = []
    while (began := time.monotonic()) < until:
        with Wire(port) as wire:
            wire.envelope("friend@far.test", "alice@office.test")
            reply = wire.ask(LETTER)
            assert reply.startswith("250 2.0.0 "), reply
            wire.ask(b"QUIT")
        times.append(time.monotonic() - began)
        time.sleep(0.1)
    return times


def serve_good_among_slow(office: Office, slow: int, good: int, seconds: float) -> Figures:
    stop, port = Event(), office.port.smtp
    with slow_clients(port, slow) as clients, ThreadPoolExecutor(good + 1) as pool:
        dripping = pool.submit(drip, clients, stop)
        until = time.monotonic() + seconds
        try:
            runs = list(pool.map(good_client, [port] * good, [until] * good))
        finally:
            stop.set()
        times = sorted(each for run in runs for each in run)
        return Figures(len(times), times[len(times) // 2], times[len(times) * 99 // 100], dripping.result())


def flood(office: Office, clients: int, octets: int, beginning: bytes = b"") -> int:
    """Octets without a line end from so many at once; by how much the server's memory grew, at most."""
    before, stop = memory(office), Event()

    def send() -> None:
        with socket.create_connection(("127.0.0.1", office.port.smtp), 60) as client:
            client.sendall(beginning)
            for _ in range(octets // 65536):
                client.sendall(b"x" * 65536)

    def watch() -> int:
        most = before
        while not stop.wait(STEP):
            most = max(most, memory(office))
        return most

    with ThreadPoolExecutor(clients + 1) as pool:
        watching = pool.submit(watch)
        for sent in [pool.submit(send) for _ in range(clients)]:
            sent.result()
        stop.set()
        return watching.result() - before


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.live.slow_clients", description=__doc__)
    for name, default in (("slow", 2000), ("good", 20), ("seconds", 60), ("megabytes", 64)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    print(f"open files: {raise_file_limit()}")
    with tempfile.TemporaryDirectory(prefix="mailstack-slow-") as folder:
        office = Office(Path(folder), ROOM)
        try:
            office.add_users("alice")
            office.start()
            for place, beginning in (("a command", b""), ("a message", ENVELOPE)):
                grown = flood(office, options.good, options.megabytes << 20, beginning)
                print(
                    f"{options.megabytes} MB without a line end in {place} on {options.good} connections: "
                    f"{grown / (1 << 20):+.1f} MiB of memory"
                )
            found = serve_good_among_slow(office, options.slow, options.good, options.seconds)
            print(
                f"{options.slow} slow clients ({found.still_there} still there), {options.good} good ones sent "
                f"{found.letters} letters: median {found.median * 1000:.0f} ms, p99 {found.p99 * 1000:.0f} ms"
            )
        finally:
            with contextlib.redirect_stdout(io.StringIO()):
                office.close()


if __name__ == "__main__":
    main()
