"""The review as Markdown. Standard library only: the job that may write comments renders it, and installs nothing.

All that a pull request can choose (names, values, reasons) is untrusted: it stands in code spans, where GitHub renders
no markup and resolves no mention, link or reference. Charts hold numbers and our own words only.
"""

from collections.abc import Iterable
from typing import Any

FORMAT = 1  # of review.json; a job from another version of the factory refuses what it does not know
MARKER = "gitops-review"
COMMENT_LIMIT = 60_000  # characters; GitHub takes 65,536
LIST_LIMIT = 50  # entries of one list
VALUE_LIMIT = 160  # characters of one untrusted value
POINTS_LIMIT = 40  # of one line of a chart

HEADLINES = {"pass": "✅ **Ready to merge**", "warn": "⚠️ **Look before you merge**", "block": "⛔ **Blocked**"}
MARKS = {
    "better": "✅",
    "no worse": "✅",
    "meets the gate": "✅",
    "no sign of a loss": "✅",
    "undecided": "⚠️",
    "waived": "⚠️",
    "worse": "⛔",
    "below floor": "⛔",
    "not shown": "⛔",
    "missing": "⛔",
}
BLOCKING = {verdict for verdict, mark in MARKS.items() if mark == "⛔"}
WORDS = {  # all that may stand in a chart: the words are ours, the numbers are numbers
    *("ROC curve", "false positive rate", "true positive rate", "champion", "challenger"),
    *("Calibration of the challenger", "predicted", "observed", "share of positives", "mean"),
    *("Scores of the challenger", "score", "share of the class", "negatives", "positives"),
    *("Mean absolute error", "error", "tenth of the rows, by rising score"),
}


def code(value: object) -> str:
    """Return an untrusted value as a code span which it can't leave: no line end, no backtick, no cell border."""
    text = "".join(character if character.isprintable() else " " for character in str(value)[:VALUE_LIMIT])
    return f"`{text.replace('`', 'ˋ').replace('|', '¦') or ' '}`"


def render(review: dict[str, Any]) -> str:
    """Return the whole comment: verdict and reason first, then the table, then what changed."""
    parts = [
        _headline(review),
        _what_to_do(review),
        _metrics(review),
        _value(review["value"]),
        _segments(review["segments"]),
        _changes(review),
        _charts(review["charts"]),
        _footer(review),
    ]
    text = "\n\n".join(part for part in parts if part) + "\n"
    if len(text) > COMMENT_LIMIT:
        cut = "\n\n</details>\n\n… cut: the whole report is in the run's artifact `review`.\n"
        text = text[:COMMENT_LIMIT].rsplit("\n", 1)[0] + cut
    return text


def _headline(review: dict[str, Any]) -> str:
    """The first line decides; one line for each further reason."""
    lines = [*review["reasons"], *review["warnings"]]
    if not lines:
        return f"{HEADLINES[review['verdict']]}: {_all_good(review)}"
    first, *rest = lines
    return "\n".join([f"{HEADLINES[review['verdict']]}: {code(first)}", *_bullets(rest)])


def _all_good(review: dict[str, Any]) -> str:
    state = review["champion"]["state"]
    if state == "same":
        return "the model does not change"
    if state == "none":
        return "the first model reaches every floor"
    better = [row["name"] for row in review["metrics"] if row["verdict"] == "better"]
    return f"better in {', '.join(map(code, better))}, worse in nothing" if better else "no worse than the champion"


def _what_to_do(review: dict[str, Any]) -> str:
    """The way out of a block, one line a cause."""
    lines = []
    if review["lock"]["stale"] or review["lock"]["missing"]:
        command = "uv run dvc repro && uv run gitops store push"
        who = "A maintainer, on a checkout of this pull request" if review["fork"] else "On this branch"
        lines.append(f"{who}: `{command}`, then commit `dvc.lock` and `metrics.json`.")
    if any(row["verdict"] in BLOCKING for row in review["metrics"] + review["segments"]):
        lines.append(
            "Improve the model on this branch. Gates change in a pull request of their own, with a code owner."
        )
    return "**What to do.** " + " ".join(lines) if lines else ""


def _metrics(review: dict[str, Any]) -> str:
    champion = review["champion"]
    note = code(champion["note"]) if champion["note"] else ""
    if not review["metrics"]:
        return note
    if champion["state"] == "paired":
        note = f"Both models scored the same {review['rows']:,} held-out rows. A positive difference is better."
        note += "".join(_visible(row) for row in review["metrics"][:1])
        note += f" {code(champion['note'])}." if champion["note"] else ""
    if champion["state"] == "unpaired":
        note = f"**Not on the same rows**, so no interval: {note}."
    return f"{metrics_table(review['metrics'])}\n\n{note}"


def metrics_table(rows: list[dict[str, Any]]) -> str:
    """Return the table of judged metrics."""
    head = [
        "| metric | champion | challenger | difference (95 % interval) | gate | verdict |",
        "|---|---:|---:|---:|---|---|",
    ]
    return "\n".join([*head, *map(_row, rows)])


