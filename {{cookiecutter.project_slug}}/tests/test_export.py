"""Both formats of the model file hold the fitted pipeline; what can't be written or served is refused in words."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import small_model
from numpy.typing import NDArray
from skl2onnx import update_registered_converter
from skl2onnx.algebra.onnx_ops import OnnxDiv
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, SplineTransformer, StandardScaler

from model.pipeline import fit
from model.train import train
from serving.model_file.export import PARITY, chosen_format, export, faithful, parity, to_skops
from serving.model_file.opening import MODEL, OnnxModel, load_model, open_model
from serving.rows.errors import ModelError
from serving.rows.matrices import Matrices, named
from serving.rows.schema import Schema

SERVED = '[dependency-groups]\nserve = [{include-group = "skops"}, "numpy"]\n'
UNSERVED = '[dependency-groups]\nserve = ["numpy"]\n'


def choose(**settings: str) -> None:
    path = Path("params.yaml")
    for name, value in settings.items():
        path.write_text(re.sub(rf"(?m)^  {name}: \w+", f"  {name}: {value}", path.read_text(), count=1))


ONE = Schema.model_validate({"target": {"name": "y", "task": "regression"}, "columns": {"x": {"type": "number"}}})


def fitted(*steps: Any) -> Pipeline:
    rows = pd.DataFrame({"x": np.arange(20, dtype=np.float32)})
    return make_pipeline(*steps, LogisticRegression()).fit(rows, np.arange(20) > 9)


def test_parity_is_the_distance_between_two_models() -> None:
    pipeline, inputs = small_model.fitted(), small_model.inputs()
    for form in ("onnx", "skops"):
        content = export(pipeline, small_model.SCHEMA, form=form)
        assert parity(pipeline, content, small_model.SCHEMA, inputs) < PARITY
        pipeline[-1].coef_ += 0.5
        assert parity(pipeline, content, small_model.SCHEMA, inputs) > PARITY


def test_a_file_that_scores_otherwise_than_its_pipeline_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline, inputs = small_model.fitted(), small_model.inputs()
    _, difference = faithful(pipeline, small_model.SCHEMA, inputs, {}, "onnx")
    assert 0 <= difference <= PARITY
    honest = OnnxModel.score
    monkeypatch.setattr(OnnxModel, "score", lambda self, matrices: honest(self, matrices) * (1 + 3 * PARITY))
    with pytest.raises(ModelError, match="the onnx file differs from the pipeline by"):
        faithful(pipeline, small_model.SCHEMA, inputs, {}, "onnx")


def test_an_infinite_number_has_no_score_and_leaves_the_others_theirs() -> None:
    model = load_model(to_skops(fitted(), ONE, None))
    found = model.score({"numbers": np.array([[2.0], [np.inf], [15.0]], np.float32)})
    assert np.isnan(found[1]) and found[0] < 0.5 < found[2]
    many = model.score({"numbers": np.full((10_000, 1), 2, np.float32)})
    assert len(many) == 10_000 and (many == found[0]).all()


def test_rows_that_the_pipeline_refuses_are_told() -> None:
    with pytest.raises(ModelError, match="can't score these rows: Input X contains NaN"):
        load_model(to_skops(fitted(), ONE, None)).score({"numbers": np.array([[np.nan]], np.float32)})


class Half(TransformerMixin, BaseEstimator):
    """A step as a data scientist writes one in src/model: it takes a column by its name."""

    __module__ = "model.pipeline"

    def __init__(self, column: str = "x") -> None:
        self.column = column

    def fit(self, rows: pd.DataFrame, truth: Any = None) -> "Half":
        return self

    def transform(self, rows: pd.DataFrame) -> NDArray[np.float32]:
        return (rows[self.column] / 2).to_numpy(np.float32)[:, np.newaxis]


class XGBStep(Half):
    __module__ = "xgboost.sklearn"


class OtherStep(Half):
    __module__ = "another.library"


SKOPS_HELPS = "choose `format: skops` under `model` in params.yaml"
REGISTER = "register a converter for it, as docs/own-model.md shows"
BRING = "register the converter for XGBoost that onnxmltools brings, as docs/own-model.md shows"
CURES: dict[str, tuple[tuple[Any, ...], str]] = {
    "scikit-learn's": (
        (SplineTransformer(),),
        f"SplineTransformer can't be written as onnx: {SKOPS_HELPS}, or {REGISTER}",
    ),
    "one's own": ((Half(),), f"Half can't be written as onnx: {REGISTER}, or {SKOPS_HELPS}"),
    "XGBoost's": ((XGBStep(),), f"XGBStep can't be written as onnx: {BRING}"),
    "another library's": ((OtherStep(),), f"OtherStep can't be written as onnx: {REGISTER}"),
    "beside one that skops refuses": (
        (ColumnTransformer([("a", SplineTransformer(), ["x"]), ("b", OtherStep(), ["x"])]),),
        f"SplineTransformer can't be written as onnx: {REGISTER}",
    ),
}


@pytest.mark.parametrize(("steps", "cure"), CURES.values(), ids=CURES)
def test_a_step_without_onnx_form_is_named_with_what_helps_it(steps: tuple[Any, ...], cure: str) -> None:
    with pytest.raises(ModelError) as error:
        export(fitted(*steps), ONE)
    assert str(error.value).startswith(
        f"the step {cure} (the converter says: Unable to find a shape calculator for type"
    )


@pytest.mark.parametrize(
    ("step", "way"),
    [
        (
            XGBStep(),
            "a xgboost.sklearn.XGBStep.* with the converter for XGBoost that onnxmltools brings, as docs/own-m",
        ),
        (OtherStep(), "a another.library.OtherStep.* with a converter for it, as docs/own-model.md shows"),
    ],
)
def test_what_skops_refuses_is_not_sent_back_to_skops(step: Half, way: str) -> None:
    with pytest.raises(ModelError, match=f"holds {way}") as error:
        export(fitted(step), ONE, form="skops")
    assert "choose `format: onnx` under `model`" in str(error.value) and "format: skops" not in str(error.value)


BINARY = Schema.model_validate(
    {
        "target": {"name": "y", "task": "binary", "positive": "p", "negative": "n"},
        "columns": {
            "Größe (cm)": {"type": "number"},
            'it\'s "x"': {"type": "number", "nullable": True},
            "numbers": {"type": "number"},
            "Straße, Ort": {"type": "category", "values": ["a b", "ü'"]},
        },
    }
)
NUMBERS = BINARY.model_copy(update={"columns": {name: BINARY.columns[name] for name in BINARY.numbers}})


def made(schema: Schema) -> tuple[Matrices, NDArray[np.float64]]:
    """Make up 200 rows of a schema without missing values, and a truth."""
    random = np.random.default_rng(3)
    matrices: Matrices = {"numbers": random.normal(size=(200, len(schema.numbers))).astype(np.float32)}
    if schema.categories:
        matrices["categories"] = random.choice(["a b", "ü'"], (200, 1)).astype(object)
    return matrices, (matrices["numbers"][:, 0] > matrices["numbers"][:, 1]).astype(np.float64)


def columns(schema: Schema, *, numbers: Any, own: Sequence[Any] = ()) -> ColumnTransformer:
    """Return a preprocessing of a schema's columns by their names, whatever src/model/pipeline.py does."""
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return ColumnTransformer([("numbers", numbers, schema.numbers), ("categories", one_hot, schema.categories), *own])


