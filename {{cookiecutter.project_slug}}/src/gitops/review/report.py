"""What a review tells, in the order in which a reviewer needs it.

Standard library only: the job that may write comments renders it, and installs nothing. All that a pull request can
choose (names, values, reasons) is untrusted, and marked as `Said`.
"""

from collections.abc import Sequence
from typing import Any

from gitops.document import Block, Bullets, Charts, Fold, Footer, Headline, Paragraph, Said, Strong, Table, Text
from gitops.markdown import markdown

FORMAT = 1  # of review.json; a job from another version of the factory refuses what it does not know
MARKER = "gitops-review"
NAMES_LIMIT = 30  # of one list in a sentence
COMMENT_LIMIT = 60_000  # characters; GitHub takes 65,536

HEADLINES = {"pass": ("✅", "Ready to merge"), "warn": ("⚠️", "Look before you merge"), "block": ("⛔", "Blocked")}
RELEASED = {
    "pass": ("✅", "Released"),
    "warn": ("⚠️", "Released, with remarks"),
    "block": ("⛔", "Released, although the review objects"),
}
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


def render(review: dict[str, Any]) -> str:
    """Return the whole comment as Markdown, no longer than GitHub takes."""
    return fit(document(review))


def fit(blocks: Sequence[Block]) -> str:
    """Return a document as Markdown; from the block on that would make it too long for GitHub it is left out."""
    kept, length = [], 0
    for part in map(markdown, blocks):
        length += len(part) + 2
        if length > COMMENT_LIMIT:
            kept.append("… cut: `report.html` holds the whole report.")
            break
        kept.append(part)
    return "\n\n".join(kept) + "\n"


def document(review: dict[str, Any]) -> list[Block]:
    """Return the report: verdict and reason first, then the table, then what changed.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: this is not a review of ours.
    """
    return [
        _headline(review),
        *_what_to_do(review),
        *_metrics(review),
        *_value(review["value"]),
        *_segments(review["segments"]),
        *_budgets(review["budgets"], review.get("model_format")),
        _changes(review),
        *([Fold("Charts", [Charts(review["charts"])])] if review["charts"] else []),
        _footer(review),
    ]


def headline(review: dict[str, Any]) -> tuple[str, str]:
    """Return the mark and the words for the verdict: before the merge, or (`released`) after it."""
    return (RELEASED if review.get("released") else HEADLINES)[str(review["verdict"])]


def _headline(review: dict[str, Any]) -> Headline:
    """The first line decides; one line for each further reason."""
    verdict = review["verdict"]
    lines: list[Text] = [[Said(line)] for line in [*review["reasons"], *review["warnings"]]]
    why, *rest = lines or [_all_good(review)]
    return Headline(verdict, *headline(review), why, rest)


def _all_good(review: dict[str, Any]) -> Text:
    state = review["champion"]["state"]
    if state == "same":
        return ["the model does not change"]
    if state == "none":
        return ["the first model reaches every floor"]
    better = [row["name"] for row in review["metrics"] if row["verdict"] == "better"]
    names = [piece for name in better for piece in (", ", Said(name))][1:]
    return ["better in ", *names, ", worse in nothing"] if better else ["no worse than the champion"]


def _what_to_do(review: dict[str, Any]) -> list[Block]:
    """The way out of a block, one line a cause."""
    lines: list[Text] = []
    if review["lock"]["stale"] or review["lock"]["missing"]:
        who = "A maintainer, on a checkout of this pull request" if review["fork"] else "On this branch"
        command = Said("uv run dvc repro && uv run gitops store push")
        commit = [", then commit ", Said("dvc.lock"), " and ", Said("metrics.json"), "."]
        lines.append([f" {who}: ", command, *commit])
    if any(row["verdict"] in BLOCKING for row in review["metrics"] + review["segments"]):
        gates = "Gates change in a pull request of their own, with a code owner."
        lines.append([f" Improve the model on this branch. {gates}"])
    return [Paragraph([Strong("What to do."), *sum(lines, [])])] if lines else []


