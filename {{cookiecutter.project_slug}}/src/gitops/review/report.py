"""What a review tells, in the order in which a reviewer needs it.

Standard library only: the job that may write comments renders it, and installs nothing. All that a pull request can
choose (names, values, reasons) is untrusted, and marked as such.
"""

from collections.abc import Sequence
from dataclasses import replace

from gitops.document import (
    Block,
    Bullets,
    Charts,
    Fold,
    Footer,
    Headline,
    Paragraph,
    Strong,
    Table,
    Text,
    Untrusted,
    joined,
)
from gitops.markdown import markdown
from gitops.review import tables
from gitops.review.record import Facts, Outcome, Review, Verdict

MARKER = "gitops-review"
NAMES_LIMIT = 30  # of one list in a sentence
COMMENT_LIMIT = 60_000  # characters; GitHub takes 65,536

HEADLINES = {
    Outcome.PASSES: ("✅", "Ready to merge"),
    Outcome.WARNS: ("⚠️", "Look before you merge"),
    Outcome.BLOCKS: ("⛔", "Blocked"),
}
RELEASED = {
    Outcome.PASSES: ("✅", "Released"),
    Outcome.WARNS: ("⚠️", "Released, with remarks"),
    Outcome.BLOCKS: ("⛔", "Released, although the review objects"),
}


def render(review: Review) -> str:
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


def without_charts(review: Review) -> Review:
    """Return the review for a place that draws none."""
    return replace(review, facts=replace(review.facts, charts=()))


def document(review: Review) -> list[Block]:
    """Return the report: verdict and reason first, then the table, then what changed."""
    facts = review.facts
    return [
        _headline(review),
        *_what_to_do(facts),
        *_metrics(facts),
        *tables.value(facts.judgement.value),
        *tables.segments(facts.judgement.segments),
        *tables.budgets(facts.budgets, facts.model_format),
        _changes(facts),
        *([Fold("Charts", [Charts(facts.charts)])] if facts.charts else []),
        _footer(facts),
    ]


def headline(review: Review) -> tuple[str, str]:
    """Return the mark and the words for the outcome: before the merge, or after it."""
    return (RELEASED if review.facts.released else HEADLINES)[review.verdict]


def _headline(review: Review) -> Headline:
    """The first line decides; one line for each further reason, and for what is good to know."""
    lines: list[Text] = [[Untrusted(line)] for line in (*review.reasons, *review.warnings)]
    why, *rest = lines or [_all_good(review.facts)]
    rest += [[Untrusted(note)] for note in review.notes]
    return Headline(review.verdict.value, *headline(review), why, rest)


def _all_good(facts: Facts) -> Text:
    if facts.champion.state == "same":
        return ["the model does not change"]
    if facts.champion.state == "none":
        return ["the first model reaches every floor"]
    better, lost = (
        joined(row.name for row in facts.judgement.metrics if row.verdict is verdict)
        for verdict in (Verdict.BETTER, Verdict.WITHIN_THE_TOLERANCE)
    )
    if better:
        return [
            "better in ",
            *better,
            *([", a loss within the tolerance in ", *lost] if lost else [", worse in nothing"]),
        ]
    return [
        "no worse than the champion",
        *([" by more than the tolerance: a loss is shown in ", *lost] if lost else []),
    ]


def _what_to_do(facts: Facts) -> list[Block]:
    """The way out of a block, one line a cause, and what is still to be done before the pull request."""
    lines: list[Text] = []
    if facts.lock.stale or facts.lock.missing:
        who = "A maintainer, on a checkout of this pull request" if facts.fork else "On this branch"
        command = Untrusted("uv run dvc repro && uv run gitops store push")
        commit = [", then commit ", Untrusted("dvc.lock"), " and ", Untrusted("metrics.json"), "."]
        lines.append([f" {who}: ", command, *commit])
    if any(row.verdict.blocks for row in (*facts.judgement.metrics, *facts.judgement.segments)):
        gates = "Gates change in a pull request of their own, with a code owner."
        lines.append([f" Improve the model on this branch. {gates}"])
    if facts.lock.unpushed:
        push: Text = [" Before the pull request ", Untrusted("uv run gitops store push"), ": the data remote lacks "]
        lines.append([*push, *_names(facts.lock.unpushed), "."])
    return [Paragraph([Strong("What to do."), *sum(lines, [])])] if lines else []


def _metrics(facts: Facts) -> list[Block]:
    state, note, rows = facts.champion.state, facts.champion.note, facts.judgement.metrics
    text: Text = [Untrusted(note)] if note else []
    if rows and state == "paired":
        same = f"Both models scored the same {facts.judgement.rows:,} held-out rows. A positive difference is better."
        text = [same, *tables.detectable(rows[0]), *([" ", Untrusted(note), "."] if note else [])]
    if rows and state == "unpaired":
        text = [Strong("Not on the same rows"), ", so no interval: ", *text, "."]
    table: list[Block] = [tables.metrics(rows)] if rows else []
    return [*table, Paragraph(text)] if text else table


def _changes(facts: Facts) -> Fold:
    """What the pull request changes, folded."""
    changes = facts.changes
    rows: list[list[Text]] = [
        [[Untrusted(text)] for text in (row.name, row.champion, row.challenger)]
        for row in (*changes.params, *changes.data, *changes.dependencies)
    ]
    nothing = Paragraph(["No parameter, data or dependency changes."])
    table = Table(["parameter, data or package", "champion", "challenger"], rows) if rows else nothing
    lines: list[Text] = [[Untrusted(entry.area), ": ", *_names(entry.files)] for entry in changes.code]
    lines.append(["stages that ran again: ", *(_names(changes.stages) or ["none"])])
    lines.append(["API contract: ", Untrusted(changes.contract.change)])
    if facts.trained:
        lines.append(["trained in this run, since the author's artifacts could not be used"])
    number = len(rows) + sum(len(entry.files) for entry in changes.code)
    return Fold(f"What changed ({number})", [table, Bullets(lines)])


def _names(names: Sequence[str]) -> Text:
    """Write names one after the other; a long list is cut, and says so."""
    more = [f" and {len(names) - NAMES_LIMIT} more"] if len(names) > NAMES_LIMIT else []
    return [*joined(names[:NAMES_LIMIT]), *more]


def _footer(facts: Facts) -> Footer:
    champion = [Untrusted(facts.champion.commit[:9]), " ", Untrusted(facts.champion.where)]
    bar = "release" if facts.released else "base"
    return Footer(["challenger ", Untrusted(facts.commit[:9]), " · champion ", *champion, f" · gates of the {bar}"])