def half_shape(operator: Any) -> None:
    operator.outputs[0].type = FloatTensorType([None, 1])


def half_onnx(scope: Any, operator: Any, container: Any) -> None:
    opset = {"op_version": container.target_opset}
    half = OnnxDiv(operator.inputs[0], np.full(1, 2, np.float32), output_names=operator.outputs[:1], **opset)
    half.add_to(scope, container)


class Known(Half):
    """A step of one's own that has a converter."""

    __module__ = "model.pipeline"


def test_an_own_step_takes_a_column_by_any_name_in_both_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    update_registered_converter(Known, "Known", half_shape, half_onnx)
    monkeypatch.setattr("model.pipeline.Known", Known, raising=False)
    matrices, truth = made(BINARY)
    for name in BINARY.numbers:
        own = [("own", Known(name), [name])]
        pipeline = make_pipeline(columns(BINARY, numbers=StandardScaler(), own=own), LogisticRegression())
        pipeline.fit(named(BINARY, matrices), truth)
        for form in ("onnx", "skops"):
            content, difference = faithful(pipeline, BINARY, matrices, {"a": 1}, form)
            assert difference < PARITY and load_model(content).code() == (["model.pipeline"] if form == "skops" else [])


TOPS = {
    "one estimator": LogisticRegression(),
    "trees": HistGradientBoostingClassifier(max_iter=5),
    "a vote": VotingClassifier(
        [("a", LogisticRegression()), ("b", HistGradientBoostingClassifier(max_iter=5))],
        voting="soft",
        flatten_transform=False,
    ),
    "a calibration": CalibratedClassifierCV(HistGradientBoostingClassifier(max_iter=5)),
    "a search": GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression__C": [0.1, 1]}
    ),
}


@pytest.mark.parametrize("top", TOPS.values(), ids=TOPS)
@pytest.mark.parametrize("form", ["onnx", "skops"])
def test_a_model_need_not_be_a_pipeline(top: Any, form: str) -> None:
    matrices, truth = made(NUMBERS)
    top.fit(named(NUMBERS, matrices), truth)
    assert faithful(top, NUMBERS, matrices, {"a": 1}, form)[1] < PARITY


def test_trees_inside_a_vote_part_numbers_that_lie_close_together() -> None:
    stamps = np.float32(1_700_000_000) + 128 * np.arange(200, dtype=np.float32)  # 128 is the distance of two float32
    matrices: Matrices = {"numbers": np.stack([stamps, stamps * 0, stamps * 0], axis=1)}
    trees = HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=1)
    vote = VotingClassifier([("a", trees)], voting="soft", flatten_transform=False)
    scores = vote.fit(named(NUMBERS, matrices), np.arange(200) % 3 == 0).predict_proba(named(NUMBERS, matrices))[:, 1]
    assert load_model(export(vote, NUMBERS)).score(matrices) == pytest.approx(scores, abs=1e-6)


