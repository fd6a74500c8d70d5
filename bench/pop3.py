"""POP3 load on the loopback, the same for every server; each measurement is a function.

A *check* is what most sessions are: log in, STAT, UIDL, LIST, RETR of the last letter, QUIT. A *fetch* has RETR of all
letters. Each client is a process of its own, at one mailbox, with one session after the other:

    python bench/pop3.py PORT USER check|fetch SESSIONS

says ``ready`` after a first session, which is not measured (indexes, caches of passwords), begins with the next line on
its standard input, and prints the milliseconds of its sessions as JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence

from attrs import frozen
from dovecot import PASSWORD
from load import LoadFailed, descendants, memory

LETTER = b"From: <a@client.example>\nSubject: letter %d\n\n" + (b"X" * 78 + b"\n") * 51
DISTINCT = 1000  # letters; all others are further links to the same files
PATIENCE = 600  # seconds; the first look at a million letters takes a while
CLOCK_TICK = os.sysconf("SC_CLK_TCK")


# ---- Maildirs


def fill(pool: pathlib.Path, maildirs: Iterable[pathlib.Path], messages: int, part: str = "cur") -> None:
    """Maildirs with so many letters each, read ones in ``cur`` or fresh ones in ``new``, as programs with ``S=`` and
    ``W=`` deliver them. The files are in ``pool``, which is on the same file system."""
    pool.mkdir(exist_ok=True)
    letters = [LETTER % number for number in range(DISTINCT)]
    sizes = [f"S={len(letter)},W={len(letter) + letter.count(10)}" for letter in letters]
    for number in range(DISTINCT):
        if not (pool / str(number)).exists():
            (pool / str(number)).write_bytes(letters[number])
    for maildir in maildirs:
        for each in ("tmp", "new", "cur"):
            (maildir / each).mkdir(parents=True, exist_ok=True)
        target, flags = f"{maildir}/{part}", ":2,S" if part == "cur" else ""
        for number in range(messages):
            measures = sizes[number % DISTINCT]
            name = f"{1_700_000_000 + number}.M{number:06}P77.mail.example.org,{measures}{flags}"
            os.link(f"{pool}/{number % DISTINCT}", f"{target}/{name}")


# ---- One client


class Client:
    """One blocking connection, logged in."""

    def __init__(self, port: int, user: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answer()
        self.command(f"USER {user}@example.org")
        self.command(f"PASS {PASSWORD}")

    def command(self, line: str) -> bytes:
        self.socket.sendall(line.encode() + b"\r\n")
        return self.answer()

    def answer(self, end: bytes = b"\r\n") -> bytes:
        got = bytearray()
        while not got.endswith(end):
            more = self.socket.recv(1 << 18)
            got += more
            if not more or got[:1] != b"+":
                raise LoadFailed(f"refused: {bytes(got[:200])!r}")
        return bytes(got)

    def listing(self, line: str) -> bytes:
        """A multi-line answer."""
        self.socket.sendall(line.encode() + b"\r\n")
        return self.answer(b"\r\n.\r\n")

    def quit(self) -> None:
        self.command("QUIT")
        self.socket.close()


def session(port: int, user: str, fetch: bool) -> None:
    client = Client(port, user)
    last = int(client.command("STAT").split()[1])
    for listing in (client.listing("UIDL"), client.listing("LIST")):
        if listing.count(b"\n") != last + 2:
            raise LoadFailed(f"{last} letters, but a list of {listing.count(10) - 2}")
    for number in range(1 if fetch else last, last + 1):
        client.listing(f"RETR {number}")
    client.quit()


def client(port: int, user: str, fetch: bool, sessions: int) -> None:
    session(port, user, fetch)
    print("ready", flush=True)
    sys.stdin.readline()
    times = []
    for _ in range(sessions):
        start = time.perf_counter()
        session(port, user, fetch)
        times.append((time.perf_counter() - start) * 1e3)
    print(json.dumps(times), flush=True)


# ---- Many clients


@frozen
class Run:
    """What came of one measurement."""

    rate: float  #: sessions a second
    cpu: float  #: milliseconds of the server a session
    times: Sequence[float]  #: milliseconds of each session


@contextlib.contextmanager
def clients(port: int, users: Sequence[str], mode: str, sessions: int) -> Iterator[list[subprocess.Popen[str]]]:
    """One for each user, ready to begin."""
    command = [sys.executable, __file__, str(port)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    started = [subprocess.Popen([*command, user, mode, str(sessions)], text=True, **pipes) for user in users]
    try:
        for each in started:
            said(each)
        yield started
    finally:
        for each in started:
            each.kill()
            each.communicate()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise LoadFailed("a client has failed, see above")
    return line


def run(port: int, pid: int, users: Sequence[str], mode: str, sessions: int) -> Run:
    """All users at once, so many sessions each."""
    with clients(port, users, mode, sessions) as started:
        before, start = processor(pid), time.perf_counter()
        for each in started:
            assert each.stdin is not None
            each.stdin.write("go\n")
            each.stdin.flush()
        times = [one for each in started for one in json.loads(said(each))]
        wall = time.perf_counter() - start
    return Run(len(times) / wall, (processor(pid) - before) * 1e3 / len(times), times)


def processor(pid: int) -> float:
    """Seconds that a process, its descendants, and those of them that have ended, have computed."""
    ticks = 0
    for each in descendants(pid):
        with contextlib.suppress(OSError):
            fields = pathlib.Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime of proc(5)
    return ticks / CLOCK_TICK


# ---- Memory


def memory_a_message(port: int, pid: int, users: Sequence[str], messages: int) -> float:
    """Octets that a server takes for each message of mailboxes that are open and listed, for the first time."""
    before = memory(pid)
    opened = [Client(port, user) for user in users]
    for each in opened:
        each.listing("UIDL")
        each.listing("LIST")
    time.sleep(0.5)
    grown = memory(pid) - before
    for each in opened:
        each.quit()
    return grown * 1024 * 1024 / (messages * len(users))


if __name__ == "__main__":
    client(int(sys.argv[1]), sys.argv[2], sys.argv[3] == "fetch", int(sys.argv[4]))
