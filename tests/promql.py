"""What PromQL expressions ask for."""

import re
from typing import Any

import promql_parser


def selectors(expression: str) -> list[tuple[str, set[str]]]:
    """Return the metrics that an expression reads, each with the labels that it selects by.

    Grafana's own variables are put in first, as it does it.

    Raises:
        ValueError: it is no PromQL.
    """
    found = list[tuple[str, set[str]]]()

    def visit(part: Any) -> bool:
        if isinstance(part, promql_parser.VectorSelector):
            found.append((part.name or "", {matcher.name for matcher in part.matchers.matchers}))
        return True

    promql_parser.walk(promql_parser.parse(re.sub(r"\$__\w+", "5m", expression)), visit)
    return found


def rule_expressions(rule: dict[str, Any]) -> list[str]:
    """Return the expressions of a PrometheusRule."""
    return [one["expr"] for group in rule["spec"]["groups"] for one in group["rules"]]


def dashboard_expressions(dashboard: dict[str, Any]) -> list[str]:
    """Return the expressions of a dashboard's panels."""
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
