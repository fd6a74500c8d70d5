"""``mailstack queue summary``: what waits, and since when, at a glance."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from mailstack.admin.age_plot import svg
from mailstack.admin.output import clean, json_out
from mailstack.admin.site import Failed, Site
from mailstack.config.settings import DAY, HOUR, MINUTE
from mailstack.model.entry import Ages
from mailstack.model.selection import STATES

#: What letters may be counted by, with the heading of the column.
KEYS = {"destination": "DESTINATION", "domain": "DOMAIN", "sender": "SENDER"}
_STEPS = (5 * MINUTE, 10 * MINUTE, 20 * MINUTE, 40 * MINUTE, 80 * MINUTE, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY)
_UNITS = (("d", DAY), ("h", HOUR), ("m", MINUTE))
ROWS = 50  # drawn, and told to people; the others are summed up
NAME = 20  # columns that a name has at least, however narrow the terminal


@click.command()
@click.option("--by", type=click.Choice(list(KEYS)), default="destination", show_default=True, help="Count by this.")
@click.option("--state", type=click.Choice(STATES), multiple=True, help="Only recipients in this state.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Draw it: .svg or .png.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array, an object a row, the total first.")
@click.pass_obj
def summary(site: Site, by: str, state: tuple[str, ...], plot: Path | None, as_json: bool) -> None:
    """How many letters wait for what, by their age.

    A column counts letters up to that age, and above that of the column before. A letter that waits for several
    destinations stands in each of their rows, but once in the total.
    """
    if plot is not None and plot.suffix not in (".svg", ".png"):
        raise click.UsageError("--plot: the name must end with .svg or .png.")
    ages = site.queue.ages(by, state or STATES, steps(site.settings.queue.lifetime), site.now())
    if plot is not None:
        _draw(plot, ages, by)
    if as_json:
        json_out([_object(by, name, counts, ages) for name, counts in _all(ages)] if any(ages.total) else [])
    elif any(ages.total):
        click.echo("\n".join(_table(ages, by)))
    else:
        click.echo("Nothing waits.")


def steps(lifetime: float) -> tuple[float, ...]:
    """Each about twice the one before, the last is the lifetime."""
    found = list(_STEPS)
    while found[-1] < lifetime:
        found.append(2 * found[-1])
    return (*(step for step in found if step < lifetime), lifetime)


def label(step: float) -> str:
    return next((f"{step / size:g}{unit}" for unit, size in _UNITS if step % size == 0), f"{step:g}s")


def _labels(ages: Ages) -> list[str]:
    return [*map(label, ages.steps), f"{label(ages.steps[-1])}+"]


def _all(ages: Ages) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "TOTAL", ages.total
    yield from ages.rows.items()


def _name(by: str, key: str) -> str:
    return key or ("<>" if by == "sender" else "-")


def _table(ages: Ages, by: str) -> Iterator[str]:
    shown = list(_all(ages))[: ROWS + 1]
    labels = ["T", *_labels(ages)]
    rows = [
        (key if not number else _name(by, key), [sum(counts), *counts]) for number, (key, counts) in enumerate(shown)
    ]
    columns = list(zip(labels, *(map(str, counts) for _, counts in rows), strict=True))
    widths = [max(map(len, column)) for column in columns]
    first = min(max(len(KEYS[by]), *(len(clean(name)) for name, _ in rows)), _room(sum(widths) + len(widths)))
    heading = " ".join(each.rjust(width) for each, width in zip(labels, widths, strict=True))
    yield click.style(f"{KEYS[by]:<{first}} {heading}", bold=True)
    for name, counts in rows:
        numbers = " ".join((str(n) if n else ".").rjust(width) for n, width in zip(counts, widths, strict=True))
        yield f"{_cut(clean(name), first):<{first}} {numbers}"
    if len(ages.rows) > ROWS:
        yield f"and {len(ages.rows) - ROWS} more; all: --json"


def _room(numbers: int) -> int:
    """Columns for the names: as many as a terminal leaves beside the numbers, elsewhere any."""
    if not sys.stdout.isatty():
        return sys.maxsize
    return max(NAME, shutil.get_terminal_size().columns - numbers)


def _cut(name: str, width: int) -> str:
    """The end of a name tells more than its beginning."""
    return name if len(name) <= width else f"…{name[1 - width :]}"


def _object(by: str, name: str, counts: tuple[int, ...], ages: Ages) -> Mapping[str, object]:
    return {by: name, "letters": sum(counts), "ages": dict(zip(_labels(ages), counts, strict=True))}


def _draw(path: Path, ages: Ages, by: str) -> None:
    rows = [(_name(by, key), counts) for key, counts in ages.rows.items()]
    picture = svg(
        f"Letters in the queue, by {by} and age", KEYS[by].capitalize(), _labels(ages), rows[:ROWS], len(rows)
    )
    if path.suffix == ".svg":
        path.write_text(picture, "utf-8")
        return
    try:
        from resvg_py import svg_to_bytes  # here, because only pictures need it, and it need not be there
    except ImportError:
        raise Failed("a .png needs a library: pip install 'mailstack[plot]'. An .svg needs none") from None
    path.write_bytes(bytes(svg_to_bytes(svg_string=picture, zoom=2)))
