"""The report's tables: what was measured, and how it was judged. Standard library only, as `report`."""

from collections.abc import Sequence

from gitops.document import Block, Fold, Paragraph, Table, Text, Untrusted
from gitops.review.record import BudgetRow, Comparison, MetricRow, SegmentRow, ValueRow, Verdict

MARKS = {
    Verdict.BETTER: "✅",
    Verdict.NO_WORSE: "✅",
    Verdict.WITHIN_THE_TOLERANCE: "✅",
    Verdict.MEETS_THE_GATE: "✅",
    Verdict.MAY_BE_CHANCE: "⚠️",
    Verdict.CANNOT_TELL: "⚠️",
    Verdict.WAIVED: "⚠️",
    Verdict.WORSE: "⛔",
    Verdict.BELOW_FLOOR: "⛔",
    Verdict.NOT_SHOWN: "⛔",
    Verdict.MISSING: "⛔",
    Verdict.OVER_THE_BUDGET: "⛔",
    Verdict.WITHIN_THE_BUDGET: "✅",
    Verdict.NO_LIMIT: "–",
    Verdict.NOT_MEASURED: "–",
}


def metrics(rows: Sequence[MetricRow]) -> Table:
    """Return the table of judged metrics."""
    head = ["metric", "champion", "challenger", "difference (95 % interval)", "gate", "verdict"]
    cells: list[list[Text]] = [[[Untrusted(row.name)], *_both(row), _gate(row), _mark(row.verdict)] for row in rows]
    return Table(head, cells, numbers=3)


def detectable(row: MetricRow) -> Text:
    """Say which difference of a metric these rows would show."""
    if not row.interval or not row.interval.minimum_detectable_effect:
        return []
    effect = f" that they show reliably: {row.interval.minimum_detectable_effect:.4f}."
    return [" The smallest difference in ", Untrusted(row.name), effect]


def _both(row: Comparison) -> list[Text]:
    """Return the cells that compare: champion, challenger and the difference with its interval."""
    difference = _number(row.difference, "+.4f")
    if row.interval:
        difference += f" ({row.interval.low:+.4f} … {row.interval.high:+.4f})"
    return [[_number(row.champion)], [_number(row.challenger)], [difference]]


def _gate(row: MetricRow) -> Text:
    floor = "" if row.floor is None else f"{'≥' if row.more_is_better else '≤'} {row.floor:g}, "
    need = "" if row.require == "not_worse" else f", require {row.require}"
    return [f"{floor}tolerance {row.tolerance:g}{need}"]


def _mark(verdict: Verdict) -> Text:
    return [f"{MARKS[verdict]} {verdict.value}"]


def _number(value: float | None, form: str = ".4f") -> str:
    return "–" if value is None else format(value, form)


def value(rows: Sequence[ValueRow]) -> list[Block]:
    """Return what the decisions are worth, for those who pay for them."""
    cells: list[list[Text]] = [[[row.model], [_number(row.threshold)], [f"{row.per_1000:,.0f}"]] for row in rows]
    return [Table(["model", "best threshold", "expected value per 1,000 rows"], cells, numbers=2)] if rows else []


def segments(rows: Sequence[SegmentRow]) -> list[Block]:
    """Return all segments, folded, the one that loses most first."""
    if not rows:
        return []
    cells: list[list[Text]] = [
        [
            [Untrusted(row.name)],
            [f"{row.rows:,}"],
            *_both(row),
            [_number(row.interval.minimum_detectable_effect if row.interval else None)],
            _mark(row.verdict),
        ]
        for row in sorted(rows, key=lambda row: row.difference or 0.0)
    ]
    head = ["segment", "rows", "champion", "challenger", "difference (95 % interval)", "a loss shows from", "verdict"]
    note = "Looking at many segments finds losses by chance: the verdicts are corrected for it (Holm)."
    if any(row.verdict is Verdict.CANNOT_TELL for row in rows):
        loss = f"the interval holds a loss beyond the tolerance of {rows[0].tolerance:g}"
        note = f"Can't tell: {loss}, and so few rows show a loss reliably only from the size beside it. {note}"
    return [Fold(f"Segments ({len(rows)})", [Table(head, cells, numbers=5), Paragraph([note])])]


def budgets(rows: Sequence[BudgetRow], model_format: str | None) -> list[Block]:
    """Return what the model takes; in sight where a limit is broken, or the file is not the usual ONNX."""
    cells: list[list[Text]] = [
        [
            [Untrusted(row.name)],
            *([_number(value, ".4g")] for value in (row.champion, row.challenger, row.limit)),
            _mark(row.verdict),
        ]
        for row in rows
    ]
    blocks: list[Block] = []
    if rows:
        blocks.append(Table(["what it takes", "champion", "challenger", "budget", "verdict"], cells, numbers=3))
    if model_format:
        blocks.append(Paragraph(["Format of the model file: ", Untrusted(model_format), "."]))
    if model_format not in (None, "onnx") or any(row.verdict.blocks for row in rows):
        return blocks
    return [Fold("Size and speed", blocks)] if blocks else []
