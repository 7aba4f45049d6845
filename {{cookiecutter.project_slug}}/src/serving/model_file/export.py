"""From the fitted pipeline to the model file: ONNX, or skops where a step has no ONNX form.

The same pipeline gives the same bytes, whichever process writes them.
"""

import io
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

import numpy as np
import pandas as pd
import skops.io
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper
from onnx.compose import add_prefix
from skl2onnx import to_onnx
from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline, make_pipeline

from serving.model_file.opening import load_model
from serving.model_file.skops_model import TRUSTED
from serving.rows.errors import ModelError, cause
from serving.rows.matrices import Matrices, named
from serving.rows.parameters import param
from serving.rows.schema import Schema

PARITY = 1e-5
OPSETS = {"": 18, "ai.onnx.ml": 3}  # the newest that the converters of XGBoost and LightGBM write too
PROJECT = Path("pyproject.toml")
LINE = '{include-group = "skops"}'
RECIPES = "docs/own-model.md"
CONVERTERS = {"xgboost": "XGBoost", "lightgbm": "LightGBM"}  # libraries whose converters onnxmltools brings
CHOOSE = "choose `format: {}` under `model` in params.yaml"


def chosen_format() -> str:
    """Return `model.format` of params.yaml, once the service has what it takes.

    Raises:
        ModelError: there is no such format, or the service would lack scikit-learn.
    """
    form = str(param("model.format"))
    if form not in ("onnx", "skops"):
        raise ModelError(f"params.yaml: the model format {form!r} is neither onnx nor skops")
    served = any("skops" in str(entry) for entry in _project().get("dependency-groups", {}).get("serve", []))
    if form == "skops" and not served and PROJECT.exists():
        raise ModelError(
            f"with model.format skops the service needs scikit-learn: in {PROJECT} take the first # off the line "
            f"`# {LINE}` and run `uv lock`"
        )
    if form == "onnx" and served:
        print(f"note: an ONNX model needs no {LINE} in {PROJECT}: without that line the image is far smaller")
    return form


def _project() -> dict[str, Any]:
    return tomllib.loads(PROJECT.read_text(encoding="utf-8")) if PROJECT.exists() else {}


def predicted(pipeline: BaseEstimator, features: pd.DataFrame) -> NDArray[np.float64]:
    """Return the pipeline's score for each of n rows, [n]: the positive value's probability, or the number."""
    if hasattr(pipeline, "predict_proba"):
        return np.asarray(pipeline.predict_proba(features)[:, 1], np.float64)
    return np.asarray(pipeline.predict(features), np.float64)


def faithful(
    pipeline: BaseEstimator, schema: Schema, matrices: Matrices, noted: dict[str, Any], form: str
) -> tuple[bytes, float]:
    """Return the model file's content, and how far its scores are from the pipeline's on some rows.

    Args:
        pipeline: fitted; any scikit-learn compatible estimator.
        schema: names the columns that it reads.
        matrices: the rows on which the file is compared with the pipeline.
        noted: what the service needs to know of the training rows.
        form: `onnx` or `skops`.

    Raises:
        ModelError: a step can't be written in this format, or is written as something that scores otherwise, or the
            pipeline doesn't give what the target asks for.
    """
    _check_task(pipeline, schema)
    content = export(pipeline, schema, noted, form)
    difference = parity(pipeline, content, schema, matrices)
    if not difference <= PARITY:  # NaN too
        other = "" if form == "skops" or _foreign_steps(pipeline) else f", or {CHOOSE.format('skops')}"
        raise ModelError(
            f"the {form} file differs from the pipeline by {difference:.1e} on held-out rows (at most {PARITY:g}): "
            f"a step of the pipeline has no faithful form in it, so choose another step{other}"
        )
    return content, difference


def _check_task(pipeline: BaseEstimator, schema: Schema) -> None:
    """Refuse labels in the place of probabilities, and classes in the place of numbers."""
    last = type(pipeline[-1] if isinstance(pipeline, Pipeline) else pipeline).__name__
    probabilities, binary = hasattr(pipeline, "predict_proba"), schema.target.task == "binary"
    if binary and not probabilities:
        raise ModelError(
            f"the target in schema.yaml has two values, and {last} gives no probability (it has no `predict_proba`): "
            "choose a classifier that does, or wrap it in scikit-learn's CalibratedClassifierCV"
        )
    if probabilities and not binary:
        raise ModelError(f"the target in schema.yaml is a number, and {last} is a classifier: choose a regressor")


def parity(pipeline: BaseEstimator, content: bytes, schema: Schema, matrices: Matrices) -> float:
    """Return the largest difference of the file's scores from the pipeline's, relative to the largest score.

    Raises:
        ModelError: the file can't be opened, or can't score these rows.
    """
    expected = predicted(pipeline, named(schema, matrices))
    try:
        found = load_model(content).score(matrices)
    except ModelError as error:
        raise ModelError(f"the model file would be of no use: {error}") from None
    except Exception as error:  # those of onnxruntime and skops have no common class
        raise ModelError(f"the model file would be of no use: {cause(error)}: choose another step") from None
    return float(np.abs(found - expected).max() / (np.abs(expected).max() or 1))