def _visible(row: dict[str, Any]) -> str:
    visible = row.get("visible")
    return f" The smallest difference in {code(row['name'])} that they show reliably: {visible:.4f}." if visible else ""


def _row(row: dict[str, Any]) -> str:
    sign = "≥" if row["more_is_better"] else "≤"
    gate = [f"{sign} {row['floor']:g}"] if row["floor"] is not None else []
    gate.append(f"tolerance {row['tolerance']:g}")
    if row["require"] != "not_worse":
        gate.append(f"require {code(row['require'])}")
    cells = [code(row["name"]), _number(row["champion"]), _number(row["challenger"]), _difference(row), ", ".join(gate)]
    return "| " + " | ".join([*cells, f"{MARKS[row['verdict']]} {row['verdict']}"]) + " |"


def _difference(row: dict[str, Any]) -> str:
    difference = _number(row.get("difference"), "+.4f")
    return difference if row.get("low") is None else f"{difference} ({row['low']:+.4f} … {row['high']:+.4f})"


def _number(value: float | None, form: str = ".4f") -> str:
    return "–" if value is None else format(value, form)


def _value(value: dict[str, dict[str, float]]) -> str:
    """What the decisions are worth, for those who pay for them."""
    if not value:
        return ""
    rows = [
        f"| {code(who)} | {_number(found['threshold'])} | {found['per_1000']:,.0f} |"
        for who, found in sorted(value.items())
    ]
    head = ["| model | best threshold | expected value per 1,000 rows |", "|---|---:|---:|"]
    return "\n".join([*head, *rows])


def _segments(rows: list[dict[str, Any]]) -> str:
    """All segments, folded, the one that loses most first."""
    if not rows:
        return ""
    ordered = sorted(rows, key=lambda row: row["difference"] if row["difference"] is not None else 0)
    table = [
        f"| {code(row['name'])} | {row['rows']:,} | {_number(row['champion'])} | {_number(row['challenger'])} "
        f"| {_difference(row)} | {MARKS[row['verdict']]} {row['verdict']} |"
        for row in ordered
    ]
    head = [
        "| segment | rows | champion | challenger | difference (95 % interval) | verdict |",
        "|---|---:|---:|---:|---:|---|",
    ]
    note = "Looking at many segments finds losses by chance: the verdicts are corrected for it (Holm)."
    return _fold(f"Segments ({len(rows)})", [*head, *_cut(table), "", note])


def _changes(review: dict[str, Any]) -> str:
    """What the pull request changes, folded."""
    changed = review["params"] + review["data"] + review.get("code", [])
    rows = [f"| {code(row['name'])} | {code(row['champion'])} | {code(row['challenger'])} |" for row in changed]
    head = ["| parameter, data or file | champion | challenger |", "|---|---|---|"]
    table = [*head, *_cut(rows)] if rows else ["No parameter, data or code changes."]
    facts = [f"- API contract: {code(review['contract']['change'])}"]
    if review["trained"]:
        facts.append("- trained in this run, since the author's artifacts could not be used")
    return _fold(f"What changed ({len(rows)})", [*table, "", *facts])


def _charts(charts: list[dict[str, Any]]) -> str:
    return _fold("Charts", [line for chart in charts for line in _chart(chart)]) if charts else ""


def _chart(chart: dict[str, Any]) -> list[str]:
    """Draw with Mermaid, which GitHub renders; it has no legend, so the text says which line is which."""
    names = list(chart["series"])
    if len(names) > 2 or not {chart["title"], chart["x"][0], chart["y"][0], *names} <= WORDS:
        raise ValueError("not a chart of ours")
    axes = [f'    {axis}-axis "{chart[axis][0]}" {chart[axis][1]:g} --> {chart[axis][2]:g}' for axis in "xy"]
    lines = [f"    line [{', '.join(f'{y:g}' for y in values[:POINTS_LIMIT])}]" for values in chart["series"].values()]
    legend = " · ".join(f"{place} line: {name}" for place, name in zip(("first", "second"), names, strict=False))
    return [f"**{chart['title']}** ({legend})", "", "```mermaid", "xychart-beta", *axes, *lines, "```", ""]


def _fold(title: str, lines: list[str]) -> str:
    return "\n".join([f"<details><summary>{title}</summary>", "", *lines, "", "</details>"])


def _footer(review: dict[str, Any]) -> str:
    return (
        f"<sub>challenger {code(review['commit'][:9])} · champion {code(review['base'][:9])} · gates of the base</sub>"
    )


def _bullets(lines: Iterable[str]) -> list[str]:
    return _cut([f"- {code(line)}" for line in lines])


def _cut(lines: list[str]) -> list[str]:
    """Keep a list short enough to read; say how much is missing."""
    return lines if len(lines) <= LIST_LIMIT else [*lines[:LIST_LIMIT], f"… and {len(lines) - LIST_LIMIT} more"]
