"""How a metric went over the last releases, up to the model that wants to be merged."""

import math
from collections.abc import Sequence
from contextlib import suppress

from gitops import tags
from gitops.document import METRICS, Axis, Chart, Series
from gitops.git import show_many
from gitops.project import Project
from gitops.review.record import MetricRow
from gitops.review.state import read_metrics
from gitops.shell import CommandError

RELEASES = 19  # shown at most; the challenger is the last point


def release_charts(project: Project, metrics: Sequence[MetricRow]) -> list[Chart]:
    """Return the chart of the first metric that a release recorded in its metrics file; none before the first one."""
    with suppress(CommandError):  # without a network the tags of this clone have to do
        tags.fetch()
    commits = [release.commit for release in tags.releases(project)][-RELEASES:]
    recorded = [read_metrics(text) or {} for text in show_many([f"{one}:{project.metrics}" for one in commits])]
    for row in metrics:
        values = [entry[row.name] for entry in recorded if math.isfinite(entry.get(row.name, math.nan))]
        if values and row.challenger is not None:
            return [_chart(row.name, [*values, row.challenger])]
    return []


def _chart(name: str, values: Sequence[float]) -> Chart:
    low, high = min(values), max(values)
    margin = (high - low) / 10 or abs(high) / 100 or 1
    word = name if name in METRICS else "metric"  # a name from gates.yaml is not ours, and stays out of a drawing
    return Chart(
        "The last releases, and this model",
        Axis("release, this model last", 1, len(values)),
        Axis(word, float(f"{low - margin:.4g}"), float(f"{high + margin:.4g}")),
        (Series("releases", tuple(float(f"{value:.4g}") for value in values)),),
    )
