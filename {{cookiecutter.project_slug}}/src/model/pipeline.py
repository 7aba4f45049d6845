"""The model, unfitted: the one file to replace with your own. docs/own-model.md has recipes for it."""

from collections.abc import Callable, Sequence
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

from serving.rows.errors import ModelError
from serving.rows.schema import Schema

Params = dict[str, Any]
Step = tuple[str, Any, list[str]]


def build(schema: Schema, params: Params) -> Pipeline:
    """Return the unfitted pipeline that `model.kind` of params.yaml names in `KINDS`.

    It is fitted on, and scores, a data frame with the columns of schema.yaml by their names: numbers, booleans (0 or 1)
    and dates (days since 1970-01-01) as float32, missing as NaN; categories as text, missing as "".

    Raises:
        ModelError: params.yaml names a kind or a parameter that doesn't exist.
    """
    kind = params["model"].get("kind")
    if kind not in KINDS:
        raise ModelError(f"params.yaml: the model kind {kind!r} is none of {', '.join(KINDS)} (src/model/pipeline.py)")
    try:
        return KINDS[kind](schema, params)
    except KeyError as error:
        raise ModelError(f"params.yaml has no model.{kind}.{error.args[0]}, which pipeline.py reads") from None
    except (TypeError, ZeroDivisionError) as error:
        raise ModelError(f"params.yaml, model.{kind}: {error}") from None


def fit(pipeline: Pipeline, rows: pd.DataFrame, truth: NDArray[np.float64], params: Params) -> None:
    """Fit the pipeline on n rows; sample weights and early stopping belong here.

    Args:
        pipeline: what `build` returned.
        rows: the features of the training rows, as `build` describes them.
        truth: [n], 1 for the positive value and 0 for the negative one, or the number to predict.
        params: the content of params.yaml.
    """
    pipeline.fit(rows, truth)


def linear(schema: Schema, params: Params) -> Pipeline:
    """Return a logistic regression, or for a number a ridge regression."""
    alpha = params["model"]["linear"]["alpha"]
    binary = schema.target.task == "binary"
    scaled = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
    estimator = LogisticRegression(C=1 / alpha, max_iter=1000) if binary else Ridge(alpha=alpha)
    return make_pipeline(columns(schema, numbers=scaled), estimator)


def gradient_boosting(schema: Schema, params: Params) -> Pipeline:
    """Return histogram gradient boosting; trees need no scaling and take missing numbers as they are."""
    binary = schema.target.task == "binary"
    boosting = HistGradientBoostingClassifier if binary else HistGradientBoostingRegressor
    estimator = boosting(random_state=params["seed"], **params["model"]["gradient_boosting"] or {})
    return make_pipeline(columns(schema, numbers="passthrough"), estimator)


def columns(schema: Schema, *, numbers: Any, own: Sequence[Step] = ()) -> ColumnTransformer:
    """Return the preprocessing: the step `numbers` for all numeric columns, one-hot encoding for the categories.

    `own` are further steps: a name, the step, and the names of the columns that it gets, as one data frame.
    """
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)  # an unseen value is all zeros
    steps = [("numbers", numbers, schema.numbers), ("categories", one_hot, schema.categories)]
    return ColumnTransformer([step for step in [*steps, *own] if step[2]])


KINDS: dict[str, Callable[[Schema, Params], Pipeline]] = {"linear": linear, "gradient_boosting": gradient_boosting}
