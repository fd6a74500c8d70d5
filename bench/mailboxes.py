"""POP3 beside Dovecot, and what the size of a mailbox costs."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Iterator

import load
import pop3
from attrs import define, frozen
from dovecot import Dovecot
from figures import OURS, Row, Series
from load import Shape
from ours import Mailstack
from postfix import OWNER, Postfix, call
from setting import Amounts, Setting, by_turns, free_port


@frozen
class Kind:
    """Mailboxes of a kind: so many users have so many messages each; a round is so many sessions of each."""

    key: str
    messages: int
    users: tuple[str, ...]
    sessions: int
    fetch: bool = False


def _users(first: int, count: int) -> tuple[str, ...]:
    return tuple(f"p{number}" for number in range(first, first + count))


def kinds(amounts: Amounts) -> tuple[Kind, ...]:
    small, middle, large = amounts.pop3
    firsts, visits = (1, 11, 21), amounts.visits
    few, some, many = (_users(first, count) for first, count in zip(firsts, reversed(amounts.users), strict=True))
    return (
        Kind("100", small, many, visits),
        Kind("10000", middle, some, max(1, visits // 5)),
        Kind("100000", large, few, max(1, visits // 16)),
        Kind("fetch-100", small, many, max(1, visits // 5), fetch=True),
    )


class Fetched:
    """One server, and where it answers."""

    def __init__(self, server: Mailstack | Dovecot, port: int) -> None:
        self.server, self.port = server, port

    def fill(self, pool: pathlib.Path, kinds: tuple[Kind, ...]) -> None:
        for kind in kinds:
            maildirs = [self.server.mail / "example.org" / user for user in kind.users]
            pop3.fill(pool, [each for each in maildirs if not each.exists()], kind.messages)

    def run(self, kind: Kind) -> pop3.Run:
        mode = "fetch" if kind.fetch else "check"
        return pop3.run(self.port, self.server.pid(), kind.users, mode, kind.sessions)

    def memory(self, kind: Kind) -> float:
        return pop3.memory_a_message(self.port, self.server.pid(), kind.users, kind.messages)


def beside_dovecot(setting: Setting) -> Iterator[Row]:
    all_kinds = kinds(setting.amounts)
    folder = setting.folder("pop3")
    users = sorted({user for kind in all_kinds for user in kind.users})
    ports = {OURS: free_port(), "dovecot": free_port()}
    ours = setting.ours(folder / OURS, users=users, pop3=ports[OURS])
    theirs = Dovecot(folder / "dovecot", ports["dovecot"], users)
    servers = {OURS: Fetched(ours, ports[OURS]), "dovecot": Fetched(theirs, ports["dovecot"])}
    for each in servers.values():
        each.fill(folder / "letters", all_kinds)
    call("chown", "-R", f"{OWNER}:{OWNER}", folder / "letters", theirs.mail)
    with ours, theirs:
        largest = all_kinds[2]
        yield setting.compare("memory-listed", servers, lambda each: each.memory(largest), rounds=1)
        for kind in all_kinds:
            runs = by_turns(servers, lambda each, k=kind: each.run(k), setting.amounts.rounds)
            rates = {name: [run.rate for run in done] for name, done in runs.items()}
            computed = {name: [run.cpu for run in done] for name, done in runs.items()}
            yield Row(f"pop3-{'' if kind.fetch else 'check-'}{kind.key}", rates[OURS], rates["dovecot"])
            yield Row(f"pop3-cpu-{kind.key}", computed[OURS], computed["dovecot"])


# ---- By size

WARM = "warm"  # whose session comes before all that is measured


@define
class Sizes:
    """One mailbox of each size for deliveries, where letters lie in ``new``, and one for sessions, in ``cur``."""

    setting: Setting
    lengths: tuple[int, ...]
    folder: pathlib.Path

    def by_size(self) -> Series:
        users = [WARM, *(f"{way}{length}" for length in self.lengths for way in ("d", "c"))]
        ports = {OURS: free_port(), "dovecot": free_port()}
        ours = self.setting.ours(self.folder / OURS, users=users, pop3=ports[OURS])
        postfix = self.setting.postfix(self.folder / "postfix", users=users)
        dovecot = Dovecot(self.folder / "dovecot", ports["dovecot"], users)
        for server in (ours, postfix):
            self._fill([server.mail], "d", "new")
        for server in (ours, dovecot):
            self._fill([server.mail], "c", "cur")
            pop3.fill(self.folder / "letters", [server.mail / "example.org" / WARM], 1)
        call("chown", "-R", f"{OWNER}:{OWNER}", postfix.mail, dovecot.mail, self.folder / "letters")
        with ours, postfix, dovecot:
            lines: dict[str, list[tuple[float, float]]] = {}
            for port in ports.values():
                pop3.session(port, WARM, fetch=False)
            # By turns, and each size in every round: what the machine does meanwhile strikes all alike.
            deliveries = {OURS: ours, "postfix": postfix}
            for server in deliveries.values():
                self._deliver(server, self.lengths[0])
            for length in self.lengths:
                found = by_turns(deliveries, lambda server, n=length: self._deliver(server, n), self._rounds())
                _note(lines, "delivery", length, found)
                found = by_turns(ports, lambda port, n=length: self._first(port, n), 1)
                _note(lines, "first check", length, found)
                found = by_turns(ports, lambda port, n=length: self._check(port, n), self._rounds())
                _note(lines, "check", length, found)
        return Series("mailbox", lines)

    def _rounds(self) -> int:
        return min(3, self.setting.amounts.rounds)

    def _fill(self, roots: list[pathlib.Path], way: str, part: str) -> None:
        for root in roots:
            for length in self.lengths:
                pop3.fill(self.folder / "letters", [root / "example.org" / f"{way}{length}"], length, part)

    def _deliver(self, server: Mailstack | Postfix, length: int) -> float:
        """Milliseconds of the server's processor for a letter."""
        messages = self.setting.amounts.part(0.25)
        maildir = server.mail / "example.org" / f"d{length}"
        before = pop3.processor(server.pid())
        load.inbound(server.port, [maildir], f"d{length}@example.org", Shape(messages, keep_open=True))
        time.sleep(0.2)  # what is done after the letter has arrived: its rows go
        return (pop3.processor(server.pid()) - before) * 1e3 / messages

    def _first(self, port: int, length: int) -> float:
        """Milliseconds of the first session: indexes are made."""
        start = time.perf_counter()
        pop3.session(port, f"c{length}", fetch=False)
        return (time.perf_counter() - start) * 1e3

    def _check(self, port: int, length: int) -> float:
        """Milliseconds of a session, the median of some."""
        times = [self._first(port, length) for _ in range(9 if length < 100_000 else 3)]
        return load.percentile(times, 0.5)


def _note(lines: dict[str, list[tuple[float, float]]], what: str, x: float, found: dict[str, list[float]]) -> None:
    for name, figures in found.items():
        lines.setdefault(f"{what}, {name}", []).append((x, load.percentile(figures, 0.5)))


def by_size(setting: Setting) -> Iterator[Series]:
    yield Sizes(setting, setting.amounts.mailbox, setting.folder("mailbox")).by_size()
