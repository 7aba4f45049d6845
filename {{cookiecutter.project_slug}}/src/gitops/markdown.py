"""A document as GitHub's Markdown.

Untrusted text stands in code spans, where GitHub renders no markup and resolves no mention, link or reference.
"""

from typing import Any

from gitops.document import Block, Bullets, Charts, Fold, Footer, Headline, Paragraph, Said, Strong, Table, Text, clean

LIST_LIMIT = 50  # entries of one list
POINTS_LIMIT = 40  # of one line of a chart


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
    if isinstance(piece, Said):
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


def _chart(chart: dict[str, Any]) -> str:
    """Draw with Mermaid, which GitHub renders; it has no legend, so the text says which line is which."""
    axes = [f'    {axis}-axis "{chart[axis][0]}" {chart[axis][1]:g} --> {chart[axis][2]:g}' for axis in "xy"]
    lines = [f"    line [{', '.join(f'{y:g}' for y in values[:POINTS_LIMIT])}]" for values in chart["series"].values()]
    places = zip(("first", "second"), chart["series"], strict=False)
    legend = " · ".join(f"{place} line: {name}" for place, name in places)
    return "\n".join([f"**{chart['title']}** ({legend})", "", "```mermaid", "xychart-beta", *axes, *lines, "```", ""])
