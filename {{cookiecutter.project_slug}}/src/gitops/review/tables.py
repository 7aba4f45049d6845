"""The report's tables: what was measured, and how it was judged. Standard library only, as `report`."""

from typing import Any

from gitops.document import Block, Fold, Paragraph, Said, Table, Text

MARKS = {
    "better": "✅",
    "no worse": "✅",
    "meets the gate": "✅",
    "no sign of a loss": "✅",
    "within the tolerance": "✅",
    "may be chance": "⚠️",
    "undecided": "⚠️",
    "waived": "⚠️",
    "worse": "⛔",
    "below floor": "⛔",
    "not shown": "⛔",
    "missing": "⛔",
    "over the budget": "⛔",
    "within the budget": "✅",
    "no limit": "–",
    "not measured here": "–",
}
BLOCKING = {verdict for verdict, mark in MARKS.items() if mark == "⛔"}


def metrics(rows: list[dict[str, Any]]) -> Table:
    """Return the table of judged metrics, a row of `judge` each."""
    head = ["metric", "champion", "challenger", "difference (95 % interval)", "gate", "verdict"]
    return Table(head, [[[Said(row["name"])], *_both(row), _gate(row), _mark(row)] for row in rows], numbers=3)


def visible(row: dict[str, Any]) -> Text:
    """Say which difference of a metric these rows would show."""
    if not row.get("visible"):
        return []
    return [" The smallest difference in ", Said(row["name"]), f" that they show reliably: {row['visible']:.4f}."]


def _both(row: dict[str, Any]) -> list[Text]:
    """The cells that compare: champion, challenger and the difference with its interval."""
    difference = _number(row.get("difference"), "+.4f")
    if row.get("low") is not None:
        difference += f" ({row['low']:+.4f} … {row['high']:+.4f})"
    return [[_number(row["champion"])], [_number(row["challenger"])], [difference]]


def _gate(row: dict[str, Any]) -> Text:
    floor = f"{'≥' if row['more_is_better'] else '≤'} {row['floor']:g}, " if row["floor"] is not None else ""
    need = [", require ", Said(row["require"])] if row["require"] != "not_worse" else []
    return [f"{floor}tolerance {row['tolerance']:g}", *need]


def _mark(row: dict[str, Any]) -> Text:
    return [f"{MARKS[row['verdict']]} {row['verdict']}"]


def _number(value: float | None, form: str = ".4f") -> str:
    return "–" if value is None else format(value, form)


def value(gains: dict[str, dict[str, float]]) -> list[Block]:
    """What the decisions are worth, for those who pay for them."""
    rows: list[list[Text]] = [
        [[Said(who)], [_number(found["threshold"])], [f"{found['per_1000']:,.0f}"]] for who, found in gains.items()
    ]
    return [Table(["model", "best threshold", "expected value per 1,000 rows"], rows, numbers=2)] if rows else []


def segments(rows: list[dict[str, Any]]) -> list[Block]:
    """All segments, folded, the one that loses most first."""
    ordered = sorted(rows, key=lambda row: row["difference"] if row["difference"] is not None else 0)
    cells: list[list[Text]] = [[[Said(row["name"])], [f"{row['rows']:,}"], *_both(row), _mark(row)] for row in ordered]
    head = ["segment", "rows", "champion", "challenger", "difference (95 % interval)", "verdict"]
    note = "Looking at many segments finds losses by chance: the verdicts are corrected for it (Holm)."
    return [Fold(f"Segments ({len(rows)})", [Table(head, cells, numbers=4), Paragraph([note])])] if rows else []


def budgets(rows: list[dict[str, Any]], form: str | None) -> list[Block]:
    """What the model takes; in sight where a limit is broken, or the model is not the ONNX file that it normally is."""
    cells: list[list[Text]] = [
        [[Said(row["name"])], *([_number(row[key], ".4g")] for key in ("champion", "challenger", "limit")), _mark(row)]
        for row in rows
    ]
    table = Table(["what it takes", "champion", "challenger", "budget", "verdict"], cells, numbers=3)
    needs = ": the service needs scikit-learn" if form == "skops" else ""
    told: list[Block] = [Paragraph(["Format of the model file: ", Said(form), f"{needs}."])] if form else []
    blocks = [*([table] if rows else []), *told]
    if form not in (None, "onnx") or any(row["verdict"] in BLOCKING for row in rows):
        return blocks
    return [Fold("Size and speed", blocks)] if blocks else []