class Stump(RegressorMixin, BaseEstimator):
    """One tree with a float64 threshold, as LightGBM's are."""

    threshold = 111.54999923706056  # halfway between 111.5 and 111.6; the nearest float32 is 111.55

    def fit(self, rows: Any, truth: Any) -> "Stump":
        self.n_features_in_ = 1
        return self

    def predict(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.where(rows[:, 0].astype(np.float64) <= self.threshold, 1.0, 2.0)  # numpy would compare in float32


def stump_onnx(scope: Any, operator: Any, container: Any) -> None:
    tree: dict[str, Any] = {"n_targets": 1, "nodes_treeids": [0, 0, 0], "nodes_nodeids": [0, 1, 2]}
    tree |= {"nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"], "nodes_values": [Stump.threshold, 0.0, 0.0]}
    tree |= {"nodes_featureids": [0] * 3, "nodes_truenodeids": [1, 0, 0], "nodes_falsenodeids": [2, 0, 0]}
    tree |= {"target_treeids": [0, 0], "target_nodeids": [1, 2], "target_ids": [0, 0], "target_weights": [1.0, 2.0]}
    names = operator.inputs[0].full_name, operator.outputs[0].full_name
    container.add_node("TreeEnsembleRegressor", *names, op_domain="ai.onnx.ml", op_version=1, **tree)


def test_another_library_s_threshold_is_not_lifted_onto_a_number() -> None:
    update_registered_converter(Stump, "Stump", half_shape, stump_onnx)
    matrices: Matrices = {"numbers": np.array([[111.5], [111.55], [111.6]], np.float32)}
    pipeline = make_pipeline(ColumnTransformer([("numbers", "passthrough", ["x"])]), Stump())
    pipeline.fit(named(ONE, matrices), np.ones(3))
    content, difference = faithful(pipeline, ONE, matrices, {"a": 1}, "onnx")
    assert difference == 0 and load_model(content).score(matrices).tolist() == [1, 2, 2]


@pytest.mark.parametrize(
    ("task", "top", "sentence"),
    [
        (
            "binary",
            RidgeClassifier(),
            "has two values, and RidgeClassifier gives no probability .* CalibratedClassifierCV",
        ),
        (
            "regression",
            make_pipeline(LogisticRegression()),
            "is a number, and LogisticRegression is a classifier: choose",
        ),
    ],
)
def test_labels_are_no_scores(task: str, top: Any, sentence: str) -> None:
    matrices, truth = made(NUMBERS)
    top.fit(named(NUMBERS, matrices), truth)
    schema = NUMBERS if task == "binary" else NUMBERS.model_copy(update={"target": ONE.target})
    with pytest.raises(ModelError, match=sentence):
        faithful(top, schema, matrices, {"a": 1}, "onnx")


def test_an_estimator_that_can_t_join_columns_is_told_where_it_goes() -> None:
    matrices, truth = made(BINARY)
    inside = make_pipeline(columns(BINARY, numbers="passthrough"), LogisticRegression())
    with pytest.raises(
        ModelError, match=r"as in `make_pipeline\(columns\(…\), CalibratedClassifierCV\(…\)\)`, or choose"
    ):
        export(CalibratedClassifierCV(inside).fit(named(BINARY, matrices), truth), BINARY)


def test_a_file_with_a_foreign_type_is_refused_by_name(small: Path) -> None:
    MODEL.write_bytes(to_skops(FunctionTransformer(os.removedirs), ONE, "{}"))
    with pytest.raises(ModelError, match=r"build/model\.bin: it holds a os\.removedirs, and only sklearn\."):
        open_model()


def test_a_broken_file_is_told(small: Path) -> None:
    MODEL.write_bytes(to_skops(fitted(), ONE, "{}")[:-100])
    with pytest.raises(ModelError, match=r"build/model\.bin is not a model that can be opened"):
        open_model()


def test_the_modules_of_this_project_that_a_file_needs_are_told() -> None:
    assert load_model(to_skops(FunctionTransformer(fit), ONE, None)).code() == ["model.pipeline"]
    assert load_model(to_skops(fitted(), ONE, None)).code() == []


def test_skops_needs_a_line_and_onnx_does_not(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("pyproject.toml").write_text(SERVED)
    assert chosen_format() == "onnx"
    assert capsys.readouterr().out.startswith(
        'note: an ONNX model needs no {include-group = "skops"} in pyproject.toml'
    )
    choose(format="skops")
    assert chosen_format() == "skops" and not capsys.readouterr().out
    Path("pyproject.toml").write_text(UNSERVED)
    with pytest.raises(
        ModelError, match=r"take the first # off the line `# \{include-group = .skops.\}` and run `uv lock`"
    ):
        train()
    choose(format="pickle")
    with pytest.raises(ModelError, match="the model format 'pickle' is neither onnx nor skops"):
        train()