def export(pipeline: BaseEstimator, schema: Schema, noted: dict[str, Any] | None = None, form: str = "onnx") -> bytes:
    """Return the fitted pipeline as a model file's content, with `noted` in it.

    Raises:
        ModelError: a step can't be written in this format, or the service would not get its code.
    """
    note = json.dumps(noted) if noted else None
    try:
        if form == "onnx":
            return _to_onnx(pipeline, schema, note)
        content = to_skops(pipeline, schema, note)
        foreign = [name for name in skops.io.get_untrusted_types(data=content) if not name.startswith(TRUSTED)]
    except Exception as error:  # those of both libraries have no common class
        said = " ".join(str(error).split())
        step = _at_fault(pipeline, said)
        what = f"the step {step.__name__}" if step else "a step of the pipeline"
        cure = _cure(pipeline, step, said) if form == "onnx" else "choose another step"
        raise ModelError(f"{what} can't be written as {form}: {cure} (the converter says: {cause(error)})") from None
    if foreign:
        raise ModelError(_refusal(foreign))
    return content


def _at_fault(pipeline: BaseEstimator, said: str) -> type | None:
    """Return the class of the step that an error speaks of, if any."""
    steps = {type(step) for step in (pipeline, *pipeline.get_params().values()) if hasattr(step, "fit")}
    for pattern in (r"'{0.__module__}\.{0.__qualname__}'", r"\b(Sklearn)?{0.__name__}\b"):
        found = [step for step in steps if re.search(pattern.format(step), said)]
        if found:
            return min(found, key=lambda step: str(step.__name__))
    return None


def _cure(pipeline: BaseEstimator, step: type | None, said: str) -> str:
    """Say what helps where a step can't be written as ONNX; skops only where it would take the whole pipeline."""
    skops_too = "" if _foreign_steps(pipeline) else CHOOSE.format("skops")
    if step is None:
        return "change what the converter names" + (f", or {skops_too}" if skops_too else "")
    if "at most 1 input" in said:
        first = f"put the columns' preprocessing ahead of it, as in `make_pipeline(columns(…), {step.__name__}(…))`"
        return first + (f", or {skops_too}" if skops_too else "")
    library = _library(step)
    if library in CONVERTERS:
        return f"register the converter for {CONVERTERS[library]} that onnxmltools brings, as {RECIPES} shows"
    register = f"register a converter for it, as {RECIPES} shows"
    if not skops_too:
        return register
    return f"{skops_too}, or {register}" if library == "sklearn" else f"{register}, or {skops_too}"


def _refusal(foreign: list[str]) -> str:
    """Say what helps where a skops file would hold these types, which the service won't load."""
    libraries = [name for name in foreign if name.partition(".")[0] in CONVERTERS]
    others = [name for name in foreign if name.partition(".")[0] not in sys.stdlib_module_names]
    named = (libraries or others or foreign)[0]
    told = f"the pipeline holds a {named}, and a skops file takes only scikit-learn's classes and those of src/model"
    if libraries:
        library = CONVERTERS[named.partition(".")[0]]
        way = f"with the converter for {library} that onnxmltools brings"
    else:
        way = "with a converter for it"
    return f"{told}: {CHOOSE.format('onnx')}, {way}, as {RECIPES} shows"


def _foreign_steps(pipeline: BaseEstimator) -> bool:
    """Tell whether a step comes from a package that a skops file doesn't take."""
    steps = [step for step in (pipeline, *pipeline.get_params().values()) if hasattr(step, "fit")]
    return any(f"{_library(type(step))}." not in TRUSTED for step in steps)


def _library(step: type) -> str:
    return step.__module__.partition(".")[0]


def _to_onnx(pipeline: BaseEstimator, schema: Schema, note: str | None) -> bytes:
    """Convert column by column, since the pipeline knows columns by their names, and then join the inputs."""
    one = [(name, FloatTensorType([None, 1])) for name in schema.numbers]
    one += [(name, StringTensorType([None, 1])) for name in schema.categories]
    pipeline = _columns_first(pipeline, schema)
    options = {id(pipeline): {"zipmap": False}} if hasattr(pipeline, "predict_proba") else None
    floor_thresholds(pipeline)
    with _exact_thresholds():
        model = to_onnx(pipeline, initial_types=one, options=options, target_opset=OPSETS)
    model = add_prefix(model, "_", rename_outputs=False)  # a column may have the name of a joined input
    inputs = [value.name for value in model.graph.input]  # the columns in their order, under names that ONNX allows
    count = len(schema.numbers)
    _join_inputs(model, "numbers", TensorProto.FLOAT, inputs[:count])
    _join_inputs(model, "categories", TensorProto.STRING, inputs[count:])
    # The converter collects these in a set, whose order changes from run to run: the same model must be the same bytes.
    opsets = sorted(model.opset_import, key=lambda opset: str(opset.domain))
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    if note:
        helper.set_model_props(model, {"reference": note})
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _columns_first(pipeline: BaseEstimator, schema: Schema) -> BaseEstimator:
    """Let an estimator that takes all columns as one matrix get one: its converter can't join columns itself."""
    steps = (pipeline, *pipeline.get_params().values())
    if schema.categories or any(isinstance(step, ColumnTransformer) for step in steps):
        return pipeline
    joined = ColumnTransformer([("numbers", "passthrough", schema.numbers)])
    joined.fit(pd.DataFrame(np.zeros((1, len(schema.numbers)), np.float32), columns=schema.numbers))
    return make_pipeline(joined, pipeline)


