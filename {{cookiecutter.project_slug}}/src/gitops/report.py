"""The review as Markdown. Standard library only: the job that may write comments renders it, and installs nothing.

All that a pull request can choose (names, values, reasons) is untrusted: it stands in code spans, where GitHub
renders no markup and resolves no mention, link or reference.
"""

from collections.abc import Iterable
from typing import Any

FORMAT = 1  # of review.json; a job from another version of the factory refuses what it does not know
MARKER = "gitops-review"
COMMENT_LIMIT = 60_000  # characters; GitHub takes 65,536
LIST_LIMIT = 50  # entries of one list
VALUE_LIMIT = 160  # characters of one untrusted value

HEADLINES = {"pass": "✅ **Ready to merge**", "warn": "⚠️ **Look before you merge**", "block": "⛔ **Blocked**"}
MARKS = {
    "better": "✅",
    "no worse": "✅",
    "meets the gate": "✅",
    "undecided": "⚠️",
    "worse": "⛔",
    "below floor": "⛔",
    "missing": "⛔",
}


def code(value: object) -> str:
    """Return an untrusted value as a code span which it can't leave: no line end, no backtick, no cell border."""
    text = "".join(character if character.isprintable() else " " for character in str(value)[:VALUE_LIMIT])
    return f"`{text.replace('`', 'ˋ').replace('|', '¦') or ' '}`"


def render(review: dict[str, Any]) -> str:
    """Return the whole comment: verdict and reason first, then the table, then what changed."""
    parts = [_headline(review), _what_to_do(review), _metrics(review), _changes(review), _footer(review)]
    text = "\n\n".join(part for part in parts if part) + "\n"
    if len(text) > COMMENT_LIMIT:
        text = (
            text[:COMMENT_LIMIT].rsplit("\n", 1)[0]
            + "\n\n</details>\n\n… cut: the whole report is in the run's artifact `review`.\n"
        )
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
    if any(MARKS[row["verdict"]] == "⛔" for row in review["metrics"]):
        lines.append(
            "Improve the model on this branch. Gates change in a pull request of their own, with a code owner."
        )
    return "**What to do.** " + " ".join(lines) if lines else ""


def _metrics(review: dict[str, Any]) -> str:
    champion = review["champion"]
    note = code(champion["note"]) if champion["note"] else ""
    if not review["metrics"]:
        return note
    lines = [
        "| metric | champion | challenger | difference (95 % interval) | gate | verdict |",
        "|---|---:|---:|---:|---|---|",
    ]
    lines += [_row(row) for row in review["metrics"]]
    if champion["state"] == "paired":
        note = f"Both models scored the same {review['rows']:,} held-out rows. A positive difference is better."
    if champion["state"] == "unpaired":
        note = f"**Not on the same rows**, so no interval: {note}."
    return "\n".join([*lines, "", note])


def _row(row: dict[str, Any]) -> str:
    difference = _number(row.get("difference"), "+.4f")
    if row.get("low") is not None:
        difference += f" ({row['low']:+.4f} … {row['high']:+.4f})"
    sign = "≥" if row["more_is_better"] else "≤"
    gate = [f"{sign} {row['floor']:g}"] if row["floor"] is not None else []
    gate.append(f"tolerance {row['tolerance']:g}")
    cells = [code(row["name"]), _number(row.get("champion")), _number(row["challenger"]), difference, ", ".join(gate)]
    return "| " + " | ".join([*cells, f"{MARKS[row['verdict']]} {row['verdict']}"]) + " |"


def _number(value: float | None, form: str = ".4f") -> str:
    return "–" if value is None else format(value, form)


def _changes(review: dict[str, Any]) -> str:
    """What the pull request changes, folded."""
    rows = [
        f"| {code(row['name'])} | {code(row['champion'])} | {code(row['challenger'])} |"
        for row in review["params"] + review["data"]
    ]
    table = (
        ["| parameter or data | champion | challenger |", "|---|---|---|", *_cut(rows)]
        if rows
        else ["No parameter and no data changes."]
    )
    contract = review["contract"]
    facts = [f"API contract: {code(contract['change'])}"]
    if review["trained"]:
        facts.append("trained in this run, since the author's artifacts could not be used")
    return "\n".join(
        [
            f"<details><summary>What changed ({len(rows)})</summary>",
            "",
            *table,
            "",
            *(f"- {fact}" for fact in facts),
            "",
            "</details>",
        ]
    )


def _footer(review: dict[str, Any]) -> str:
    return (
        f"<sub>challenger {code(review['commit'][:9])} · champion {code(review['base'][:9])} · gates of the base</sub>"
    )


def _bullets(lines: Iterable[str]) -> list[str]:
    return _cut([f"- {code(line)}" for line in lines])


def _cut(lines: list[str]) -> list[str]:
    """Keep a list short enough to read; say how much is missing."""
    return lines if len(lines) <= LIST_LIMIT else [*lines[:LIST_LIMIT], f"… and {len(lines) - LIST_LIMIT} more"]
