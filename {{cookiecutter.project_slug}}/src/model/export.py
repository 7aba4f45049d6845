"""From the fitted pipeline to the model file: ONNX, or skops where a step has no ONNX form.

The same pipeline gives the same bytes, whichever process writes them.
"""

import io
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

import skops.io
from onnx import helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.pipeline import Pipeline

from model.schema import ModelError, param
from model.score import Matrices

PROJECT = Path("pyproject.toml")
LINE = '{include-group = "skops"}'
OUT = "choose another step, or `format: skops` under `model` in params.yaml"


def chosen() -> str:
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


def export(pipeline: Pipeline, matrices: Matrices, noted: dict[str, Any] | None = None, form: str = "onnx") -> bytes:
    """Return the fitted pipeline as a model file's content, with `noted` in it.

    Raises:
        ModelError: a step can't be written in this format, or the service would not get its code.
    """
    note = json.dumps(noted) if noted else None
    try:
        return to_skops(pipeline, note) if form == "skops" else _to_onnx(pipeline, matrices, note)
    except ModelError:
        raise
    except Exception as error:  # those of both libraries have no common class
        text = " ".join(str(error).split())
        steps = {type(step).__name__ for step in pipeline.get_params().values() if hasattr(step, "fit")}
        named = [step for step in sorted(steps) if re.search(rf"\b{step}\b", text)]
        what = f"the step {named[0]}" if named else f"a step of the pipeline ({text[:200]})"
        out = OUT if form == "onnx" else "choose another step"
        raise ModelError(f"{what} can't be written as {form}: {out}") from None


def _to_onnx(pipeline: Pipeline, matrices: Matrices, note: str | None) -> bytes:
    kinds = {"numbers": FloatTensorType, "categories": StringTensorType}
    inputs = [(name, kinds[name]([None, matrix.shape[1]])) for name, matrix in matrices.items()]
    options = {id(pipeline): {"zipmap": False}} if hasattr(pipeline, "predict_proba") else None
    model = to_onnx(pipeline, initial_types=inputs, options=options, target_opset=18)
    # The converter collects these in a set, whose order changes from run to run: the same model must be the same bytes.
    opsets = sorted(model.opset_import, key=lambda opset: str(opset.domain))
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    if note:
        helper.set_model_props(model, {"reference": note})
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def to_skops(held: Any, note: str | None) -> bytes:
    """Return a skops file's content: the pipeline and its note.

    Raises:
        ModelError: the pipeline uses code of this project that the service does not get.
    """
    content = skops.io.dumps({"pipeline": held, "reference": note})
    files = _project().get("tool", {}).get("gitops", {}).get("bento", {}).get("files")
    for name in skops.io.get_untrusted_types(data=content):
        source = f"src/{name.rpartition('.')[0].replace('.', '/')}.py"
        if name.startswith("model.") and files is not None and source not in files:
            raise ModelError(
                f"the pipeline uses {name}, and the service gets no {source}: move it to a module that imports neither "
                f"pandas nor training code, and add that to the files of [tool.gitops.bento] in {PROJECT}"
            )
    return _settled(content)


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
