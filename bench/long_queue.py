"""What a long queue costs: a server is started on one that is full of letters which are all due and cannot go.

    python bench/long_queue.py 100000 --destinations 100

prints the seconds until the server greets, its memory then and after a while, and how long a fresh letter for a Maildir
and one for another server take meanwhile. DNS says SERVFAIL for every domain but one, whose server takes everything.
Needs Debian's ``postfix`` for that (``.ci/install``).
"""

from __future__ import annotations

import argparse
import pathlib
import socket
import tempfile
import threading
import time

from load import Client, Sink, in_new, memory, percentile, until
from ours import Mailstack
from queues import fill

ALIVE = "alive.example.net"
FRESH = 20  # letters of each kind


def serve_dns() -> int:
    """SERVFAIL; returns the port."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))

    def answer() -> None:
        while True:
            question, peer = sock.recvfrom(512)
            sock.sendto(question[:2] + b"\x81\x82" + question[4:], peer)

    threading.Thread(target=answer, daemon=True).start()
    return int(sock.getsockname()[1])


def send(port: int, to: str) -> None:
    client = Client(port)
    client.command(b"HELO client.example")
    client.begin(to)
    client.command(b"Subject: fresh\r\n\r\nx\r\n.")
    client.command(b"QUIT")


def measure(root: pathlib.Path, port: int, count: int, destinations: int, pause: float) -> None:
    overdue = time.time() - 3600
    fill(root / "data", count, destinations, overdue, overdue + count / 1000)
    dns = f"[dns]\nservers = 127.0.0.1:{serve_dns()}"
    route = f"{ALIVE} = smtp:[127.0.0.1]:{port + 1}"
    users = ["user1", "somebody"]
    with Sink(port + 1, root / "counters") as sink:
        server = Mailstack(root, port, sink.port, users=users, routes=route, more=dns)
        start = time.perf_counter()
        with server:
            greeted = time.perf_counter() - start
            first = memory(server.pid())
            here, away = [], []
            for number in range(FRESH):
                start = time.perf_counter()
                send(port, "user1@example.org")
                until(lambda: in_new([server.mail / "example.org/user1"]), number + 1, 60)
                here.append(time.perf_counter() - start)
                start = time.perf_counter()
                send(port, f"u@{ALIVE}")
                until(sink.letters, number + 1, 60)
                away.append(time.perf_counter() - start)
                time.sleep(pause / FRESH)
            last = memory(server.pid())
            words = pathlib.Path(f"/proc/{server.pid()}/stat").read_text().split()
            cpu = sum(map(float, words[13:15])) / 100
    text = (root / "log").read_text(errors="replace")
    print(f"{count:7,} letters for {destinations:7,} destinations")
    print(f"  until it greets     {greeted:6.2f} s")
    print(f"  memory              {first:6.0f} MiB then, {last:.0f} MiB after {pause:.0f} s (cpu {cpu:.1f} s)")
    for name, times in (("here", here), ("away", away)):
        median, most = percentile(times, 0.5) * 1e3, max(times) * 1e3
        print(f"  fresh letter {name}   {median:6.0f} ms median, {most:.0f} ms at most")
    print(f"  put off meanwhile   {text.count('status=deferred'):6,}, {text.count('suspended'):,} without a try")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("letters", type=int, nargs="?", default=100_000)
    parser.add_argument("--destinations", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=20, help="how long to look on")
    parser.add_argument("--port", type=int, default=2590)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mailstack-queue-") as folder:
        measure(pathlib.Path(folder), options.port, options.letters, options.destinations, options.seconds)


if __name__ == "__main__":
    main()
