"""Which copies of which letters there must be, and which were seen."""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter
from collections.abc import Iterable
from threading import Lock

from attrs import define, field

from tests.soak.places import BOUNCE

_SUBJECT = re.compile(rb"^Subject: letter (\w+) ([0-9a-f]{32})$", re.MULTILINE)
#: Lines of any octets but CR and LF, in pieces that differ, so that no part can stand for another.
_LETTERS = bytes(range(0x20, 0x7F))
LINE = 72


def letter(name: str, octets: int, rng: random.Random) -> bytes:
    """With CRLF, not dot-stuffed; its subject has the checksum of its body."""
    lines = [b".a dot", b"..", b""]
    while octets > 0:
        lines.append(bytes(rng.choices(_LETTERS, k=LINE)))
        # Most of a large letter is one line again and again: to make it is not what is measured.
        lines += [lines[-1]] * min(20, octets // (LINE * 2))
        octets -= (LINE + 2) * (1 + min(20, octets // (LINE * 2)))
    body = b"\n".join([*lines, b""])
    subject = b"Subject: letter %s %s" % (name.encode(), _sum(body))
    return (subject + b"\n\n" + body).replace(b"\n", b"\r\n")


def _sum(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest()[:32].encode()


@define
class Ledger:
    """Every method may be called from any thread. A copy is a letter's name and its place: an address, or BOUNCE."""

    problems: list[str] = field(factory=list)
    acknowledged: int = 0  #: letters
    octets: int = 0  #: of all copies that were seen
    _offered: dict[str, bytes] = field(factory=dict)  #: checksums of all letters that somebody began to send
    _expected: Counter[tuple[str, str]] = field(factory=Counter)
    _seen: Counter[tuple[str, str]] = field(factory=Counter)
    _lock: Lock = field(factory=Lock)

    def offer(self, name: str, content: bytes) -> None:
        """Before it is sent: from now on it may be seen."""
        said = _SUBJECT.search(content.replace(b"\r\n", b"\n"))
        assert said is not None
        with self._lock:
            self._offered[name] = said[2]

    def acknowledge(self, name: str, places: Iterable[str]) -> None:
        """These copies must be seen in the end."""
        with self._lock:
            self.acknowledged += 1
            self._expected.update((name, place) for place in places)

    def see(self, content: bytes, place: str) -> None:
        """A copy of a letter, or a report about one, as stored or as relayed."""
        text = content.replace(b"\r\n", b"\n")
        report = b"report-type=delivery-status" in text.partition(b"\n\n")[0]
        said = _SUBJECT.search(text)
        name = said[1].decode() if said else ""
        with self._lock:
            self.octets += len(content)
            if said is None or self._offered.get(name) != said[2]:
                self.problems.append(f"unexpected at {place}: {text[:300]!r}")
            elif not report and _sum(text.partition(b"\n\n")[2]) != said[2]:
                self.problems.append(f"damaged: {name} at {place}, {len(text)} octets")
            else:
                self._seen[name, BOUNCE if report else place] += 1

    def complain(self, problem: str) -> None:
        with self._lock:
            self.problems.append(problem)

    @property
    def copies(self) -> int:
        with self._lock:
            return self._seen.total()

    @property
    def bounces(self) -> int:
        with self._lock:
            return sum(number for (_, place), number in self._seen.items() if place == BOUNCE)

    def missing(self) -> list[tuple[str, str]]:
        """Acknowledged and not seen yet."""
        with self._lock:
            return sorted((self._expected - self._seen).elements())

    def surplus(self) -> list[tuple[str, str]]:
        """Seen more often than acknowledged."""
        with self._lock:
            return sorted((self._seen - self._expected).elements())

    def judge(self) -> list[str]:
        """All that must not be, when everything has come to its end."""
        lost = [f"lost: {name} for {place}" for name, place in self.missing()]
        return [*self.problems, *lost, *(f"more than once, or not wanted: {each}" for each in self.surplus())]
