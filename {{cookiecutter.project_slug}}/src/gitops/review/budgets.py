"""What a model takes: training time, size, and how long one prediction lasts, beside what gates.yaml allows."""

from collections.abc import Mapping

from gitops.review.record import BudgetRow, Verdict

NAMES = {
    "training_seconds": "training (s)",
    "model_mb": "model file (MB)",
    "p95_ms": "p95 of one prediction (ms)",
    "memory_mb": "memory of the service (MB)",
    "image_mb": "image (MB)",
}
Resources = Mapping[str, float | None]  # by the keys of NAMES


def check_budgets(limits: Mapping[str, float], challenger: Resources, champion: Resources) -> tuple[BudgetRow, ...]:
    """Return a row for all that was measured or has a limit; what has a limit and was not measured here says so.

    A review knows the training time only where it trained, and neither memory nor image: the release measures these.
    """
    return tuple(
        _row(name, limits.get(name), challenger.get(name), champion.get(name))
        for name in NAMES
        if name in limits or challenger.get(name) is not None
    )


def _row(name: str, limit: float | None, value: float | None, before: float | None) -> BudgetRow:
    verdict, reason = Verdict.WITHIN_THE_BUDGET, ""
    if value is None:
        verdict = Verdict.NOT_MEASURED
    elif limit is None:
        verdict = Verdict.NO_LIMIT
    elif value > limit:
        verdict = Verdict.OVER_THE_BUDGET
        reason = f"{NAMES[name]} {value:.4g} is over the budget of {limit:g}"
    return BudgetRow(name=NAMES[name], champion=before, challenger=value, limit=limit, verdict=verdict, reason=reason)
