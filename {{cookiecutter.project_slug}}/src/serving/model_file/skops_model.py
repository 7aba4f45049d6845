"""A skops file: the fitted pipeline itself, for steps that have no ONNX form.

Unlike a pickle it names all that it loads, and what comes from elsewhere than the listed packages is refused.
The pipeline gets a data frame with the columns' names, as in training: a service of this format carries pandas.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by the import below: trees on two threads wait for each other

import numpy as np
import pandas as pd
import skops.io
from numpy.typing import NDArray

from serving.rows.errors import ModelError, cause
from serving.rows.matrices import Matrices

TRUSTED = ("sklearn.", "numpy.", "scipy.", "model.")
AT_ONCE = 4096  # rows: bounds the memory, since an array of both numbers and texts holds objects


class SkopsModel:
    """The fitted pipeline of a skops file.

    Raises:
        ModelError: the file holds a type from elsewhere than scikit-learn, NumPy, SciPy and this project's `model`.
    """

    format = "skops"

    def __init__(self, content: bytes) -> None:
        types = skops.io.get_untrusted_types(data=content)
        if foreign := [name for name in types if not name.startswith(TRUSTED)]:
            raise ModelError(f"it holds a {foreign[0]}, and only {', '.join(TRUSTED)} are trusted: train without it")
        self._own = sorted({name.rpartition(".")[0] for name in types if name.startswith("model.")})
        held = skops.io.loads(content, trusted=types)
        self.pipeline, self.columns, self._noted = held["pipeline"], held["columns"], held["reference"]

    def score(self, matrices: Matrices) -> NDArray[np.float64]:
        """Return a score for each row, [n]; NaN where a number is infinite, which scikit-learn would refuse.

        Raises:
            ModelError: the pipeline can't score these rows.
        """
        starts = range(0, len(next(iter(matrices.values()))), AT_ONCE)
        slices = [[matrix[i : i + AT_ONCE] for matrix in matrices.values()] for i in starts]
        return np.concatenate([np.empty(0), *map(self._slice, slices)])

    def _slice(self, parts: list[NDArray[np.generic]]) -> NDArray[np.float64]:
        infinite = np.zeros(len(parts[0]), bool)
        for j, part in enumerate(parts):
            if part.dtype != object and (odd := np.isinf(part)).any():
                infinite |= odd.any(axis=1)
                parts[j] = np.where(odd, 0, part)
        rows = pd.concat([pd.DataFrame(part) for part in parts], axis=1).set_axis(self.columns, axis=1)
        try:
            if hasattr(self.pipeline, "predict_proba"):
                scores = self.pipeline.predict_proba(rows)[:, 1]
            else:
                scores = self.pipeline.predict(rows)
        except (ValueError, TypeError) as error:
            raise ModelError(f"the pipeline can't score these rows: {cause(error)}") from None
        return np.where(infinite, np.nan, np.asarray(scores, np.float64))

    def noted(self) -> str | None:
        """Return what training noted in the file, as JSON."""
        note: str | None = self._noted
        return note

    def code(self) -> list[str]:
        """Return the modules of this project that the file's types come from."""
        return self._own
