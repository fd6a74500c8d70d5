"""The server is killed between DELE and the answer to QUIT, again and again: no letter may be lost.

    .venv/bin/python -m tests.crash.deletions [--rounds 1000] [--servers 2] [--seed N]

In each round, four clients mark letters in four mailboxes, and say QUIT at once, a moment later or never; ``kill -9``
comes somewhere in between. Then the Maildirs must hold what they should, and after the restart the server must list
just that. Counted is what must not be, and when the kills came.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import io
import random
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import BinaryIO

from attrs import define, field, frozen

from tests.live.office import Office
from tests.live.wire import DOMAIN, PASSWORD, TIMEOUT

CLIENTS = 4
LETTERS = 150  # in a mailbox when a round begins
NOT_REMOVED = "NOT REMOVED"
WINDOW = 0.015  # seconds in which the kill comes; deleting takes some milliseconds

TELL_AFTER = 50  # rounds

#: A password that is checked in no time.
_HASH = base64.b64encode(hashlib.sha256(PASSWORD.encode()).digest()).decode()


def wire_size(letter: bytes) -> int:
    """With CRLF line ends."""
    return len(letter) + letter.count(b"\n")


@define
class Box:
    """A mailbox and what must be in it: unique-id → content."""

    user: str
    maildir: Path
    letters: dict[str, bytes] = field(factory=dict)

    def fill(self, rng: random.Random) -> None:
        """As deliveries do, and programs that have seen some of them."""
        while len(self.letters) < LETTERS:
            uid = f"{rng.randrange(10**9, 2 * 10**9)}.K{rng.randrange(10**9)}.far.test"
            content = f"Subject: {uid}\n\n".encode() + rng.randbytes(rng.randrange(1000)).hex().encode() + b"\n"
            sizes = f",S={len(content)},W={wire_size(content)}" if rng.random() < 0.5 else ""
            place = f"new/{uid}{sizes}" if rng.random() < 0.5 else f"cur/{uid}{sizes}:2,S"
            (self.maildir / "tmp" / uid).write_bytes(content)
            (self.maildir / "tmp" / uid).rename(self.maildir / place)
            self.letters[uid] = content

    def found(self) -> dict[str, bytes]:
        """What is there."""
        paths = [path for part in ("new", "cur") for path in (self.maildir / part).iterdir()]
        return {path.name.partition(":")[0].partition(",")[0]: path.read_bytes() for path in paths}


@frozen
class Plan:
    """What a client does. ``quit``: seconds from the answers to DELE to QUIT; 0: sent with DELE; None: never."""

    marked: Sequence[int]  #: indexes in UIDL's list
    pause: float  #: seconds before the first DELE
    quit: float | None


@define
class Client:
    """What it knows when the server is gone."""

    box: Box
    plan: Plan
    marked: set[str] = field(factory=set)
    said_quit: bool = False
    answered: bool = False  #: QUIT, with +OK
    answered_at: float = 0.0  #: Unix time
    _socket: socket.socket = field(init=False)
    _stream: BinaryIO = field(init=False)

    def log_in(self, port: int) -> None:
        """What is listed must be what there should be."""
        self._socket = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        self._stream = self._socket.makefile("rb")
        self._stream.readline()
        for command in (f"USER {self.box.user}@{DOMAIN}", f"PASS {PASSWORD}"):
            reply = self._ask(command)
            assert reply.startswith(b"+OK"), reply
        uids, sizes = self._list("UIDL"), self._list("LIST")
        assert set(uids) == set(self.box.letters)
        assert [int(size) for size in sizes] == [wire_size(self.box.letters[uid]) for uid in uids]
        self.marked = {uids[index] for index in self.plan.marked}

    def _ask(self, command: str) -> bytes:
        self._socket.sendall(f"{command}\r\n".encode())
        return self._stream.readline()

    def _list(self, command: str) -> list[str]:
        """The second column."""
        self._ask(command)
        lines = iter(self._stream.readline, b".\r\n")
        return [line.split()[1].decode() for line in lines]

    def play(self) -> None:
        """To the end, which is that of the server at the latest."""
        try:
            self._play()
        except OSError:
            pass
        finally:
            self._stream.close()
            self._socket.close()

    def _play(self) -> None:
        commands = b"".join(b"DELE %d\r\n" % (index + 1) for index in self.plan.marked)
        time.sleep(self.plan.pause)
        if self.plan.quit == 0:
            self.said_quit = True
            commands += b"QUIT\r\n"
        self._socket.sendall(commands)
        for _ in self.plan.marked:
            if not self._stream.readline():
                return
        if self.plan.quit:
            time.sleep(self.plan.quit)
            self.said_quit = True
            self._socket.sendall(b"QUIT\r\n")
        self.answered = self._stream.readline().startswith(b"+OK")
        self.answered_at = time.time()


def outcome(client: Client) -> str:
    """When the kill came for this client, or what must not be; from now on its mailbox holds what is there."""
    box, found = client.box, client.box.found()
    gone = set(box.letters) - set(found)
    damaged = [uid for uid, content in found.items() if box.letters.get(uid) != content]
    left = client.marked - gone
    box.letters = found
    if damaged:
        return "DAMAGED"
    if gone - client.marked or (gone and not client.said_quit):
        return "LOST"
    if client.answered:
        return NOT_REMOVED if left else "after the answer to QUIT"
    if not client.said_quit:
        return "before QUIT"
    return "in QUIT, nothing removed" if not gone else "in QUIT, part removed" if left else "in QUIT, all removed"


def _plan(rng: random.Random) -> Plan:
    marked = rng.sample(range(LETTERS), rng.randrange(1, LETTERS))
    return Plan(marked, rng.uniform(0, 0.004), rng.choice([None, 0, 0, 0, rng.uniform(0, 0.005)]))


def _round(office: Office, boxes: Sequence[Box], rng: random.Random, pool: ThreadPoolExecutor) -> Counter[str]:
    for box in boxes:
        box.fill(rng)
    office.start()
    clients = [Client(box, _plan(rng)) for box in boxes]
    list(pool.map(lambda client: client.log_in(office.port.pop3), clients))
    ready = Barrier(len(clients) + 1)

    def play(client: Client) -> None:
        ready.wait(TIMEOUT)
        client.play()

    playing = [pool.submit(play, client) for client in clients]
    ready.wait(TIMEOUT)
    time.sleep(rng.uniform(0, WINDOW))
    office.kill()
    for each in playing:
        each.result()
    return Counter(map(outcome, clients))


def _rounds(folder: Path, rounds: int, seed: str) -> Counter[str]:
    """With one server, which starts in each round."""
    rng, office, found = random.Random(seed), Office(folder), Counter[str]()
    users = [f"user{number}" for number in range(CLIENTS)]
    office.users.write_text("".join(f"{user}@{DOMAIN}:{{SHA256}}{_HASH}\n" for user in users))
    boxes = [Box(user, office.maildir(user)) for user in users]
    for box in boxes:
        for part in ("tmp", "new", "cur"):
            (box.maildir / part).mkdir(parents=True)
    try:
        with ThreadPoolExecutor(CLIENTS) as pool:
            for number in range(1, rounds + 1):
                found += _round(office, boxes, rng, pool)
                if number % TELL_AFTER == 0:
                    print(f"{folder.name}: {number} of {rounds}: {dict(sorted(found.items()))}", file=sys.stderr)
        return found
    finally:
        office.close()


def deletions(folder: Path, rounds: int, servers: int, seed: str) -> Mapping[str, int]:
    """How often each outcome was; ``servers`` at a time."""
    shares = [len(range(index, rounds, servers)) for index in range(servers)]
    folders = [folder / f"server{index}" for index in range(servers)]
    for each in folders:
        each.mkdir()
    with ThreadPoolExecutor(servers) as pool:
        found = pool.map(_rounds, folders, shares, [f"{seed}-{index}" for index in range(servers)])
        return sum(found, Counter[str]())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.deletions", description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--servers", type=int, default=2)
    parser.add_argument("--seed", default=str(random.randrange(10**6)))
    options = parser.parse_args()
    print(f"seed: {options.seed}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="mailstack-deletions-") as folder,
        contextlib.redirect_stdout(io.StringIO()),
    ):
        found = deletions(Path(folder), options.rounds, options.servers, options.seed)
    print(f"killed {options.rounds} times, each with {CLIENTS} sessions:")
    for name, count in sorted(found.items()):
        print(f"{count:6} {name}")


if __name__ == "__main__":
    main()
