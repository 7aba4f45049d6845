"""Held-out rows as a caller would send them, and whether the scores that come back are those that were reviewed."""

import json
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gitops.description import Description
from gitops.project import Project
from gitops.review.claims import SCORE
from gitops.shell import CommandError

ROWS = 100
DIGITS = 1e-5  # of a score's size; float32 keeps seven digits, of which a long sum loses one or two


def records(project: Project, model: Description) -> list[dict[str, Any]]:
    """Return the first held-out rows as JSON values: the id and the features, a missing value as None.

    Raises:
        CommandError: the rows lack a column that the description names.
    """
    rows = pd.read_parquet(project.rows).head(ROWS)
    if lacking := [name for name in model.fields if name not in rows]:
        raise CommandError(
            f"{project.rows} has no column {lacking[0]!r}, which {project.description} names: both must agree"
        )
    rows = rows[model.fields]
    for feature in model.features:
        if feature.type == "date" and pd.api.types.is_datetime64_any_dtype(rows[feature.name]):
            rows = rows.assign(**{feature.name: rows[feature.name].dt.strftime("%Y-%m-%d")})
    found: list[dict[str, Any]] = json.loads(rows.to_json(orient="records", date_format="iso", double_precision=15))
    return found


def differences(project: Project, who: str, scores: Any) -> str:
    """Return in what scores of these rows, in their order, differ from the reviewed ones; "" where they don't.

    Args:
        project: names the predictions.
        who: scored the rows, for the sentence.
        scores: JSON values; anything but a number for each row is a difference.
    """
    reviewed = pd.read_parquet(project.predictions)["score"].head(ROWS).to_numpy(float)
    if not isinstance(scores, list) or len(scores) != len(reviewed):
        return f"{who} answers {len(scores) if isinstance(scores, list) else 'no'} scores to {len(reviewed)} rows"
    found = np.array([value if type(value) in (int, float) else np.nan for value in scores], float)
    odd: NDArray[np.bool_] = ~np.isclose(found, reviewed, rtol=DIGITS, atol=SCORE)
    if not odd.any():
        return ""
    first = int(np.argmax(odd))
    return (
        f"{who} scores {odd.sum()} of {len(found)} held-out rows otherwise than the reviewed model, the first "
        f"{found[first]:g} instead of {reviewed[first]:g}"
    )
