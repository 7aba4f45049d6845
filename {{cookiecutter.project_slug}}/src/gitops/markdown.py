"""A document as GitHub's Markdown.

Untrusted text stands in code spans, where GitHub renders no markup and resolves no mention, link or reference.
"""

import json
from decimal import Decimal

from gitops.document import (
    Axis,
    Block,
    Bullets,
    Chart,
    Charts,
    Fold,
    Footer,
    Headline,
    Paragraph,
    Strong,
    Table,
    Text,
    Untrusted,
    clean,
)

LIST_LIMIT = 50  # entries of one list
POINTS_LIMIT = 40  # of one line of a chart
COLOURS = {"blue": "#0072b2", "orange": "#d55e00"}  # for all eyes, on white and black; Mermaid's own first is invisible
THEME = {"themeVariables": {"xyChart": {"plotColorPalette": ", ".join(COLOURS.values())}}}


def code(value: object) -> str:
    """Return an untrusted value as a code span which it can't leave: no line end, no backtick, no cell border."""
    return f"`{clean(value).replace('`', 'ˋ').replace('|', '¦') or ' '}`"


def markdown(block: Block) -> str:
    """Return one block of a document, without the empty lines around it."""
    match block:
        case Headline():
            first = f"{block.mark} **{block.title}**: {_inline(block.why)}"
            return "\n".join([first, *_bullets(block.rest)])
        case Paragraph():
            return _inline(block.text)
        case Bullets():
            return "\n".join(_bullets(block.items))
        case Table():
            return _table(block)
        case Charts():
            return "\n".join(map(_chart, block.charts))
        case Fold():
            inner = "\n\n".join(map(markdown, block.blocks))
            return f"<details><summary>{block.title}</summary>\n\n{inner}\n\n</details>"
        case Footer():
            return f"<sub>{_inline(block.text)}</sub>"


def _inline(text: Text) -> str:
    return "".join(map(_piece, text))


def _piece(piece: str) -> str:
    if isinstance(piece, Untrusted):
        return code(piece)
    return f"**{piece}**" if isinstance(piece, Strong) else piece


def _bullets(items: list[Text]) -> list[str]:
    return _cut([f"- {_inline(item)}" for item in items])


def _table(table: Table) -> str:
    numbers = range(1, 1 + table.numbers)
    rule = "".join("---:|" if column in numbers else "---|" for column in range(len(table.head)))
    rows = [f"| {' | '.join(map(_inline, row))} |" for row in table.rows]
    return "\n".join([f"| {' | '.join(table.head)} |", f"|{rule}", *_cut(rows)])


def _cut(lines: list[str]) -> list[str]:
    """Keep a list short enough to read; say how much is missing."""
    return lines if len(lines) <= LIST_LIMIT else [*lines[:LIST_LIMIT], f"… and {len(lines) - LIST_LIMIT} more"]


def _chart(chart: Chart) -> str:
    """Draw with Mermaid, which GitHub renders; it has no legend, so the text says which line is which."""
    lines = [f"    line [{', '.join(map(_plain, line.values[:POINTS_LIMIT]))}]" for line in chart.series]
    legend = " · ".join(f"{colour}: {line.name}" for colour, line in zip(COLOURS, chart.series, strict=False))
    axes = [_axis("x", chart.x), _axis("y", chart.y)]
    source = ["```mermaid", "%%{init: " + json.dumps(THEME) + "}%%", "xychart-beta", *axes, *lines, "```", ""]
    return "\n".join([f"**{chart.title}** ({legend})", "", *source])


def _axis(which: str, axis: Axis) -> str:
    return f'    {which}-axis "{axis.name}" {_plain(axis.low)} --> {_plain(axis.high)}'


def _plain(value: float) -> str:
    """Return a number without an exponent, which Mermaid takes for a syntax error."""
    return f"{Decimal(f'{value:g}'):f}"
