"""Score rows with the model file, the one that is served, and measure the held-out ones."""

import json
import time
from argparse import ArgumentParser
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from model import data
from serving.model_file.description import describe
from serving.model_file.opening import Model, open_model
from serving.rows.errors import ModelError, run_stage
from serving.rows.matrices import Matrices, from_frame
from serving.rows.schema import load_schema

PREDICTIONS = Path("build/predictions.parquet")
METRICS = Path("metrics.json")
PLOTS = Path("plots")
BINS = 10
TIMED = 200  # rows, one at a time

Vector = NDArray[np.float64]


def evaluate(rows: Path = data.HOLDOUT, predictions: Path = PREDICTIONS, timing: Path | None = None) -> None:
    """Write a prediction for each row: `id` (text), `truth` and `score` (float64).

    With the default paths it also writes metrics.json, model.json and the plots; with others, this model scores another
    version's rows. `timing` is where to write how long one prediction takes, and the model file's format.

    Raises:
        ModelError: the file can't be read, lacks a column, or a column holds another type.
    """
    schema = load_schema()
    frame = data.read_rows(rows)
    if schema.id and schema.id not in frame:
        raise ModelError(f"the rows have no column {schema.id!r}, the id in schema.yaml")
    model, matrices = open_model(), from_frame(schema, frame)
    actual, scores = data.truth(schema, frame), model.score(matrices)
    ids = (frame[schema.id] if schema.id else frame.index.to_series()).astype("str")
    predictions.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame({"id": ids.to_numpy(), "truth": actual, "score": scores}).to_parquet(predictions, index=False)
    if timing:
        timing.write_text(json.dumps({"format": model.format, "p95_ms": latency(model, matrices)}))
    if (rows, predictions) != (data.HOLDOUT, PREDICTIONS):
        return
    binary = schema.target.task == "binary"
    numbers = measure(actual, scores, binary=binary)
    METRICS.write_text(json.dumps(numbers, indent=2) + "\n")
    describe(schema, model)
    PLOTS.mkdir(exist_ok=True)
    calibration(actual, scores).to_csv(PLOTS / "calibration.csv", index=False)
    distribution(actual, scores).to_csv(PLOTS / "scores.csv", index=False)
    print(", ".join(f"{name} {number:g}" for name, number in numbers.items()))


def latency(model: Model, matrices: Matrices) -> float:
    """Return the 95th percentile of the time that the model takes for one row, in milliseconds."""
    rows = min(TIMED, len(next(iter(matrices.values()))))
    singles = [{name: matrix[i : i + 1] for name, matrix in matrices.items()} for i in range(rows)]
    took = []
    for row in singles:
        start = time.perf_counter()
        model.score(row)
        took.append(time.perf_counter() - start)
    return float(np.quantile(took, 0.95)) * 1000


def measure(actual: Vector, scores: Vector, *, binary: bool) -> dict[str, float]:
    """Return the metrics of the held-out rows, to six significant digits."""
    from sklearn import metrics  # slow to import, and scoring alone does without

    if binary:
        found = {
            "roc_auc": metrics.roc_auc_score(actual, scores),
            "average_precision": metrics.average_precision_score(actual, scores),
            "log_loss": metrics.log_loss(actual, scores),
            "brier": metrics.brier_score_loss(actual, scores),
        }
    else:
        found = {
            "r2": metrics.r2_score(actual, scores),
            "mae": metrics.mean_absolute_error(actual, scores),
            "rmse": metrics.root_mean_squared_error(actual, scores),
        }
    return {name: float(f"{number:.6g}") for name, number in found.items()} | {"rows": len(actual)}


def calibration(actual: Vector, scores: Vector) -> pd.DataFrame:
    """Return, for tenths of the rows by rising score, the mean score (`predicted`) and the mean truth (`observed`)."""
    groups = np.array_split(np.argsort(scores, kind="stable"), min(BINS, len(scores)))
    means = [(scores[group].mean(), actual[group].mean(), len(group)) for group in groups]
    return pd.DataFrame(means, columns=["predicted", "observed", "rows"]).round(6)


def distribution(actual: Vector, scores: Vector) -> pd.DataFrame:
    """Return how many rows have a score in each bin: of a low truth (0, or up to the median) and of a high one."""
    high = actual > (0.5 if set(np.unique(actual)) <= {0, 1} else np.median(actual))
    edges = np.histogram_bin_edges(scores, 2 * BINS)
    low_rows, high_rows = (np.histogram(scores[part], edges)[0] for part in (~high, high))
    middle = (edges[:-1] + edges[1:]) / 2
    return pd.DataFrame({"score": middle, "truth_low": low_rows, "truth_high": high_rows}).round(6)


def add_options(parser: ArgumentParser) -> None:
    """Add the options of `evaluate`."""
    rows, predictions = "Parquet file (default: %(default)s)", "where to write (default: %(default)s)"
    parser.add_argument("--rows", type=Path, default=data.HOLDOUT, help=rows)
    parser.add_argument("--predictions", type=Path, default=PREDICTIONS, help=predictions)
    parser.add_argument("--timing", type=Path, help="where to write how long one prediction takes (JSON)")


if __name__ == "__main__":
    parser = ArgumentParser("model.evaluate", description=__doc__)
    add_options(parser)
    run_stage(lambda: evaluate(**vars(parser.parse_args())))
