"""What a measured difference means: the verdict on each metric and segment, and the waivers."""

import math
from datetime import date
from statistics import NormalDist
from typing import Any

import numpy as np

from gitops.review.tables import BLOCKING

CHANCE = 0.02  # with which an equal model is called worse; tests/bench/review.py shows what follows from it
SEGMENTS_CHANCE = 0.01  # the same for all segments together


def decide(row: dict[str, Any]) -> dict[str, str]:
    """Return the `verdict` and the `reason` of one measured metric."""
    name, value, floor, tolerance = row["name"], row["challenger"], row["floor"], row["tolerance"]
    sign = 1 if row["more_is_better"] else -1
    if not math.isfinite(value):
        return _as(
            "missing",
            f"{name} has no value: a score is no number (a probability: from 0 to 1), or it does not suit the target",
        )
    if floor is not None and sign * (value - floor) < 0:
        side = "below its floor" if sign > 0 else "above its limit"
        return _as("below floor", f"{name} {value:.4f} is {side} {floor:g} by {abs(value - floor):.4f}")
    if "low" not in row:
        loss = -row["difference"]
        if loss > tolerance:  # False for a NaN, without a champion
            return _as("undecided", f"{name} is {loss:.4f} worse, but on other rows than the champion's")
        return _as("meets the gate")
    verdict, reason = _compared(row)
    if verdict == "worse" or row["require"] == "not_worse":
        return _as(verdict, reason)
    if row["require"] == "better" and verdict != "better":
        return _as("not shown", f"{name} must be better than the champion, and that is not shown")
    if row["require"] == "non_inferior" and verdict == "undecided":
        return _as("not shown", f"{name} must be shown to be no more than {tolerance:g} worse, and is not")
    return _as(verdict, reason)


def _compared(row: dict[str, Any]) -> tuple[str, str]:
    """Compare with the champion: what the interval includes and excludes."""
    name, loss, tolerance = row["name"], -row["difference"], row["tolerance"]
    if row["low"] > 0:
        return "better", ""
    if loss > tolerance and _chance(row) <= CHANCE:
        return "worse", f"{name} is {loss:.4f} worse than the champion (tolerance {tolerance:g}), beyond chance"
    if row["low"] >= -tolerance:
        return "no worse", ""
    seen = f"these rows show differences from {row['visible']:.4f} on"
    return (
        "undecided",
        f"{name} may be up to {-row['low']:.4f} worse than the champion (tolerance {tolerance:g}): {seen}",
    )


def _as(verdict: str, reason: str = "") -> dict[str, str]:
    return {"verdict": verdict, "reason": reason}


def decide_segments(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the measured segments with their `verdict` and `reason`.

    A loss counts only where it is so rarely chance that looking at many segments is safe. Source: Holm, "A Simple
    Sequentially Rejective Multiple Test Procedure" (1979).
    """
    chances = [_chance(row) for row in rows]
    order = np.argsort(chances, kind="stable")
    level, refused = SEGMENTS_CHANCE, True
    for place, index in enumerate(order):
        row = rows[index]
        refused = refused and chances[index] <= level / (len(rows) - place)
        row |= _segment(row, shown=refused)
    return rows


def _segment(row: dict[str, Any], *, shown: bool) -> dict[str, str]:
    """Decide one segment; `shown`: a loss that looking at many segments does not explain."""
    loss = -row["difference"]
    if shown and loss > row["tolerance"]:
        reason = f"{row['name']}: {loss:.4f} worse than the champion in {row['rows']:,} rows, beyond chance"
        return _as("worse", reason)
    if row.get("high", 0) < 0:
        return _as("within the tolerance" if shown else "may be chance")
    return _as("no sign of a loss")


def _chance(row: dict[str, Any]) -> float:
    """Return how often chance alone makes a loss as large as this one (normal approximation)."""
    return NormalDist().cdf(row["difference"] / row["error"]) if row.get("error") else 1.0


def waive(result: dict[str, Any], waivers: list[dict[str, Any]], today: date) -> None:
    """Let a known loss pass that a code owner accepted in gates.yaml, until its day; a late one is told and ignored."""
    for waiver in waivers:
        if waiver["until"] < today:
            result["notes"].append(
                f"the waiver for {waiver['metric']} ended on {waiver['until']}: take it out of gates.yaml"
            )
            continue
        for row in result["metrics"] + result["segments"]:
            if row["name"] == waiver["metric"] and row["verdict"] in BLOCKING - {"missing"}:
                words = f"waived until {waiver['until']} by {waiver['who']}: {waiver['reason']}"
                row |= _as("waived", f"{row['reason']} ({words})")
