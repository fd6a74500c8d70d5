"""What was sent, what became of it, and how often it may have come twice."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from random import Random

from attrs import Factory, define, field

from tests.simulation.wire import End, Wire

TOKEN = re.compile(rb"X-Token: (T\d+)")
END_OF_DATA = b"\r\n.\r\n"


@define
class Posted:
    """A message, as somebody wants it to be sent."""

    token: str
    sender: str  #: "" is the null sender
    to: tuple[str, ...]
    content: bytes  #: LF line ends
    stranger: bool = False  #: wants us to relay, and must not succeed
    accepted: list[str] = Factory(
        list
    )  #: of ``to``, those that the server has agreed to, in the transaction that counts
    acknowledged: int = 0  #: how often a client has heard 250
    acknowledged_at: float = 0.0
    refused: bool = False

    @property
    def wire(self) -> bytes:
        """With CRLF and dots, and the end of data."""
        return (
            b"\r\n".join(b"." + line if line.startswith(b".") else line for line in self.content.split(b"\n"))
            + b".\r\n"
        )


@define
class Arrived:
    """A copy in somebody's hands, for good. ``whole``: it is what was sent."""

    token: str
    address: str
    whole: bool


@define
class Told:
    """A report about a letter that came to its sender."""

    token: str
    action: str
    address: str


@define
class Ledger:
    posted: dict[str, Posted] = Factory(dict)
    #: by letter and address of the machine that has heard it: how often nobody could know whether it was taken
    doubts: Counter[tuple[str, str]] = field(factory=Counter)
    far: list[Arrived] = Factory(list)  #: what foreign servers have taken
    far_told: list[Told] = Factory(list)
    unheard: set[str] = Factory(set)  #: letters of which a report was given up, for its own reasons

    def doubt(self, token: str, address: str) -> None:
        self.doubts[token, address] += 1

    def wire_is_over(self, wire: Wire) -> None:
        """A letter whose end had come to the other side, but not the answer: it may have been taken, or not."""
        for token, heard in transactions(wire.caller, wire.caller.arrived, wire.callee.arrived):
            if not heard:
                self.doubt(token, wire.caller.getPeer().host)

    def crashed(self, wires: Sequence[Wire], since: float) -> None:
        """The answers that a machine has heard after ``since`` may not be recorded."""
        for wire in wires:
            before = max((count for at, count in wire.callee.moments if at < since), default=0)
            old = sum(1 for _, heard in transactions(wire.caller, wire.caller.arrived, before) if heard)
            now = [each for each in transactions(wire.caller, wire.caller.arrived, wire.callee.arrived) if each[1]]
            for token, _ in now[old:]:
                self.doubt(token, wire.caller.getPeer().host)


def transactions(caller: End, said: int, answered: int) -> list[tuple[str, bool]]:
    """The letters whose end of data is among so many octets of the caller, and whether the final answer is among so
    many octets that it has heard. An answer to data follows 354; what is pipelined comes behind it."""
    words = bytes(caller.said[:said])
    if b"X-Token" not in words:
        return []
    answers = bytes(caller.other.said[:answered])
    finals = len(re.findall(rb"354 [^\r\n]*\r\n(?:\d\d\d-[^\r\n]*\r\n)*\d\d\d[ ][^\r\n]*\r\n", answers))
    found = []
    place = 0
    while (end := words.find(END_OF_DATA, place)) >= 0:
        token = TOKEN.search(words, place, end)
        place = end + len(END_OF_DATA)
        if token:
            found.append((token[1].decode(), len(found) < finals))
    return found


def compose(rng: Random, number: int, sender: str, to: Sequence[str], stranger: bool = False) -> Posted:
    token = f"T{number:04}"
    head = (
        f"From: {sender or 'nobody@far.test'}\nDate: Sat, 14 Jun 2025 10:00:00 +0000\n"
        f"Message-ID: <{token}@sim.test>\nX-Token: {token}\nSubject: letter {number}\n\n"
    ).encode()
    return Posted(token, sender, tuple(to), head + _body(rng), stranger)


_LINES = (b"hello", b".", b"..", b".dot", b"", b"caf\xc3\xa9", b"From here", b"x" * 900, b"QUIT", b"250 ok")


def _body(rng: Random) -> bytes:
    lines = [rng.choice(_LINES) for _ in range(rng.choice((1, 3, 10)))]
    if rng.random() < 0.08:
        lines.append(b"\n".join([bytes(rng.choices(b"abcdefgh ", k=70))] * rng.choice((100, 1_000, 2_500))))
    return b"\n".join(lines) + b"\n"
