"""Golden dialogues: what both sides say, as data.

A file holds lines of these kinds; everything else is an error::

    # a comment
    @ key value          a setting, for the runner to understand; anywhere in the file
    C: EHLO client       the client sends this line and CRLF
    c: raw\\x00octets     the client sends just this; Python's escapes are understood in both
    S: 250 ok            the server must answer exactly this line
    S~ 250 .*            the server must answer a line that matches this regular expression
    S* 250               the server must answer a whole reply with this code, whatever its lines say
    S+ 250 HELP | !AUTH  the server must answer a whole reply with this code; in it stands the line that begins with the
                         one, and none that begins with the other
    ---                  the server has closed the connection

``C:`` lines that follow one another are sent together, as a pipelining client does.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from attrs import frozen

#: Cuts what the client sends into the pieces that arrive.
Cut = Callable[[bytes], list[bytes]]


def _at_random(data: bytes, seed: int) -> list[bytes]:
    chance = random.Random(seed)
    cuts = sorted(chance.sample(range(1, len(data)), min(len(data) - 1, chance.randrange(1, 12)))) if data else []
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


CUTS: dict[str, Cut] = {
    "whole": lambda data: [data],
    "bytewise": lambda data: [data[i : i + 1] for i in range(len(data))],
    **{f"random{seed}": lambda data, seed=seed: _at_random(data, seed) for seed in range(5)},  # type: ignore[misc]
}


@frozen
class Step:
    """One line of a dialogue: ``kind`` is ``C``, ``S``, ``S~``, ``S*``, ``S+``, ``@`` or ``---``."""

    kind: str
    text: str
    number: int

    @property
    def octets(self) -> bytes:
        return self.text.encode("latin-1")


def read(path: Path) -> list[Step]:
    return list(_steps(path.read_text("utf-8").splitlines()))


def _steps(lines: list[str]) -> Iterator[Step]:
    for number, line in enumerate(lines, 1):
        kind, text = line[:3], line[3:]
        if not line.strip() or line.startswith("#"):
            continue
        if line == "---":
            yield Step("---", "", number)
        elif line.startswith("@ "):
            yield Step("@", line[2:], number)
        elif kind in ("C: ", "c: "):
            raw = text.encode("utf-8").decode("unicode_escape") if "\\" in text else text.encode().decode("latin-1")
            yield Step("C", raw + ("\r\n" if kind == "C: " else ""), number)
        elif kind == "S: ":
            yield Step("S", text, number)
        elif kind in ("S~ ", "S* ", "S+ "):
            yield Step(kind.rstrip(), text, number)
        else:
            raise ValueError(f"line {number}: {line!r}")


def check(
    steps: list[Step],
    send: Callable[[bytes], bytes],
    closed: Callable[[], bool],
    setting: Callable[[str, str], None],
    cut: Cut,
) -> None:
    """Play the client, compare the server. ``send`` takes a piece and returns what the server says then."""
    heard = send(b"")
    said = b""
    for step in steps:
        if step.kind == "C":
            said += step.octets
            continue
        for piece in cut(said):
            heard += send(piece)
        said = b""
        if step.kind == "@":
            key, _, value = step.text.partition(" ")
            setting(key, value)
            heard += send(b"")
        elif step.kind == "---":
            assert closed(), f"line {step.number}: the connection is still open; unread: {heard!r}"
        else:
            heard = _hear(step, heard)
    for piece in cut(said):
        heard += send(piece)
    assert not heard, f"more than expected: {heard!r}"


def _hear(step: Step, heard: bytes) -> bytes:
    """Take a line off what was heard, or a reply with all its lines."""
    lines = []
    while True:
        line, found, heard = heard.partition(b"\r\n")
        assert found, f"line {step.number}: no answer, expected {step.text!r}; unread: {line!r}"
        lines.append(line.decode("utf-8"))
        if step.kind not in ("S*", "S+"):
            _compare(step, lines[-1])
            return heard
        assert lines[-1][:3] == step.text[:3], f"line {step.number}: {lines[-1]!r}, expected {step.text!r}"
        if line[3:4] != b"-":
            _look_for(step, [each[4:] for each in lines])
            return heard


def _compare(step: Step, line: str) -> None:
    if step.kind == "S~":
        assert re.fullmatch(step.text, line), f"line {step.number}: {line!r} does not match {step.text!r}"
    else:
        assert line == step.text, f"line {step.number}: {line!r}, expected {step.text!r}"


def _look_for(step: Step, lines: list[str]) -> None:
    """``S+`` names beginnings of lines."""
    for word in filter(None, step.text[4:].split(" | ")):
        there = any(line.startswith(word.removeprefix("!")) for line in lines)
        assert there != word.startswith("!"), f"line {step.number}: {step.text!r}, but the lines are {lines}"
