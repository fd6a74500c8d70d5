"""What a long queue costs: a server is started on one that is full of letters which are all due and cannot go.

    python bench/queue.py 100000 --destinations 100

prints the seconds until the server greets, its memory then and after a while, and how long a fresh letter for a Maildir
and one for another server take meanwhile. DNS says SERVFAIL for every domain but one, whose server takes everything.
"""

from __future__ import annotations

import argparse
import pathlib
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from contextlib import closing

from load import Client, in_new, percentile, until
from postfix import wait_greeting

from mailstack.spool.schema import prepare

CONF = """\
[server]
hostname = mail.example.org
domains = example.org
data = data
[smtp]
listen = tcp:{port}:interface=127.0.0.1
[submission]
listen =
listen_tls =
[pop3]
listen =
listen_tls =
[relay]
networks = 127.0.0.0/8
[dns]
servers = 127.0.0.1:{dns}
[routes]
alive.example.net = smtp:[127.0.0.1]:{sink}
[limits]
connections = 10000
connections_per_client = 10000
"""
CONTENT = b"Received: by mail.example.org\nSubject: it waits\n\n" + (b"x" * 76 + b"\n") * 50
LINKS = 30_000  # of one file, as messages; ext4 allows 65,000
FRESH = 20  # letters of each kind


def fill(data: pathlib.Path, count: int, destinations: int) -> None:
    """All of them tried a few times and due since an hour."""
    messages = data / "spool/messages"
    messages.mkdir(parents=True)
    due = time.time() - 3600
    ids = [f"0{number:011d}" for number in range(count)]
    with closing(sqlite3.connect(data / "spool/queue.db")) as db:
        db.execute("PRAGMA journal_mode = WAL")
        prepare(db)
        measures = (due - 3600, len(CONTENT), CONTENT.count(b"\n"), zlib.crc32(CONTENT))
        db.executemany(
            "INSERT INTO messages (id, sender, arrived, size, lines, relay_offset, eight_bit, checksum, batch)"
            " VALUES (?, 'somebody@example.org', ?, ?, ?, 0, 0, ?, 1)",
            ((id, *measures) for id in ids),
        )
        domains = [f"d{number % destinations}.example.com" for number in range(count)]
        db.executemany(
            "INSERT INTO recipients (id, number, address, original, state, attempts, next_attempt, destination)"
            " VALUES (?, 0, ?, ?, 'deferred', 3, ?, ?)",
            (
                (id, f"u@{name}", f"u@{name}", due + number / 1000, f"mx:{name}")
                for number, (id, name) in enumerate(zip(ids, domains, strict=True))
            ),
        )
        db.execute("UPDATE counter SET batch = 2")
        db.commit()
    for number, id in enumerate(ids):
        if number % LINKS == 0:
            original = messages / id
            original.write_bytes(CONTENT)
        else:
            (messages / id).hardlink_to(original)


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


class Sink:
    """A server that takes everything, and counts."""

    def __init__(self) -> None:
        self.taken = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            connection.sendall(b"220 sink\r\n")
            data = False
            for line in lines:
                if data:
                    data = line != b".\r\n"
                    self.taken += not data
                elif line[:4].upper() == b"DATA":
                    data = True
                    connection.sendall(b"354 go on\r\n")
                    continue
                if not data:
                    connection.sendall(b"250 ok\r\n")


def rss(pid: int) -> float:
    """MiB."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def send(port: int, to: str) -> None:
    client = Client(port)
    client.command(b"HELO client.example")
    client.begin(to)
    client.command(b"Subject: fresh\r\n\r\nx\r\n.")
    client.command(b"QUIT")


def measure(root: pathlib.Path, port: int, count: int, destinations: int, pause: float) -> None:
    sink = Sink()
    fill(root / "data", count, destinations)
    (root / "mail.ini").write_text(CONF.format(port=port, dns=serve_dns(), sink=sink.port))
    (root / "data/users").write_text("user1@example.org:{PLAIN}no-log-in\nsomebody@example.org:{PLAIN}no-log-in\n")
    (root / "data/aliases").touch()
    maildir = root / "data/mail/example.org/user1"
    twistd = pathlib.Path(sys.executable).with_name("twistd")
    command = [twistd, "-n", "--pidfile=", "mailstack", "-c", root / "mail.ini"]
    with (root / "log").open("wb") as log:
        start = time.perf_counter()
        server = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log, cwd=root)
    try:
        wait_greeting(port)
        greeted = time.perf_counter() - start
        first = rss(server.pid)
        here, away = [], []
        for number in range(FRESH):
            start = time.perf_counter()
            send(port, "user1@example.org")
            until(lambda: in_new([maildir]), number + 1, 60)
            here.append(time.perf_counter() - start)
            start = time.perf_counter()
            send(port, "u@alive.example.net")
            until(lambda: sink.taken, number + 1, 60)
            away.append(time.perf_counter() - start)
            time.sleep(pause / FRESH)
        last = rss(server.pid)
        cpu = sum(float(word) for word in pathlib.Path(f"/proc/{server.pid}/stat").read_text().split()[13:15]) / 100
    finally:
        server.terminate()
        server.wait(30)
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
