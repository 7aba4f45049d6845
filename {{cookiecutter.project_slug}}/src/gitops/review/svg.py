"""One chart as inline SVG; its colours and line styles are the page's, by the classes `line-1` and `line-2`."""

import math
from collections.abc import Callable
from html import escape
from typing import Any, TypeAlias

WIDTH, HEIGHT = 340, 250
LEFT, TOP, RIGHT, BOTTOM = 50, 34, 12, 46  # margins: for the ticks and names of the axes, and for the legend

Scale: TypeAlias = Callable[[float], float]


def svg(chart: dict[str, Any]) -> str:
    """Draw a chart of `gitops.review.charts`: axes with ticks, a line for each series, and the legend."""
    xs, ys = _scale(chart["x"], LEFT, WIDTH - RIGHT), _scale(chart["y"], HEIGHT - BOTTOM, TOP)
    x_ticks = [_text(xs(tick), HEIGHT - BOTTOM + 16, f"{tick:g}") for tick in ticks(*chart["x"][1:])]
    y_ticks = [_text(LEFT - 6, ys(tick) + 4, f"{tick:g}", "end") for tick in ticks(*chart["y"][1:])]
    grid = [_line("grid", LEFT, ys(tick), WIDTH - RIGHT, ys(tick)) for tick in ticks(*chart["y"][1:])]
    names = [
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, chart["x"][0]),
        f'<g transform="translate(12 {(TOP + HEIGHT - BOTTOM) / 2:g}) rotate(-90)">{_text(0, 0, chart["y"][0])}</g>',
    ]
    series = [part for place, name in enumerate(chart["series"]) for part in _series(chart, place, name, xs, ys)]
    label = escape(f"{chart['title']}: {' and '.join(chart['series'])}")
    start = f'<svg role="img" aria-label="{label}" viewBox="0 0 {WIDTH} {HEIGHT}">'
    return "".join([start, *grid, *x_ticks, *y_ticks, *names, *series, "</svg>"])


def ticks(low: float, high: float) -> list[float]:
    """Return up to eleven round numbers between two limits."""
    if not low < high:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / 5))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power * 5.001 >= high - low)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def _scale(axis: list[Any], start: float, end: float) -> Scale:
    """Return the function from a value to its place in the picture."""
    low, width = axis[1], (axis[2] - axis[1]) or 1
    return lambda value: start + (value - low) / width * (end - start)


def _series(chart: dict[str, Any], place: int, name: str, xs: Scale, ys: Scale) -> list[str]:
    """Return a line and its entry in the legend; what is no number is left out."""
    kind, values = f"line-{place + 1}", chart["series"][name]
    low, high = chart["x"][1:]
    steps = max(1, len(values) - 1)
    points = [(xs(low + (high - low) * step / steps), value) for step, value in enumerate(values)]
    known = [f"{x:.1f},{ys(value):.1f}" for x, value in points if value is not None and math.isfinite(value)]
    at = LEFT + place * 120
    legend = [_line(kind, at, 14, at + 26, 14), _text(at + 32, 18, name, "start")]
    return [f'<polyline class="{kind}" points="{" ".join(known)}"/>', *legend]


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:g}" y1="{y1:.1f}" x2="{x2:g}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
