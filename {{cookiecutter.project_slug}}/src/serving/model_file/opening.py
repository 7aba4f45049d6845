"""Open the model file, and score with it; training, evaluation, service and batch pass here.

The service runs without scikit-learn where the file is ONNX, so nothing here may import it at the top.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from serving.rows.errors import ModelError, cause
from serving.rows.matrices import Matrices

MODEL = Path("build/model.bin")
SKOPS = b"PK"  # how a skops file starts: it is a zip archive


class Model(Protocol):
    """An open model file; `format` is `onnx` or `skops`."""

    format: str

    def score(self, matrices: Matrices) -> NDArray[np.float64]:
        """Return a score for each row, [n]: the positive value's probability, or the predicted number."""

    def noted(self) -> str | None:
        """Return what training noted in the file, as JSON."""

    def code(self) -> list[str]:
        """Return the modules of this project that the file's types come from."""


class OnnxModel:
    """An ONNX file, on one thread: a service's parallelism is its processes."""

    format = "onnx"

    def __init__(self, content: bytes) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self.last = self.session.get_outputs()[-1].name  # a classifier's first output are its labels

    def score(self, matrices: Matrices) -> NDArray[np.float64]:
        scores: NDArray[np.float64] = self.session.run([self.last], matrices)[0][:, -1].astype(np.float64)
        return scores

    def noted(self) -> str | None:
        note: str | None = self.session.get_modelmeta().custom_metadata_map.get("reference")
        return note

    def code(self) -> list[str]:
        return []


def open_model(path: Path = MODEL) -> Model:
    """Open the model file.

    Raises:
        ModelError: there is no such file, or it is not a model.
    """
    try:
        return load_model(path.read_bytes())
    except FileNotFoundError:
        raise ModelError(
            f"there is no {path}: `uv run dvc repro` trains it, `uv run gitops store pull` brings it"
        ) from None
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    except Exception as error:  # those of onnxruntime and skops have no common class
        raise ModelError(f"{path} is not a model that can be opened: {cause(error)}") from None


@cache
def load_model(content: bytes) -> Model:
    """Open a model file's content, which tells its format; once for each content.

    Raises:
        ModelError: a skops file holds a type that is not trusted, or this environment can't open one.
    """
    if not content.startswith(SKOPS):
        return OnnxModel(content)
    try:
        from serving.model_file.skops_model import SkopsModel
    except ImportError as error:
        raise ModelError(f"a skops file needs {error.name}: the `serve` group in pyproject.toml says how") from None
    return SkopsModel(content)


def reference(model: Model) -> dict[str, Any]:
    """Return what training noted in the model file: each column's `typical` value and the scores' `deciles`.

    Raises:
        ModelError: it noted nothing.
    """
    noted = model.noted()
    if noted is None:
        raise ModelError("the model file holds no `reference`, which `train` writes into it: run `uv run dvc repro`")
    return dict(json.loads(noted))
