"""How a metric went over the last releases, up to the model that wants to be merged."""

import math
from contextlib import suppress
from typing import Any

from gitops import tags
from gitops.document import METRICS
from gitops.git import show
from gitops.project import Project
from gitops.review import claims
from gitops.shell import Stop

RELEASES = 19  # shown at most; the challenger is the last point


def charts(project: Project, metrics: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the chart of the first metric that a release recorded in its metrics file; none before the first one."""
    with suppress(Stop):  # without a network the tags of this clone have to do
        tags.fetch()
    commits = [release.commit for release in tags.releases(project)][-RELEASES:]
    recorded = [claims.numbers(show(commit, project.metrics)) or {} for commit in commits]
    for row in metrics:
        values = [entry[row["name"]] for entry in recorded if math.isfinite(entry.get(row["name"], math.nan))]
        if values and math.isfinite(row["challenger"]):
            return [_chart(row["name"], [*values, row["challenger"]])]
    return []


def _chart(name: str, values: list[float]) -> dict[str, Any]:
    low, high = min(values), max(values)
    margin = (high - low) / 10 or abs(high) / 100 or 1
    word = name if name in METRICS else "metric"  # a name from gates.yaml is not ours, and stays out of a drawing
    return {
        "title": "The last releases, and this model",
        "x": ["release, this model last", 1, len(values)],
        "y": [word, float(f"{low - margin:.4g}"), float(f"{high + margin:.4g}")],
        "series": {"releases": [float(f"{value:.4g}") for value in values]},
    }