def _join_inputs(model: ModelProto, name: str, kind: int, columns: list[str]) -> None:
    """Replace the inputs of some columns, [n, 1] each, by one matrix of all of them, [n, columns].

    A step that takes all columns in their order gets the matrix itself, since splitting and joining it costs time.
    """
    if not columns:
        return
    graph = model.graph
    kept = [value for value in graph.input if value.name not in columns]
    del graph.input[:]
    graph.input.extend([*kept, helper.make_tensor_value_info(name, kind, [None, len(columns)])])
    for node in graph.node:
        if node.op_type == "Concat" and list(node.input) == columns:
            node.op_type, node.input[:] = "Identity", [name]
            del node.attribute[:]
    if not {entry for node in graph.node for entry in node.input} & set(columns):
        return
    sizes = helper.make_tensor(f"{name}_sizes", TensorProto.INT64, [len(columns)], [1] * len(columns))
    graph.initializer.append(sizes)
    graph.node.insert(0, helper.make_node("Split", [name, sizes.name], columns, f"{name}_split", axis=1))


def floor_thresholds(pipeline: BaseEstimator) -> None:
    """Bring the thresholds of scikit-learn's histogram gradient boosting down to float32, before they are converted."""
    for estimator in _fitted_parts(pipeline, set()):
        for tree in chain.from_iterable(getattr(estimator, "_predictors", [])):
            tree.nodes["num_threshold"] = _floored(tree.nodes["num_threshold"])


def _fitted_parts(part: Any, seen: set[int]) -> Iterator[Any]:
    """Yield an estimator and the fitted ones inside it, those of a vote or a calibration too."""
    if id(part) in seen:
        return
    seen.add(id(part))
    if isinstance(part, list | tuple):
        held = list(part)
    elif isinstance(part, BaseEstimator) or type(part).__module__.startswith("sklearn.calibration"):
        yield part
        held = list(vars(part).values())
    else:
        held = []
    for value in held:
        yield from _fitted_parts(value, seen)


@contextmanager
def _exact_thresholds() -> Iterator[None]:
    """Bring the thresholds that other libraries' converters write down to float32: LightGBM's are float64 too."""
    add_node = ModelComponentContainer.add_node

    def add_exactly(self: Any, *args: Any, **attributes: Any) -> None:
        if set(attributes.get("nodes_modes", ())) <= {"BRANCH_LEQ", "LEAF"} and "nodes_values" in attributes:
            attributes["nodes_values"] = _floored(np.asarray(attributes["nodes_values"], np.float64)).tolist()
        add_node(self, *args, **attributes)

    ModelComponentContainer.add_node = add_exactly
    try:
        yield
    finally:
        ModelComponentContainer.add_node = add_node


def _floored(exact: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the next float32 at or below each threshold of a branch `x <= threshold`, of any shape.

    ONNX has float32 thresholds, and the numbers are float32 too: so each falls on the same side as before. Converters
    round to the nearest, and may lift a threshold halfway between 111.5 and 111.6 onto 111.55, which is a number; time
    stamps in seconds lie even closer together.
    """
    nearest = exact.astype(np.float32)
    return np.where(nearest > exact, np.nextafter(nearest, np.float32(-np.inf)), nearest)


def to_skops(held: Any, schema: Schema, note: str | None) -> bytes:
    """Return a skops file's content: the pipeline, the columns that it reads in their order, and the note."""
    columns = [*schema.numbers, *schema.categories]
    return _settled(skops.io.dumps({"pipeline": held, "columns": columns, "reference": note}))


def _settled(content: bytes) -> bytes:
    """Rewrite a skops file without what differs from run to run: addresses in memory, and times.

    An object's address is its id in the schema and, of an array, the name of its file: count instead.
    """
    written, ids, names = io.BytesIO(), dict[int, int](), dict[str, str]()
    with ZipFile(io.BytesIO(content)) as old, ZipFile(written, "w") as new:
        schema = json.loads(old.read("schema.json"))
        for node in _nodes(schema):
            if "__id__" in node:
                node["__id__"] = ids.setdefault(node["__id__"], len(ids))
            if isinstance(name := node.get("file"), str):
                node["file"] = names.setdefault(name, f"{len(names)}{Path(name).suffix}")
        parts = {name: old.read(before) for before, name in names.items()}
        for name, part in {"schema.json": json.dumps(schema, separators=(",", ":")).encode(), **parts}.items():
            new.writestr(ZipInfo(name), part)  # dated 1980
    return written.getvalue()


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Yield each object of a JSON document, in its order."""
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _nodes(part)
