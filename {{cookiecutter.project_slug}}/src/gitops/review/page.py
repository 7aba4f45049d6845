"""The report as one page that needs nothing else, no script and no address: for the phone and for the archive.

All text goes through `html.escape`, and none of it into an attribute; the policy in the head is the second lock.
"""

from html import escape

from gitops.document import (
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
from gitops.review import report, svg
from gitops.review.record import Review

STYLE = """
:root {
  color-scheme: light dark;
  --ground: #fff; --ink: #1f2328; --quiet: #59636e; --rule: #d1d9e0; --panel: #f6f8fa;
  --pass: #1a7f37; --warn: #9a6700; --block: #cf222e; --line-1: #0072b2; --line-2: #d55e00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0d1117; --ink: #e6edf3; --quiet: #9198a1; --rule: #3d444d; --panel: #151b23;
    --pass: #3fb950; --warn: #d29922; --block: #f85149; --line-1: #56b4e9; --line-2: #e69f00;
  }
}
* { box-sizing: border-box; }
body {
  max-width: 64rem; margin: 0 auto; padding: 1rem; background: var(--ground); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere;
}
header { border-left: .4rem solid; padding: .6rem 1rem; margin-bottom: 1rem; background: var(--panel); }
header.pass { border-color: var(--pass); } header.warn { border-color: var(--warn); }
header.block { border-color: var(--block); }
h1 { margin: 0; font-size: 1.5rem; }
header p { margin: .2rem 0 0; font-size: 1.1rem; }
header ul { margin: .5rem 0 0; padding-left: 1.2rem; }
code { font: .9em ui-monospace, monospace; background: var(--panel); border-radius: .25rem; padding: .1em .3em; }
header code { font: inherit; padding: 0; }
.box { overflow-x: auto; margin: 1rem 0; border: 1px solid var(--rule); border-radius: .4rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th, td { padding: .4rem .6rem; text-align: left; white-space: nowrap; border-top: 1px solid var(--rule); }
thead th { background: var(--panel); border-top: 0; font-size: .85rem; }
.number { text-align: right; }
th:first-child { position: sticky; left: 0; min-width: 9.8rem; max-width: 22rem; }
tbody th { background: var(--ground); font-weight: normal; white-space: normal; overflow-wrap: anywhere; }
tbody th code { background: none; padding: 0; font-size: .85em; }
details { border-top: 1px solid var(--rule); padding: .6rem 0; }
summary { cursor: pointer; font-weight: 600; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(18rem, 100%), 1fr)); gap: 1.5rem; }
figure { margin: 1rem 0 0; max-width: 32rem; }
figcaption { font-weight: 600; }
svg { display: block; width: 100%; height: auto; font: 12px system-ui, sans-serif; }
svg text { fill: var(--quiet); }
.grid { stroke: var(--rule); }
.line-1, .line-2 { fill: none; stroke-width: 2.5; stroke-linejoin: round; }
.line-1 { stroke: var(--line-1); stroke-dasharray: 6 3; } .line-2 { stroke: var(--line-2); }
footer { color: var(--quiet); font-size: .85rem; border-top: 1px solid var(--rule); padding-top: .6rem; }
"""


def html_page(review: Review) -> str:
    """Return the report as a whole HTML document."""
    body = "\n".join(map(_html, report.document(review)))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Model review: {report.headline(review)[1]}</title>
<style>{STYLE}</style>
</head>
<body>
{body}
</body>
</html>
"""


def _html(block: Block) -> str:
    match block:
        case Headline():
            rest = _list(block.rest) if block.rest else ""
            title = f"<h1>{block.mark} {block.title}</h1>"
            return f'<header class="{block.kind}">{title}<p>{_inline(block.why)}</p>{rest}</header>'
        case Paragraph():
            return f"<p>{_inline(block.text)}</p>"
        case Bullets():
            return _list(block.items)
        case Table():
            return _table(block)
        case Charts():
            return f'<div class="charts">{"".join(map(_chart, block.charts))}</div>'
        case Fold():
            inner = "\n".join(map(_html, block.blocks))
            return f"<details open><summary>{block.title}</summary>\n{inner}\n</details>"
        case Footer():
            return f"<footer>{_inline(block.text)}</footer>"


def _chart(chart: Chart) -> str:
    return f"<figure><figcaption>{chart.title}</figcaption>{svg.line_chart(chart)}</figure>"


def _inline(text: Text) -> str:
    return "".join(map(_piece, text))


def _piece(piece: str) -> str:
    if isinstance(piece, Untrusted):
        return f"<code>{escape(clean(piece))}</code>"
    return f"<strong>{escape(piece)}</strong>" if isinstance(piece, Strong) else escape(piece)


def _list(items: list[Text]) -> str:
    return f"<ul>{''.join(f'<li>{_inline(item)}</li>' for item in items)}</ul>"


def _table(table: Table) -> str:
    """A table scrolls in its own box, so that the page is as wide as the screen; the verdict stands where it shows."""
    order = list(range(len(table.head)))
    if table.head[-1] == "verdict":
        order.insert(1, order.pop())
    kinds = [' class="number"' if 1 <= column <= table.numbers else "" for column in order]
    head = "".join(f"<th{kind}>{table.head[column]}</th>" for column, kind in zip(order, kinds, strict=True))
    rows = "\n".join(_row([row[column] for column in order], kinds) for row in table.rows)
    return f'<div class="box" tabindex="0"><table><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table></div>'


def _row(cells: list[Text], kinds: list[str]) -> str:
    first, *rest = zip(cells, kinds, strict=True)
    return f"<tr><th>{_inline(first[0])}</th>{''.join(f'<td{kind}>{_inline(cell)}</td>' for cell, kind in rest)}</tr>"
