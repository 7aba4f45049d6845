"""What a measured difference means: the verdict on each metric and segment, and the waivers."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date
from typing import TypeVar

import numpy as np

from gitops.gates import Gate, SegmentGates, Waiver
from gitops.review.record import Comparison, Interval, MetricRow, SegmentRow, Verdict

ALPHA = 0.02  # significance level at which a loss blocks; tests/bench/review.py shows what follows from it
SEGMENTS_ALPHA = 0.01  # the same for all segments together (family-wise)

Row = TypeVar("Row", bound=SegmentRow)


def decide_metric(name: str, gate: Gate, measured: Comparison, *, champion: bool) -> MetricRow:
    """Judge one metric by its gate; `champion`: one scored these rows too."""
    row = MetricRow(
        **vars(measured),
        name=name,
        floor=gate.floor,
        tolerance=gate.tolerance,
        require=gate.require,
        verdict=Verdict.CANNOT_TELL,
    )
    if measured.challenger is None:
        why = "a score is no number (a probability: from 0 to 1), or it does not suit the target"
        return _judged(row, Verdict.MISSING, f"{name} has no value: {why}")
    if gate.floor is not None and _sign(row) * (measured.challenger - gate.floor) < 0:
        side, by = "below its floor" if row.more_is_better else "above its limit", abs(measured.challenger - gate.floor)
        return _judged(
            row, Verdict.BELOW_FLOOR, f"{name} {measured.challenger:.4f} is {side} {gate.floor:g} by {by:.4f}"
        )
    if not champion:
        return _judged(row, Verdict.MEETS_THE_GATE)
    if measured.difference is None or measured.interval is None:
        words = "can't be compared with the champion's, which has no value on these rows"
        return _judged(row, Verdict.CANNOT_TELL, f"{name} {words}")
    found = _compared(row, -measured.difference, measured.interval)
    if found.verdict is Verdict.WORSE or gate.require == "not_worse":
        return found
    if gate.require == "better" and found.verdict is not Verdict.BETTER:
        return _judged(row, Verdict.NOT_SHOWN, f"{name} must be better than the champion, and that is not shown")
    if gate.require == "non_inferior" and found.verdict is Verdict.CANNOT_TELL:
        words = f"must be shown to be no more than {gate.tolerance:g} worse, and is not"
        return _judged(row, Verdict.NOT_SHOWN, f"{name} {words}")
    return found


def beside(row: MetricRow, committed: float | None) -> MetricRow:
    """Put the champion's value on other rows, which its commit holds, beside the challenger's.

    A floor that is missed stays so; nothing else can be told without an interval.
    """
    difference = None
    if committed is not None and row.challenger is not None:
        difference = _sign(row) * (row.challenger - committed)
    row = replace(row, champion=committed, difference=difference)
    if row.verdict is not Verdict.MEETS_THE_GATE:
        return row
    words = "can't be compared with the champion's, which was measured on other rows"
    if difference is not None and -difference > row.tolerance:
        words = f"is {-difference:.4f} worse, but on other rows than the champion's"
    return _judged(row, Verdict.CANNOT_TELL, f"{row.name} {words}")


def _sign(row: Comparison) -> int:
    return 1 if row.more_is_better else -1


def _compared(row: MetricRow, loss: float, interval: Interval) -> MetricRow:
    """Compare with the champion: what the interval includes and excludes."""
    tolerance = row.tolerance
    if interval.low > 0:
        return _judged(row, Verdict.BETTER)
    if loss > tolerance and interval.p_value <= ALPHA:
        words = f"is {loss:.4f} worse than the champion (tolerance {tolerance:g}), beyond chance"
        return _judged(row, Verdict.WORSE, f"{row.name} {words}")
    if interval.low >= -tolerance:
        return _judged(row, _non_inferior(interval))
    words = f"may be up to {-interval.low:.4f} worse than the champion (tolerance {tolerance:g})"
    shown = f"these rows show differences from {interval.minimum_detectable_effect:.4f} on"
    return _judged(row, Verdict.CANNOT_TELL, f"{row.name} {words}: {shown}")


def _non_inferior(interval: Interval) -> Verdict:
    """Name a difference that excludes a loss beyond the tolerance: it may still be a loss."""
    return Verdict.WITHIN_THE_TOLERANCE if interval.high < 0 else Verdict.NO_WORSE


def _judged(row: Row, verdict: Verdict, reason: str = "") -> Row:
    return replace(row, verdict=verdict, reason=reason)


def decide_segments(measured: dict[str, Comparison], gates: SegmentGates) -> tuple[SegmentRow, ...]:
    """Judge the segments, by name: each loss by itself, and whether looking at so many explains it.

    Source: Holm, "A Simple Sequentially Rejective Multiple Test Procedure" (1979).
    """
    rows = [
        SegmentRow(**vars(one), name=name, tolerance=gates.tolerance, verdict=Verdict.CANNOT_TELL)
        for name, one in measured.items()
    ]
    significant = _holm([row.interval.p_value if row.interval else 1.0 for row in rows])
    return tuple(_segment(row, significant=place in significant) for place, row in enumerate(rows))


def _holm(p_values: Sequence[float]) -> set[int]:
    """Return the places of the p-values that are significant at `SEGMENTS_ALPHA` for all of them together."""
    found: set[int] = set()
    for rank, place in enumerate(np.argsort(p_values, kind="stable")):
        if p_values[place] > SEGMENTS_ALPHA / (len(p_values) - rank):
            break
        found.add(int(place))
    return found


def _segment(row: SegmentRow, *, significant: bool) -> SegmentRow:
    """Judge one segment; `significant`: a loss that looking at many segments does not explain.

    No segment is called better: among many, some are by chance, and nothing follows from it.
    """
    if row.difference is None or row.interval is None:
        return _judged(row, Verdict.CANNOT_TELL)  # a single class, for example
    loss = -row.difference
    if significant and loss > row.tolerance:
        words = f"{loss:.4f} worse than the champion in {row.rows:,} rows, beyond chance"
        return _judged(row, Verdict.WORSE, f"{row.name}: {words}")
    if row.interval.low >= -row.tolerance:
        return _judged(row, _non_inferior(row.interval))
    return _judged(row, Verdict.MAY_BE_CHANCE if row.interval.high < 0 and not significant else Verdict.CANNOT_TELL)


def waive(rows: Iterable[Row], waivers: Sequence[Waiver], today: date) -> tuple[Row, ...]:
    """Let a known loss pass that a code owner accepted in gates.yaml, until its day."""
    return tuple(
        _waived(row, [one for one in waivers if one.until >= today and one.metric == row.name]) for row in rows
    )


def _waived(row: Row, waivers: Sequence[Waiver]) -> Row:
    if not waivers or not row.verdict.blocks or row.verdict is Verdict.MISSING:
        return row
    words = f"waived until {waivers[0].until} by {waivers[0].who}: {waivers[0].reason}"
    return _judged(row, Verdict.WAIVED, f"{row.reason} ({words})")


def ended(waivers: Sequence[Waiver], today: date) -> list[str]:
    """Return a sentence for each waiver whose day is over: it is ignored."""
    return [
        f"the waiver for {one.metric} ended on {one.until}: take it out of gates.yaml"
        for one in waivers
        if one.until < today
    ]