def _metrics(review: dict[str, Any]) -> list[Block]:
    state, note = review["champion"]["state"], review["champion"]["note"]
    text: Text = [Said(note)] if note else []
    if review["metrics"] and state == "paired":
        rows = f"Both models scored the same {review['rows']:,} held-out rows. A positive difference is better."
        text = [rows, *_visible(review["metrics"][0]), *([" ", Said(note), "."] if note else [])]
    if review["metrics"] and state == "unpaired":
        text = [Strong("Not on the same rows"), ", so no interval: ", *text, "."]
    table: list[Block] = [_table(review["metrics"])] if review["metrics"] else []
    return [*table, Paragraph(text)] if text else table


def metrics_table(rows: list[dict[str, Any]]) -> str:
    """Return the table of judged metrics as Markdown."""
    return markdown(_table(rows))


def _table(rows: list[dict[str, Any]]) -> Table:
    head = ["metric", "champion", "challenger", "difference (95 % interval)", "gate", "verdict"]
    return Table(head, [[[Said(row["name"])], *_both(row), _gate(row), _mark(row)] for row in rows], numbers=3)


def _visible(row: dict[str, Any]) -> Text:
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


def _value(value: dict[str, dict[str, float]]) -> list[Block]:
    """What the decisions are worth, for those who pay for them."""
    rows: list[list[Text]] = [
        [[Said(who)], [_number(found["threshold"])], [f"{found['per_1000']:,.0f}"]] for who, found in value.items()
    ]
    return [Table(["model", "best threshold", "expected value per 1,000 rows"], rows, numbers=2)] if rows else []


def _segments(rows: list[dict[str, Any]]) -> list[Block]:
    """All segments, folded, the one that loses most first."""
    ordered = sorted(rows, key=lambda row: row["difference"] if row["difference"] is not None else 0)
    cells: list[list[Text]] = [[[Said(row["name"])], [f"{row['rows']:,}"], *_both(row), _mark(row)] for row in ordered]
    head = ["segment", "rows", "champion", "challenger", "difference (95 % interval)", "verdict"]
    note = "Looking at many segments finds losses by chance: the verdicts are corrected for it (Holm)."
    return [Fold(f"Segments ({len(rows)})", [Table(head, cells, numbers=4), Paragraph([note])])] if rows else []


def _budgets(rows: list[dict[str, Any]], form: str | None) -> list[Block]:
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


def _changes(review: dict[str, Any]) -> Fold:
    """What the pull request changes, folded."""
    changed = review["params"] + review["data"] + review["dependencies"]
    rows: list[list[Text]] = [[[Said(row[key])] for key in ("name", "champion", "challenger")] for row in changed]
    nothing = Paragraph(["No parameter, data or dependency changes."])
    table = Table(["parameter, data or package", "champion", "challenger"], rows) if rows else nothing
    facts: list[Text] = [[Said(entry["area"]), ": ", *_list(entry["files"])] for entry in review["code"]]
    facts.append(["stages that ran again: ", *(_list(review["stages"]) or ["none"])])
    facts.append(["API contract: ", Said(review["contract"]["change"])])
    if review["trained"]:
        facts.append(["trained in this run, since the author's artifacts could not be used"])
    number = len(rows) + sum(len(entry["files"]) for entry in review["code"])
    return Fold(f"What changed ({number})", [table, Bullets(facts)])


def _list(names: list[str]) -> Text:
    """Write names one after the other; a long list is cut, and says so."""
    shown = [piece for name in names[:NAMES_LIMIT] for piece in (", ", Said(name))][1:]
    return [*shown, *([f" and {len(names) - NAMES_LIMIT} more"] if len(names) > NAMES_LIMIT else [])]


def _footer(review: dict[str, Any]) -> Footer:
    champion = [Said(review["against"]["commit"][:9]), " ", Said(review["against"]["where"])]
    bar = "release" if review.get("released") else "base"
    return Footer(["challenger ", Said(review["commit"][:9]), " · champion ", *champion, f" · gates of the {bar}"])
