"""Plots as SVG, written by hand: bars on a scale of ratios, and panels of curves.

Colours are those of Okabe and Ito, which people tell apart however they see colours; each line also has a mark of its
own, and its name stands beside it or in the legend, so that grey is enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from math import ceil, floor, log10

from attrs import frozen

WIDTH = 960
FONT = "DejaVu Sans, Helvetica, Arial, sans-serif"
GREY = "#666"
MARGIN = 24


def _document(height: int, title: str, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
        f' font-family="{FONT}" font-size="13" fill="#222">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        _text(MARGIN, 32, title, size=18),
    )
    return "\n".join([*head, *parts, "</svg>", ""])


def _text(x: float, y: float, text: str, anchor: str = "start", size: int = 0, fill: str = "") -> str:
    more = (f' font-size="{size}"' if size else "") + (f' fill="{fill}"' if fill else "")
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, stroke: str = "#ddd", more: str = "") -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}"{more}/>'


def short(value: float) -> str:
    """1,000 and more in thousands or millions."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


# ---- Bars


@frozen
class Bar:
    """How many times better than the peer, and what was wanted."""

    name: str
    value: float
    floor: float
    aim: float


MET = "#0072b2", "floor and aim"
HALF = "#56b4e9", "floor"
MISSED = "#d55e00", "neither"
BAR, GAP = 16, 10
LEFT, RIGHT, TOP = 430, 60, 104


def _verdict(bar: Bar) -> tuple[str, str]:
    return MET if bar.value >= bar.aim else HALF if bar.value >= bar.floor else MISSED


def ratios(title: str, bars: Sequence[Bar]) -> str:
    """From 1, where both are alike, to the right what is better, to the left what is worse."""
    every = [number for bar in bars for number in (bar.value, bar.floor, bar.aim)]
    ticks = _ratio_ticks(min([0.5, *every]), max([2.0, *every]))
    scale = Scale(ticks[0], ticks[-1], LEFT, WIDTH - RIGHT, log=True)
    bottom = TOP + len(bars) * (BAR + GAP)
    parts = [*_bar_legend()]
    for tick in ticks:
        stroke = "#444" if tick == 1 else "#ddd"
        parts += [_line(scale(tick), TOP - 8, scale(tick), bottom, stroke)]
        parts += [_text(scale(tick), bottom + 18, f"{tick:g}", "middle")]
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, bottom + 42, "times better than the peer", "middle", fill=GREY))
    for number, bar in enumerate(bars):
        parts += _bar(bar, TOP + number * (BAR + GAP), scale)
    return _document(bottom + 60, title, parts)


def _ratio_ticks(low: float, high: float) -> list[float]:
    all_ticks = [factor * 10.0**power for power in range(-3, 5) for factor in (1, 2, 5)]
    first = max(tick for tick in all_ticks if tick <= low)
    last = min(tick for tick in all_ticks if tick > high)
    return [tick for tick in all_ticks if first <= tick <= last]


def _bar_legend() -> Iterator[str]:
    x = float(LEFT)
    yield _text(LEFT - 10, 66, "reached:", "end", fill=GREY)
    for colour, meaning in (MET, HALF, MISSED):
        yield f'<rect x="{x:.1f}" y="55" width="18" height="13" fill="{colour}"/>'
        yield _text(x + 24, 66, meaning)
        x += 60 + 8 * len(meaning)
    yield _line(x, 53, x, 70, "#000", ' stroke-width="2"')
    yield _text(x + 8, 66, "floor")
    yield from _diamond(x + 66, 61)
    yield _text(x + 78, 66, "aim")


def _diamond(x: float, y: float) -> Iterator[str]:
    points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in ((0, -6), (6, 0), (0, 6), (-6, 0)))
    yield f'<polygon points="{points}" fill="#fff" stroke="#000" stroke-width="1.5"/>'


def _bar(bar: Bar, y: float, scale: Scale) -> Iterator[str]:
    colour, meaning = _verdict(bar)
    here, one = scale(bar.value), scale(1)
    yield _text(LEFT - 10, y + 13, bar.name, "end")
    hint = f"<title>{escape(bar.name)}: {bar.value:.2f}, reached: {meaning}</title>"
    yield (
        f'<rect x="{min(here, one):.1f}" y="{y}" width="{max(1.0, abs(here - one)):.1f}" height="{BAR}"'
        f' fill="{colour}">{hint}</rect>'
    )
    yield _line(scale(bar.floor), y - 3, scale(bar.floor), y + BAR + 3, "#000", ' stroke-width="2"')
    yield from _diamond(scale(bar.aim), y + BAR / 2)
    # Behind all marks, so that none of them stands on it.
    end = max(here, one, scale(bar.floor) + 2, scale(bar.aim) + 6)
    yield _text(end + 5, y + 13, f"{bar.value:.2g}" if bar.value < 10 else f"{bar.value:.0f}", size=12)


# ---- Curves


