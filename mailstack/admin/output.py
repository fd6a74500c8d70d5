"""How answers look: tables for people, JSON for scripts."""

from __future__ import annotations

import codecs
import json
import re
import sys
from collections.abc import Iterable, Sequence
from textwrap import indent
from unicodedata import east_asian_width

import click

from mailstack.admin.clean import clean as clean
from mailstack.model.moment import written

GAP = "  "  # between two columns
_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character, or an octet that is none
UNITS = ("KiB", "MiB", "GiB")


def json_out(value: object) -> None:
    click.echo(_json(value))


def json_stream(values: Iterable[object]) -> None:
    """The same as :func:`json_out` of a list, while it comes."""
    number = 0
    for number, value in enumerate(values, 1):
        click.echo(("[\n" if number == 1 else ",\n") + indent(_json(value), "  "), nl=False)
    click.echo("\n]" if number else "[]")


def _json(value: object) -> str:
    """In any script, where the output can have it; and a file's name may be no text at all."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    text = json.dumps(value, indent=2, ensure_ascii=codecs.lookup(encoding).name != "utf-8")
    return text if _SURROGATE.search(text) is None else json.dumps(value, indent=2)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with aligned columns; the cells become clean."""
    cells = [[clean(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    lines = [GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *cells)]
    return [click.style(lines[0].rstrip(), bold=True), *(line.rstrip() for line in lines[1:])]


def utc(time: float | None) -> str | None:
    """ISO 8601, in whole seconds."""
    return None if time is None else written(time)


def size(octets: int) -> str:
    if octets < 1024:
        return str(octets)
    amount, unit = octets / 1024, 0
    while amount >= 1024 and unit < len(UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.1f} {UNITS[unit]}"


def padded(text: str, width: int) -> str:
    """To a width in columns of a terminal, where Chinese takes two a character."""
    return text + " " * (width - sum(2 if east_asian_width(char) in "WF" else 1 for char in text))


def count(number: int, thing: str, things: str | None = None) -> str:
    """``1 letter``, ``2,000 letters``."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"
