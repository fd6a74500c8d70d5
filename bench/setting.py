"""Where workloads run: the disk, the ports, how much of everything; and what all of them do by turns."""

from __future__ import annotations

import contextlib
import pathlib
import random
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from attrs import define, field, frozen
from figures import BY_KEY, OURS, Row
from ours import Mailstack
from postfix import Postfix

RANGE = range(10_000, 30_000)  # below the ports of clients
DISK_SIZE = "24G"  # sparse; some 8 GB of it are written

S = TypeVar("S")


@frozen
class Amounts:
    """How much of everything."""

    rounds: int = 5
    messages: int = 4000  #: a round and server, of 4 KiB
    warm_up: int = 200  #: letters that each server gets before the first measurement
    lone: int = 1000  #: letters of a lone client, a round: the slowest hundredth is more than two
    sessions: tuple[int, ...] = (1, 2, 5, 10, 20, 50, 100, 200, 500)
    queue: tuple[int, ...] = (1, 10, 100, 1000, 10_000, 100_000)
    mailbox: tuple[int, ...] = (1, 10, 100, 1000, 10_000, 100_000)
    pop3: tuple[int, ...] = (100, 10_000, 100_000)
    users: tuple[int, ...] = (8, 4, 2)  #: mailboxes of each of these sizes, read at once
    visits: int = 50  #: POP3 sessions of each user, a round, in the smallest mailbox
    connections: int = 10_000
    in_flight: int = 20  #: messages of 20 MB
    queued: int = 100_000

    def part(self, share: float) -> int:
        """Of the messages, so that slower workloads take no longer."""
        return max(20, round(self.messages * share))


QUICK = Amounts(
    rounds=1,
    messages=20,
    warm_up=10,
    lone=10,
    sessions=(1, 20),
    queue=(1, 1000),
    mailbox=(1, 1000),
    pop3=(100, 200, 300),
    users=(2, 1, 1),
    visits=2,
    connections=100,
    in_flight=1,
    queued=1000,
)
MILLION = 1_000_000


@define
class Setting:
    """One run: a disk, and the servers that some workloads share, started when the first of them asks."""

    mount: pathlib.Path
    amounts: Amounts
    sync: str
    stack: contextlib.ExitStack
    sink: int  #: port of the next hop, whenever there is one
    _pair: dict[str, Mailstack | Postfix] = field(factory=dict)
    _used: int = 0

    def pair(self) -> dict[str, Mailstack | Postfix]:
        """This server and Postfix, warm."""
        if not self._pair:
            ours, theirs = self.ours(self.mount / OURS), self.postfix(self.mount / "postfix")
            self._pair = {OURS: self.stack.enter_context(ours), "postfix": self.stack.enter_context(theirs)}
        return self._pair

    def ours(self, root: pathlib.Path, **options: Any) -> Mailstack:
        return Mailstack(root, free_port(), self.sink, self.sync, **options)

    def postfix(self, root: pathlib.Path, **options: Any) -> Postfix:
        return Postfix(root, free_port(), self.sink, **options)

    def folder(self, name: str) -> pathlib.Path:
        """A fresh one, open to all."""
        path = self.mount / name
        path.mkdir(mode=0o755, parents=True)
        return path

    def mailbox(self) -> str:
        """One that nobody has used."""
        self._used += 1
        return f"u{self._used}"

    def compare(self, key: str, servers: Mapping[str, S], measure: Callable[[S], float], rounds: int = 0) -> Row:
        """One figure a round, the servers by turns (A B A B …)."""
        found = by_turns(servers, measure, rounds or self.amounts.rounds)
        return Row(key, found[OURS], found[BY_KEY[key].peer])


def by_turns(servers: Mapping[str, S], measure: Callable[[S], float], rounds: int) -> dict[str, list[float]]:
    figures: dict[str, list[float]] = {name: [] for name in servers}
    for _ in range(rounds):
        for name, server in servers.items():
            figures[name].append(measure(server))
    return figures


def free_port() -> int:
    """One that was free a moment ago."""
    while True:
        port = random.choice(RANGE)
        with socket.socket() as bound, contextlib.suppress(OSError):
            bound.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def disk() -> Iterator[pathlib.Path]:
    """A fresh ext4 with a journal."""
    with tempfile.TemporaryDirectory(prefix="mailstack-bench-") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        image, mount = folder / "disk", folder / "mnt"
        mount.mkdir()
        subprocess.run(["truncate", "-s", DISK_SIZE, image], check=True)
        # Inodes for millions of letters, made now: what the kernel makes later would be measured.
        options = ["-i", "8192", "-E", "lazy_itable_init=0,lazy_journal_init=0"]
        subprocess.run(["mkfs.ext4", "-q", "-F", *options, image], check=True)
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
