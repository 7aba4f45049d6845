"""gates.yaml: what a model must reach. A misspelt key is refused, since a gate that is not read can't block."""

import math
from dataclasses import dataclass
from datetime import date
from typing import Any

import yaml

from gitops.shell import Stop

GATE = {"floor": None, "tolerance": 0.0, "require": "not_worse"}
REQUIREMENTS = ("not_worse", "non_inferior", "better")
SEGMENTS = {"columns": [], "metric": "roc_auc", "tolerance": 0.0, "min_rows": 100}
WAIVER = ("metric", "reason", "who", "until")
OUTCOMES = ("true_positive", "false_positive", "false_negative", "true_negative")
BUDGETS = ("training_seconds", "model_mb", "p95_ms", "memory_mb", "image_mb")
BASELINES = ("main", "production")
PARTS = ("metrics", "baseline", "segments", "budgets", "value", "waivers")


@dataclass(frozen=True)
class Gates:
    """The checked content; `metrics` maps a name to its `floor`, `tolerance` and `require`."""

    metrics: dict[str, dict[str, Any]]
    segments: dict[str, Any]
    budgets: dict[str, float]
    baseline: str
    value: dict[str, float] | None
    waivers: list[dict[str, Any]]


def read(text: str | None) -> dict[str, Any]:
    """Parse gates.yaml.

    Raises:
        Stop: it is not YAML, or not a mapping.
    """
    try:
        content = yaml.safe_load(text or "")
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a day like 2027-02-31
        raise Stop(f"gates.yaml is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise Stop("gates.yaml must be a mapping with `metrics:`")
    return content


def check(raw: dict[str, Any]) -> Gates:
    """Complete the gates with their defaults.

    Raises:
        Stop: a key or value is none that we know; the sentence says where.
    """
    _known("the file", raw, PARTS)
    metrics, value, baseline = raw.get("metrics"), raw.get("value"), raw.get("baseline", BASELINES[0])
    if not isinstance(metrics, dict) or not metrics:
        raise Stop("gates.yaml names no metric under `metrics`, so nothing would be judged")
    if baseline not in BASELINES:
        raise Stop(f"gates.yaml: baseline is {baseline!r}, which is none of {', '.join(BASELINES)}")
    return Gates(
        {name: _settings(f"metrics.{name}", gate, GATE) for name, gate in metrics.items()},
        _settings("segments", raw.get("segments"), SEGMENTS),
        _budgets(raw.get("budgets") or {}),
        baseline,
        None if value is None else _outcomes(value),
        [_waiver(waiver) for waiver in raw.get("waivers") or []],
    )


def _known(where: str, given: Any, keys: Any) -> None:
    if not isinstance(given, dict):
        raise Stop(f"gates.yaml: {where} is not a mapping of {', '.join(keys)}")
    if odd := sorted(map(str, set(given) - set(keys))):
        raise Stop(f"gates.yaml: {where} has no {odd[0]!r}; it knows {', '.join(keys)}")


def _number(where: str, given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        raise Stop(f"gates.yaml: {where} is {given!r}, which is not a number")
    return float(given)


def _settings(where: str, given: Any, defaults: dict[str, Any]) -> dict[str, Any]:
    given = given or {}
    _known(where, given, defaults)
    for key in {"floor", "tolerance", "min_rows"} & set(given):
        _number(f"{where}.{key}", given[key])
    made: dict[str, Any] = defaults | given
    if made.get("require", REQUIREMENTS[0]) not in REQUIREMENTS:
        raise Stop(f"gates.yaml: {where}.require is {made['require']!r}, which is none of {', '.join(REQUIREMENTS)}")
    return made


def _budgets(given: Any) -> dict[str, float]:
    """Read the most that a model may take, each by the unit in its name."""
    _known("budgets", given, BUDGETS)
    return {name: _number(f"budgets.{name}", limit) for name, limit in given.items()}


def _outcomes(given: Any) -> dict[str, float]:
    """Read what each outcome of one row gains; a cost is negative."""
    _known("value", given, OUTCOMES)
    return {name: _number(f"value.{name}", given.get(name)) for name in OUTCOMES}


def _waiver(given: Any) -> dict[str, Any]:
    _known("a waiver", given, WAIVER)
    if lacking := [key for key in WAIVER if not given.get(key)]:
        raise Stop(f"gates.yaml: a waiver needs {', '.join(WAIVER)}, and one has no {lacking[0]}")
    if not isinstance(given["until"], date):
        raise Stop(f"gates.yaml: a waiver's until is {given['until']!r}, which is no day like 2027-01-31")
    return dict(given)