@frozen
class Scale:
    """From values to places."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, here = (self.low, self.high, value)
        if self.log:
            low, high, here = log10(low), log10(high), log10(max(value, self.low))
        return self.start + (here - low) / (high - low) * (self.end - self.start)


@frozen
class Curve:
    name: str
    points: Sequence[tuple[float, float]]


@frozen
class Panel:
    """One system of axes; x is logarithmic, y if that is said. ``y`` is the unit."""

    title: str
    x: str
    y: str
    curves: Sequence[Curve]
    log: bool = False


COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
PANEL_WIDTH, PANEL_HEIGHT = 440, 320
TICKS = 5


def panels(title: str, all_panels: Sequence[Panel]) -> str:
    """Two in a row."""
    parts: list[str] = []
    for number, panel in enumerate(all_panels):
        x = MARGIN + number % 2 * (PANEL_WIDTH + 32)
        parts += _panel(panel, x, 56 + number // 2 * PANEL_HEIGHT)
    return _document(56 + ceil(len(all_panels) / 2) * PANEL_HEIGHT, title, parts)


def _panel(panel: Panel, left: float, top: float) -> Iterator[str]:
    xs = sorted({x for curve in panel.curves for x, _ in curve.points})
    ys = [y for curve in panel.curves for _, y in curve.points]
    legend = 18 * len(panel.curves) if len(panel.curves) > 1 else 0
    x0, x1, y0, y1 = left + 52, left + PANEL_WIDTH - 12, top + PANEL_HEIGHT - 66, top + 34 + legend
    ticks = _decades(ys) if panel.log else _even(max(ys))
    across = Scale(xs[0], max(xs[-1], xs[0] * 10), x0, x1, log=True)
    up = Scale(ticks[0], ticks[-1], y0, y1, log=panel.log)
    yield _text(left, top + 14, f"{panel.title}, {panel.y}", size=14)
    for number, curve in enumerate(panel.curves if legend else ()):
        yield from _key(left + 52, top + 34 + 18 * number, number, curve.name)
    for tick in ticks:
        yield _line(x0, up(tick), x1, up(tick))
        yield _text(x0 - 6, up(tick) + 4, short(tick), "end", size=12)
    for x in _spread(xs, across):
        yield _line(across(x), y0, across(x), y0 + 4, "#444")
        yield _text(across(x), y0 + 18, short(x), "middle", size=12)
    yield _line(x0, y0, x1, y0, "#444")
    yield _text((x0 + x1) / 2, y0 + 38, panel.x, "middle", size=12, fill=GREY)
    for number, curve in enumerate(panel.curves):
        yield from _curve(number, [(across(x), up(y), x, y) for x, y in curve.points], panel.y)


def _even(most: float) -> list[float]:
    """From 0, in steps of 1, 2 or 5."""
    rough = (most or 1.0) / TICKS
    power = 10.0 ** floor(log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    return [float(f"{number * step:.6g}") for number in range(ceil((most or 1.0) / step - 1e-9) + 1)]


def _decades(values: Sequence[float]) -> list[float]:
    positive = [value for value in values if value > 0] or [1.0]
    first, last = floor(log10(min(positive))), ceil(log10(max(positive)) - 1e-9)
    return [10.0**power for power in range(first, max(last, first + 1) + 1)]


def _spread(xs: Sequence[float], across: Scale) -> list[float]:
    """Those that have room for their labels."""
    chosen: list[float] = []
    for x in xs:
        if not chosen or across(x) - across(chosen[-1]) >= 34:
            chosen.append(x)
    return chosen


def _key(x: float, y: float, number: int, name: str) -> Iterator[str]:
    yield _line(x, y - 4, x + 26, y - 4, COLOURS[number], f' stroke-width="2"{_dashes(number)}')
    yield _mark(number, x + 13, y - 4)
    yield _text(x + 34, y, name, size=12)


def _dashes(number: int) -> str:
    return ("", ' stroke-dasharray="7 3"', ' stroke-dasharray="2 3"', ' stroke-dasharray="9 3 2 3"')[number]


def _mark(number: int, x: float, y: float, hint: str = "") -> str:
    fill = f'fill="{COLOURS[number]}"'
    inside = f"<title>{escape(hint)}</title>" if hint else ""
    if number == 0:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" {fill}>{inside}</circle>'
    if number == 1:
        return f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" {fill}>{inside}</rect>'
    tip = -5 if number == 2 else 5
    points = f"{x - 5:.1f},{y - tip * 0.8:.1f} {x + 5:.1f},{y - tip * 0.8:.1f} {x:.1f},{y + tip:.1f}"
    return f'<polygon points="{points}" {fill}>{inside}</polygon>'


def _curve(number: int, points: Sequence[tuple[float, float, float, float]], unit: str) -> Iterator[str]:
    path = " ".join(f"{px:.1f},{py:.1f}" for px, py, _, _ in points)
    yield f'<polyline points="{path}" fill="none" stroke="{COLOURS[number]}" stroke-width="2"{_dashes(number)}/>'
    for px, py, x, y in points:
        yield _mark(number, px, py, f"{short(x)}: {y:g} {unit}")
