"""Why a record scores as it does, in words: each column is set to its typical value in turn, and the scores compared.

The difference of two probabilities is taken in log-odds. For a linear model it is then the column's exact contribution
(coefficient times distance from the typical value); for trees it is the effect of changing this column alone, which
leaves out what columns do together. Reference: Biecek & Burzykowski, Explanatory Model Analysis (2021), chapter 10
(ceteris paribus).
"""

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.model_file.opening import Model
from serving.rows.matrices import EPOCH, Matrices, from_records
from serving.rows.schema import Schema

AT_ONCE = 10_000  # rows scored in one call: bounds the memory that a wide table's many copies take
SMALLEST = 1e-5  # of an effect worth a reason; float32 is hardly finer
EDGE = 1e-7  # a probability of 0 or 1 has no log-odds


class Explainer:
    """Gives reasons for one model's scores; `typical` maps each column to a value."""

    def __init__(self, model: Model, schema: Schema, typical: dict[str, Any]) -> None:
        self.model = model
        self.binary = schema.target.task == "binary"
        self.columns = [*schema.numbers, *schema.categories]  # in the order of the matrices
        self.kinds = {name: column.type for name, column in schema.columns.items()}
        row = json.dumps(typical | ({schema.id: "-"} if schema.id else {}))
        self.usual = from_records(schema, [schema.row_model().model_validate_json(row)])
        (values,) = _rows(self.usual)
        self.typical = [_words(self.kinds[name], value) for name, value in zip(self.columns, values, strict=True)]

    def explain(self, matrices: Matrices, most: int) -> Iterator[list[dict[str, Any]]]:
        """Yield up to `most` reasons for each of n rows, as `api.Reason`, the strongest first."""
        step = max(1, AT_ONCE // len(self.columns))
        for start in range(0, len(next(iter(matrices.values()))), step):
            part = {name: matrix[start : start + step] for name, matrix in matrices.items()}
            for own, effects in zip(_rows(part), self.effects(part), strict=True):
                strongest = np.argsort(-np.abs(effects), kind="stable")[:most]
                yield [self._reason(own[j], j, float(effects[j])) for j in strongest if abs(effects[j]) > SMALLEST]

    def effects(self, matrices: Matrices) -> NDArray[np.float64]:
        """Return how far each of p columns moves n scores away from where its typical value has them, [n, p].

        Positive means that the row's own value raises the score.
        """
        p = len(self.columns)
        changed = {name: np.repeat(matrix, p, axis=0) for name, matrix in matrices.items()}
        first = 0
        for name, matrix in matrices.items():
            for j in range(matrix.shape[1]):
                changed[name][first + j :: p, j] = self.usual[name][0, j]
            first += matrix.shape[1]
        replaced = self._scale(self.model.score(changed)).reshape(-1, p)
        return self._scale(self.model.score(matrices))[:, None] - replaced

    def _scale(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return probabilities as log-odds, and numbers as they are."""
        if not self.binary:
            return scores
        inside = scores.clip(EDGE, 1 - EDGE)
        odds: NDArray[np.float64] = np.log(inside / (1 - inside))
        return odds

    def _reason(self, own: Any, j: int, effect: float) -> dict[str, Any]:
        name = self.columns[j]
        value, usual = _words(self.kinds[name], own), self.typical[j]
        verb = "raises" if effect > 0 else "lowers"
        outcome = f"{verb} the score" if self.binary else f"{verb} the prediction by {abs(effect):,.4g}"
        return {"column": name, "effect": effect, "text": f"{name} is {value}, typical is {usual}: {outcome}"}


def _rows(matrices: Matrices) -> Iterator[list[Any]]:
    """Yield each row's values in the order of the columns."""
    for parts in zip(*(matrix.tolist() for matrix in matrices.values()), strict=True):
        yield [value for part in parts for value in part]


def _words(kind: str, value: Any) -> str:
    """Return a value of the model's inputs as a person would write it."""
    if value == "" or value != value:  # NaN
        return "missing"
    if kind == "boolean":
        return "yes" if value else "no"
    if kind == "date" and 0 < value + EPOCH <= date.max.toordinal():  # a typed file may hold days far beyond
        return date.fromordinal(int(value) + EPOCH).isoformat()
    return str(value) if kind == "category" else f"{value:,.6g}"
