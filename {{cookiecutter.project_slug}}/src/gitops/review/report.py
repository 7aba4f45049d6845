"""What a review tells, in the order in which a reviewer needs it.

Standard library only: the job that may write comments renders it, and installs nothing. All that a pull request can
choose (names, values, reasons) is untrusted, and marked as `Said`.
"""

from collections.abc import Sequence
from typing import Any

from gitops.document import Block, Bullets, Charts, Fold, Footer, Headline, Paragraph, Said, Strong, Table, Text
from gitops.markdown import markdown
from gitops.review import tables

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
        *tables.value(review["value"]),
        *tables.segments(review["segments"]),
        *tables.budgets(review["budgets"], review.get("model_format")),
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
    if any(row["verdict"] in tables.BLOCKING for row in review["metrics"] + review["segments"]):
        gates = "Gates change in a pull request of their own, with a code owner."
        lines.append([f" Improve the model on this branch. {gates}"])
    return [Paragraph([Strong("What to do."), *sum(lines, [])])] if lines else []


def _metrics(review: dict[str, Any]) -> list[Block]:
    state, note = review["champion"]["state"], review["champion"]["note"]
    text: Text = [Said(note)] if note else []
    if review["metrics"] and state == "paired":
        rows = f"Both models scored the same {review['rows']:,} held-out rows. A positive difference is better."
        text = [rows, *tables.visible(review["metrics"][0]), *([" ", Said(note), "."] if note else [])]
    if review["metrics"] and state == "unpaired":
        text = [Strong("Not on the same rows"), ", so no interval: ", *text, "."]
    table: list[Block] = [tables.metrics(review["metrics"])] if review["metrics"] else []
    return [*table, Paragraph(text)] if text else table


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
