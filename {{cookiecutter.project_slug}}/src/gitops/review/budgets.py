"""What a model takes: training time, size, and how long one prediction lasts, beside what gates.yaml allows."""

from typing import Any

NAMES = {
    "training_seconds": "training (s)",
    "model_mb": "model file (MB)",
    "p95_ms": "p95 of one prediction (ms)",
    "memory_mb": "memory of the service (MB)",
    "image_mb": "image (MB)",
}


def rows(
    limits: dict[str, float], challenger: dict[str, float | None], champion: dict[str, float | None]
) -> list[dict[str, Any]]:
    """Return a row for all that was measured or has a limit; what has a limit and was not measured here says so.

    A review knows the training time only where it trained, and neither memory nor image: the release measures these.
    """
    return [
        _row(name, limits.get(name), challenger.get(name), champion.get(name))
        for name in NAMES
        if name in limits or challenger.get(name) is not None
    ]


def _row(name: str, limit: float | None, value: float | None, before: float | None) -> dict[str, Any]:
    row: dict[str, Any] = {"name": NAMES[name], "champion": before, "challenger": value, "limit": limit, "reason": ""}
    if value is None:
        return row | {"verdict": "not measured here"}
    if limit is None:
        return row | {"verdict": "no limit"}
    if value <= limit:
        return row | {"verdict": "within the budget"}
    return row | {"verdict": "over the budget", "reason": f"{NAMES[name]} {value:.4g} is over the budget of {limit:g}"}
