"""A picture of the queue: a bar for each row, in as many colours as there are ages. SVG, written by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from math import ceil, log10

#: Viridis, from new (light) to old (dark): its lightness falls evenly, also for who sees few colours, and in print.
_VIRIDIS = ((253, 231, 37), (94, 201, 98), (33, 145, 140), (59, 82, 139), (68, 1, 84))

WIDTH = 960
BAR, GAP = 14, 6
LEFT, RIGHT, TOP, BOTTOM = 250, 70, 110, 56
NAME = 33  # characters of a name that have room
TICKS = 6
THIN = 3

Row = tuple[str, Sequence[int]]


def svg(title: str, names: str, labels: Sequence[str], rows: Sequence[Row], all_rows: int) -> str:
    """``labels`` are the ages, ``rows`` a name and the number of letters of each age; ``all_rows`` is how many rows
    there are, of which these are the first."""
    height = TOP + max(1, len(rows)) * (BAR + GAP) + BOTTOM
    most = max((sum(counts) for _, counts in rows), default=0)
    step = nice_step(most)
    scale = (WIDTH - LEFT - RIGHT) / (step * max(1, ceil(most / step)))
    colours = [_colour(number / max(1, len(labels) - 1)) for number in range(len(labels))]
    more = f"; the {len(rows)} largest of {all_rows}" if all_rows > len(rows) else ""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
        ' font-family="DejaVu Sans, Helvetica, Arial, sans-serif" font-size="12" fill="#222">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="24" y="32" font-size="18">{escape(title)}{more}</text>',
        *_legend(labels, colours),
        *_axis(step, most, scale, height - BOTTOM),
        f'<text x="{LEFT - 10}" y="{TOP - 10}" text-anchor="end" fill="#555">{escape(names)}</text>',
        *(part for number, row in enumerate(rows) for part in _bar(number, row, labels, colours, scale)),
    ]
    if not rows:
        parts.append(f'<text x="{LEFT}" y="{TOP + 11}">Nothing waits.</text>')
    return "\n".join([*parts, "</svg>", ""])


def nice_step(most: int) -> int:
    """Between two lines of the axis: 1, 2 or 5 times a power of ten, whole."""
    rough = max(1.0, most / TICKS)
    power = 10 ** int(log10(rough))
    return int(next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough))


def _colour(share: float) -> str:
    """From 0 for the newest to 1 for the oldest."""
    place = share * (len(_VIRIDIS) - 1)
    lower = min(int(place), len(_VIRIDIS) - 2)
    mixed = (a + (b - a) * (place - lower) for a, b in zip(_VIRIDIS[lower], _VIRIDIS[lower + 1], strict=True))
    return "#" + "".join(f"{round(value):02x}" for value in mixed)


def _legend(labels: Sequence[str], colours: Sequence[str]) -> Iterator[str]:
    """What the colours mean, in the order of the bars."""
    width = (WIDTH - LEFT - RIGHT) / len(labels)
    yield f'<text x="{LEFT - 10}" y="67" text-anchor="end" fill="#555">Age, up to</text>'
    for number, (label, colour) in enumerate(zip(labels, colours, strict=True)):
        x = LEFT + number * width
        yield f'<rect x="{x:.1f}" y="56" width="{width - 2:.1f}" height="14" fill="{colour}" stroke="#888"/>'
        yield f'<text x="{x + width / 2:.1f}" y="84" text-anchor="middle" font-size="11">{escape(label)}</text>'


def _axis(step: int, most: int, scale: float, bottom: int) -> Iterator[str]:
    for number in range(max(1, ceil(most / step)) + 1):
        x = LEFT + number * step * scale
        yield f'<line x1="{x:.1f}" y1="{TOP - 4}" x2="{x:.1f}" y2="{bottom}" stroke="#ddd"/>'
        yield f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{number * step:,}</text>'
    middle = LEFT + (WIDTH - LEFT - RIGHT) / 2
    yield f'<text x="{middle:.1f}" y="{bottom + 38}" text-anchor="middle" fill="#555">Letters</text>'


def _bar(number: int, row: Row, labels: Sequence[str], colours: Sequence[str], scale: float) -> Iterator[str]:
    name, counts = row
    y, x = TOP + number * (BAR + GAP), float(LEFT)
    short = name if len(name) <= NAME else f"…{name[1 - NAME :]}"
    yield f'<text x="{LEFT - 10}" y="{y + 11}" text-anchor="end">{_text(short)}<title>{_text(name)}</title></text>'
    for count, label, colour in zip(counts, labels, colours, strict=True):
        if count:
            width = count * scale
            hint = f"<title>{_text(name)}, {escape(label)}: {count:,}</title>"
            place = f'x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR}"'
            # A line around a piece that is as thin as itself would hide its colour.
            line = ' stroke="#fff" stroke-width="0.5"' if width > THIN else ""
            yield f'<rect {place} fill="{colour}"{line}>{hint}</rect>'
            x += width
    yield f'<text x="{x + 6:.1f}" y="{y + 11}">{sum(counts):,}</text>'


def _text(text: str) -> str:
    """What XML can have."""
    return escape("".join(char if char.isprintable() else "?" for char in text))
