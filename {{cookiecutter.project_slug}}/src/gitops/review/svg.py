"""One chart as inline SVG; its colours and line styles are the page's, by the classes `line-1` and `line-2`."""

import math
from collections.abc import Callable
from html import escape
from typing import TypeAlias

from gitops.document import Axis, Chart, Series

WIDTH, HEIGHT = 340, 250
LEFT, TOP, RIGHT, BOTTOM = 50, 34, 12, 46  # margins: for the ticks and names of the axes, and for the legend

Scale: TypeAlias = Callable[[float], float]


def line_chart(chart: Chart) -> str:
    """Draw a chart: axes with ticks, a line for each series, and the legend."""
    x_scale, y_scale = _scale(chart.x, LEFT, WIDTH - RIGHT), _scale(chart.y, HEIGHT - BOTTOM, TOP)
    x_ticks, y_ticks = ticks(chart.x.low, chart.x.high), ticks(chart.y.low, chart.y.high)
    x_labels = [_text(x_scale(tick), HEIGHT - BOTTOM + 16, f"{tick:g}") for tick in x_ticks]
    y_labels = [_text(LEFT - 6, y_scale(tick) + 4, f"{tick:g}", "end") for tick in y_ticks]
    grid = [_line("grid", LEFT, y_scale(tick), WIDTH - RIGHT, y_scale(tick)) for tick in y_ticks]
    names = [
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, chart.x.name),
        f'<g transform="translate(12 {(TOP + HEIGHT - BOTTOM) / 2:g}) rotate(-90)">{_text(0, 0, chart.y.name)}</g>',
    ]
    lines = [part for place, line in enumerate(chart.series) for part in _series(chart, place, line, x_scale, y_scale)]
    label = escape(f"{chart.title}: {' and '.join(line.name for line in chart.series)}")
    start = f'<svg role="img" aria-label="{label}" viewBox="0 0 {WIDTH} {HEIGHT}">'
    return "".join([start, *grid, *x_labels, *y_labels, *names, *lines, "</svg>"])


def ticks(low: float, high: float) -> list[float]:
    """Return up to eleven round numbers between two limits."""
    if not low < high:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / 5))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power * 5.001 >= high - low)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def _scale(axis: Axis, start: float, end: float) -> Scale:
    """Return the function from a value to its place in the picture."""
    width = (axis.high - axis.low) or 1
    return lambda value: start + (value - axis.low) / width * (end - start)


def _series(chart: Chart, place: int, line: Series, x_scale: Scale, y_scale: Scale) -> list[str]:
    """Return a line and its entry in the legend."""
    kind, low, high = f"line-{place + 1}", chart.x.low, chart.x.high
    steps = max(1, len(line.values) - 1)
    points = [(x_scale(low + (high - low) * step / steps), y_scale(value)) for step, value in enumerate(line.values)]
    drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    at = LEFT + place * 120
    legend = [_line(kind, at, 14, at + 26, 14), _text(at + 32, 18, line.name, "start")]
    return [f'<polyline class="{kind}" points="{drawn}"/>', *legend]


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:g}" y1="{y1:.1f}" x2="{x2:g}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
