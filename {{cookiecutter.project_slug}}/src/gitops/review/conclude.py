"""What follows from the facts of a review: the policy, in one place.

Standard library only, as `record`.
"""

from gitops.review.record import FORMAT, Conclusion, Facts, MetricRow, Outcome, Review, SegmentRow, Verdict

FILES_NAMED = 5  # in a sentence


def review_of(facts: Facts) -> Review:
    """Return the facts with what follows from them."""
    return Review(**vars(conclude(facts)), format=FORMAT, facts=facts)


def conclude(facts: Facts) -> Conclusion:
    """Say whether the facts block, warn or pass, with the sentences that block, that warn, and that are good to know.

    A metric that these rows can't tell warns by its name. A segment that they can't tell is only counted: most equally
    good models have some, so that a warning would stand over every pull request and be read by nobody.
    """
    judgement, changes, lock = facts.judgement, facts.changes, facts.lock
    rows: list[SegmentRow] = [*judgement.metrics, *judgement.segments]
    reasons = [row.reason for row in rows if row.verdict.blocks]
    reasons += [row.reason for row in facts.budgets if row.verdict.blocks]
    reasons += facts.claims
    reasons += [f"dvc.lock is stale: {reason}" for reason in lock.stale]
    reasons += [f"{path} is not in the data remote" for path in lock.missing]
    warnings = []
    if facts.unjudged:
        words = "so the numbers are the pull request's own word"
        warnings.append(f"a code owner must look: the base can't score this model ({facts.unjudged}), {words}")
    if changes.owned_changes:
        more = len(changes.owned_changes) - FILES_NAMED
        named = [*changes.owned_changes[:FILES_NAMED], *([f"{more} more"] if more > 0 else [])]
        warnings.append(f"a code owner must look at what changes here: {', '.join(named)}")
    if changes.gates_changed:
        warnings.append("gates.yaml changes here: this review used the gates of the base")
    warnings += [row.reason for row in rows if _warns(row)]
    warnings += judgement.remarks
    warnings += [f"the contract breaks its callers: {what}" for what in changes.contract.breaks]
    outcome = Outcome.BLOCKS if reasons else Outcome.WARNS if warnings else Outcome.PASSES
    return Conclusion(outcome, tuple(reasons), tuple(warnings), tuple(_notes(facts)))


def _warns(row: SegmentRow) -> bool:
    if row.verdict is Verdict.CANNOT_TELL:
        return isinstance(row, MetricRow)
    return row.verdict is Verdict.WAIVED


def _notes(facts: Facts) -> list[str]:
    """Return what is good to know before the merge, and is nobody's fault."""
    segments = facts.judgement.segments
    unsure = [row for row in segments if row.verdict is Verdict.CANNOT_TELL]
    if not unsure:
        return []
    count = f"these rows can't tell for {len(unsure)} of {len(segments)} segments whether they lose more than"
    effects = [(row.interval.minimum_detectable_effect, row) for row in unsure if row.interval]
    if not effects:
        return [f"{count} {unsure[0].tolerance:g}: the metric has no value there"]
    effect, worst = max(effects, key=lambda found: found[0])
    return [f"{count} {worst.tolerance:g}: at worst a loss shows from {effect:.4f} on, in {worst.name}"]
