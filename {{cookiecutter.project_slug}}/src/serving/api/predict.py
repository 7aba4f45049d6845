"""From a checked query to its answer: score, label, reasons, metrics, log."""

import hashlib
import math
from functools import cache
from typing import Any

import bentoml
import numpy as np

from serving.api.observe import RECORDS, TENTHS, PredictionLog, score_histogram
from serving.api.reasons import Explainer
from serving.api.types import BINARY, LABELS, SCHEMA, Query
from serving.model_file.opening import MODEL, open_model, reference
from serving.rows.matrices import from_records
from serving.rows.parameters import param


class Unscorable(Exception):
    """A record whose score is no number: its index, and why."""

    def __init__(self, index: int) -> None:
        super().__init__("a number in this record is too large to score")
        self.index = index


class Predictor:
    """The model file, open, and what goes with it."""

    def __init__(self) -> None:
        self.model = open_model()
        self.threshold = float(param("threshold")) if BINARY else 0.0
        version = bentoml.server_context.bento_version
        self.names = {
            "model_version": "dev" if version in (None, "", "not available") else version,
            # as dvc.lock names the file: no protection, which its review has, but the way from an answer to a commit
            "model_md5": hashlib.md5(MODEL.read_bytes(), usedforsecurity=False).hexdigest(),
        }
        noted = reference(self.model)
        self.explainer = Explainer(self.model, SCHEMA, noted["typical"])
        self.histogram = score_histogram(TENTHS if BINARY else tuple(noted["deciles"]))
        self.log = PredictionLog(SCHEMA)

    def answer(self, query: Query) -> dict[str, Any]:
        """Return `Predictions` as plain values, counted and logged.

        Raises:
            Unscorable: a score is not finite.
        """
        records = query.records
        matrices = from_records(SCHEMA, records)
        scores = self.model.score(matrices).tolist()
        for i, value in enumerate(scores):
            if not math.isfinite(value):
                raise Unscorable(i)
        ids = [record.id if SCHEMA.id else str(i) for i, record in enumerate(records)]
        rows = [self._row(*pair) for pair in zip(ids, scores, strict=True)]
        RECORDS.inc(len(rows))
        for value in scores:
            self.histogram.observe(value)
        self.log.write(self.names, records, rows)
        if query.reasons:
            found = self.explainer.explain(matrices, query.reasons)
            rows = [row | {"reasons": reasons} for row, reasons in zip(rows, found, strict=True)]
        return self.names | {"predictions": rows}

    def ready(self) -> bool:
        """Tell whether the model scores a row: the typical one, which suits every schema and pipeline."""
        return bool(np.isfinite(self.model.score(self.explainer.usual)).all())

    def _row(self, row: str, value: float) -> dict[str, Any]:
        return {"id": row, "score": value, **({"label": LABELS[value >= self.threshold]} if BINARY else {})}


@cache
def predictor() -> Predictor:
    """Return this process's predictor, opened when the service starts."""
    return Predictor()
