"""From the fitted pipeline to the model file: ONNX, or skops where a step has no ONNX form.

The same pipeline gives the same bytes, whichever process writes them.
"""

import io
import json
import re
import tomllib
from collections.abc import Iterator
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
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.pipeline import Pipeline

from serving.model_file.opening import load_model
from serving.rows.errors import ModelError, cause
from serving.rows.matrices import Matrices, named
from serving.rows.parameters import param
from serving.rows.schema import Schema

PARITY = 1e-5
OPSETS = {"": 18, "ai.onnx.ml": 3}  # the newest that the converters of XGBoost and LightGBM write too
PROJECT = Path("pyproject.toml")
LINE = '{include-group = "skops"}'
RECIPES = "docs/own-model.md"
CONVERTERS = {"XGB": "XGBoost", "LGBM": "LightGBM"}  # libraries whose converters onnxmltools brings


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


def predicted(pipeline: Pipeline, features: pd.DataFrame) -> NDArray[np.float64]:
    """Return the pipeline's score for each of n rows, [n]: the positive value's probability, or the number."""
    if hasattr(pipeline, "predict_proba"):
        return np.asarray(pipeline.predict_proba(features)[:, 1], np.float64)
    return np.asarray(pipeline.predict(features), np.float64)


def faithful(
    pipeline: Pipeline, schema: Schema, matrices: Matrices, noted: dict[str, Any], form: str
) -> tuple[bytes, float]:
    """Return the model file's content, and how far its scores are from the pipeline's on some rows.

    Args:
        pipeline: fitted.
        schema: names the columns that it reads.
        matrices: the rows on which the file is compared with the pipeline.
        noted: what the service needs to know of the training rows.
        form: `onnx` or `skops`.

    Raises:
        ModelError: a step can't be written in this format, or is written as something that scores otherwise.
    """
    content = export(pipeline, schema, noted, form)
    difference = parity(pipeline, content, schema, matrices)
    if not difference <= PARITY:  # NaN too
        raise ModelError(
            f"the {form} file differs from the pipeline by {difference:.1e} on held-out rows (at most {PARITY:g}): "
            f"a step of the pipeline has no faithful form in it, so {_ways_out(form, '')}"
        )
    return content, difference


def parity(pipeline: Pipeline, content: bytes, schema: Schema, matrices: Matrices) -> float:
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


def export(pipeline: Pipeline, schema: Schema, noted: dict[str, Any] | None = None, form: str = "onnx") -> bytes:
    """Return the fitted pipeline as a model file's content, with `noted` in it.

    Raises:
        ModelError: a step can't be written in this format, or the service would not get its code.
    """
    note = json.dumps(noted) if noted else None
    try:
        return to_skops(pipeline, schema, note) if form == "skops" else _to_onnx(pipeline, schema, note)
    except ModelError:
        raise
    except Exception as error:  # those of both libraries have no common class
        text = " ".join(str(error).split())
        steps = {type(step).__name__ for step in pipeline.get_params().values() if hasattr(step, "fit")}
        at_fault = [step for step in sorted(steps) if re.search(rf"\b{step}\b", text)]
        what = f"the step {at_fault[0]}" if at_fault else "a step of the pipeline"
        way_out = _ways_out(form, at_fault[0] if at_fault else "")
        raise ModelError(f"{what} can't be written as {form}: {way_out} (the converter says: {cause(error)})") from None


def _ways_out(form: str, step: str) -> str:
    """Say what helps where a step can't be written in a format."""
    if form == "skops":
        return "choose another step"
    library = next((name for prefix, name in CONVERTERS.items() if step.startswith(prefix)), "")
    if library:
        return f"register the converter for {library} that onnxmltools brings, as {RECIPES} shows"
    return f"register a converter for it, as {RECIPES} shows, or choose `format: skops` under `model` in params.yaml"


def _to_onnx(pipeline: Pipeline, schema: Schema, note: str | None) -> bytes:
    """Convert column by column, since the pipeline knows columns by their names, and then join the inputs."""
    one = [(name, FloatTensorType([None, 1])) for name in schema.numbers]
    one += [(name, StringTensorType([None, 1])) for name in schema.categories]
    _floor_thresholds(pipeline[-1])
    options = {id(pipeline): {"zipmap": False}} if hasattr(pipeline, "predict_proba") else None
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


def _floor_thresholds(estimator: Any) -> None:
    """Bring the thresholds of scikit-learn's histogram gradient boosting down to float32, which ONNX has.

    The numbers are float32 too, so each falls on the same side as before. The converter rounds to the nearest, and may
    lift a threshold onto the next number: time stamps in seconds lie that close together.
    """
    for tree in chain.from_iterable(getattr(estimator, "_predictors", [])):
        exact = tree.nodes["num_threshold"]
        nearest = exact.astype(np.float32)
        tree.nodes["num_threshold"] = np.where(nearest > exact, np.nextafter(nearest, np.float32(-np.inf)), nearest)


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
