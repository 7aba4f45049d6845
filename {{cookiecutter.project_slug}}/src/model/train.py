"""Fit the pipeline that params.yaml chooses, and write all of it, preprocessing included, to the model file."""

from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from model import data, score
from model.export import OUT, chosen, export
from model.schema import ModelError, Schema, cause, load, param

PARITY = 1e-5


def train() -> None:
    """Write the model file, once it is shown to score the held-out rows as the fitted pipeline does."""
    schema, form = load(), chosen()
    rows, holdout = (data.read_rows(path) for path in (data.TRAIN, data.HOLDOUT))
    matrices = score.from_frame(schema, rows)
    pipeline = build(schema, param("model.kind"), param("seed"))
    try:
        pipeline.fit(_frame(matrices), data.truth(schema, rows))
    except ValueError as error:
        raise ModelError(f"training failed with model.{param('model.kind')} of params.yaml: {error}") from None
    _floor_thresholds(pipeline[-1])
    content = export(pipeline, matrices, reference(schema, rows, pipeline), form)
    difference = parity(pipeline, content, score.from_frame(schema, holdout))
    if not difference <= PARITY:  # NaN too
        raise ModelError(
            f"the {form} file differs from the pipeline by {difference:.1e} on held-out rows (at most {PARITY:g})"
            f": a step of the pipeline has no faithful form in it, so {OUT if form == 'onnx' else 'choose another'}"
        )
    score.MODEL.write_bytes(content)
    print(
        f"{score.MODEL}: {form}, {len(content):,} bytes; on the held-out rows within {difference:.1e} of the pipeline"
    )


def build(schema: Schema, kind: str, seed: int) -> Pipeline:
    """Return the unfitted pipeline: numbers first, then categories, by position.

    Raises:
        ModelError: params.yaml names a kind or a parameter that doesn't exist.
    """
    binary = schema.target.task == "binary"
    settings = param(f"model.{kind}") or {}
    try:
        if kind == "linear":
            alpha = param("model.linear.alpha")
            estimator = LogisticRegression(C=1 / alpha, max_iter=1000) if binary else Ridge(alpha=alpha)
        elif kind == "gradient_boosting":
            boosting = HistGradientBoostingClassifier if binary else HistGradientBoostingRegressor
            estimator = boosting(random_state=seed, **settings)
        else:
            raise ModelError(f"params.yaml: the model kind {kind!r} is neither linear nor gradient_boosting")
    except (TypeError, ZeroDivisionError) as error:
        raise ModelError(f"params.yaml, model.{kind}: {error}") from None
    return make_pipeline(_preprocessing(schema, scale=kind == "linear"), estimator)


def _preprocessing(schema: Schema, *, scale: bool) -> ColumnTransformer:
    # Trees get the numbers as they are: scaled to float32, one could land on the other side of a split.
    scaled = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)  # an unseen value is all zeros
    n, m = len(schema.numbers), len(schema.categories)
    steps = [
        ("numbers", scaled if scale else "passthrough", list(range(n))),
        ("categories", one_hot, list(range(n, n + m))),
    ]
    return ColumnTransformer([step for step in steps if step[2]])


def _floor_thresholds(estimator: Any) -> None:
    """Bring the trees' thresholds down to float32, which ONNX has.

    The numbers are float32 too, so each falls on the same side as before. The converter rounds to the nearest, and may
    lift a threshold onto the next number: time stamps in seconds lie that close together.
    """
    for tree in chain.from_iterable(getattr(estimator, "_predictors", [])):
        exact = tree.nodes["num_threshold"]
        nearest = exact.astype(np.float32)
        tree.nodes["num_threshold"] = np.where(nearest > exact, np.nextafter(nearest, np.float32(-np.inf)), nearest)


def reference(schema: Schema, rows: pd.DataFrame, pipeline: Pipeline) -> dict[str, Any]:
    """Return what the service needs to know of the training rows: it goes into the model file.

    `typical` is each column's median, or its most frequent value; `deciles` are the nine that part the scores.
    """
    scores = _scores(pipeline, _frame(score.from_frame(schema, rows)))
    typical = {name: _typical(column.type, rows[name].dropna()) for name, column in schema.columns.items()}
    return {"typical": typical, "deciles": np.unique(np.quantile(scores, np.arange(1, 10) / 10)).tolist()}


def _typical(kind: str, values: "pd.Series[Any]") -> Any:
    if values.empty or kind in ("category", "boolean"):
        return values.mode().tolist()[0] if len(values) else None
    return sorted(values.tolist())[len(values) // 2]  # the upper median: a value that occurs, of dates too


def parity(pipeline: Pipeline, content: bytes, matrices: score.Matrices) -> float:
    """Return the largest difference of the file's scores from the pipeline's, relative to the largest score.

    Raises:
        ModelError: the file can't be opened, or can't score these rows.
    """
    expected = _scores(pipeline, _frame(matrices))
    try:
        found = score.load(content).score(matrices)
    except ModelError as error:
        raise ModelError(f"the model file would be of no use: {error}") from None
    except Exception as error:  # those of onnxruntime and skops have no common class
        raise ModelError(f"the model file would be of no use: {cause(error)}: choose another step") from None
    return float(np.abs(found - expected).max() / (np.abs(expected).max() or 1))


def _scores(pipeline: Pipeline, frame: pd.DataFrame) -> NDArray[np.float64]:
    scores = pipeline.predict_proba(frame)[:, 1] if hasattr(pipeline, "predict_proba") else pipeline.predict(frame)
    return np.asarray(scores, np.float64)


def _frame(matrices: score.Matrices) -> pd.DataFrame:
    """Put the matrices side by side for scikit-learn: training sees the very values that the service will."""
    parts = [pd.DataFrame(matrix).add_prefix(name) for name, matrix in matrices.items()]
    return pd.concat(parts, axis=1)
