"""From a batch of rows to their scores: a pure function, which runs wherever its arguments can be sent."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from serving.api.reasons import Explainer
from serving.batch.columns import Fault, check, texts
from serving.batch.rows_csv import MALFORMED
from serving.model_file.opening import Model, load_model, reference
from serving.rows.matrices import Matrices
from serving.rows.schema import Schema

SLICE = 4096
RAGGED = "more or fewer cells than the header"
SPANNING = f"{RAGGED}, in several lines: is each quote closed?"
TEXT = pa.large_string()
ERRORS = pa.schema([("row", pa.int64()), ("id", TEXT), ("column", TEXT), ("value", TEXT), ("reason", TEXT)])


class Scorer(NamedTuple):
    """All that a row of the output follows from, and pickles.

    Attributes:
        schema: what a row is.
        model: the model file's content.
        md5: of it, by which dvc.lock names it.
        threshold: the score from which on a row gets the positive label.
        reject_unknown: a category that schema.yaml does not list is a fault, and not a missing value.
        release: the version whose model this is, or "dev".
        reasons: how many each row gets.
    """

    schema: Schema
    model: bytes
    md5: str
    threshold: float
    reject_unknown: bool
    release: str = "dev"
    reasons: int = 0


def outputs(scorer: Scorer) -> pa.Schema:
    """Return a prediction's columns; which release and model made it stands in Parquet's own metadata too.

    They are the id, or the row's number where rows have none, the score, a label if the target has two values, the
    reasons, the release and the start of the model's MD5.
    """
    label = [("label", TEXT)] if scorer.schema.target.task == "binary" else []
    reasons = [(f"reason_{number}", TEXT) for number in range(1, scorer.reasons + 1)]
    columns = [("id", TEXT), ("score", pa.float64()), *label, *reasons, ("model_version", TEXT), ("model", TEXT)]
    return pa.schema(columns, {"model_version": scorer.release, "model_md5": scorer.md5})


def score_batch(scorer: Scorer, batch: pa.RecordBatch, first: int) -> tuple[pa.Table, pa.Table]:
    """Score n rows, the first of which is row number `first`; a pure function.

    Returns:
        The good rows in their order, and a line of `ERRORS` for each rule that a row breaks.

    Raises:
        ModelError: a column's type can't hold what schema.yaml says.
    """
    schema, count = scorer.schema, batch.num_rows
    inputs, faults = check(schema, batch, reject_unknown=scorer.reject_unknown)
    model = load_model(scorer.model)
    scores = _scores(model, inputs, count)  # of bad rows too: a batch is scored as it came
    rows = pa.array(np.arange(first, first + count))
    ids = texts(batch[schema.id] if schema.id else rows)
    if schema.id and ids.null_count:
        faults.insert(0, Fault(schema.id, "missing", ids.is_null().to_numpy(zero_copy_only=False)))
    faults = _malformed(batch, faults)
    good = ~np.logical_or.reduce([np.zeros(count, bool), *(fault.rows for fault in faults)])
    if (huge := good & ~np.isfinite(scores)).any():
        faults.append(Fault("", "a number is too large to score", huge))
        good &= ~huge
    columns = [ids, pa.array(scores)]
    if schema.target.task == "binary":
        labels = (pa.scalar(label, TEXT) for label in (schema.target.positive, schema.target.negative))
        columns.append(pc.if_else(pa.array(scores >= scorer.threshold), *labels))
    columns += _reasons(scorer, model, inputs, good)
    columns += [pa.repeat(pa.scalar(text, TEXT), count) for text in (scorer.release, scorer.md5[:8])]
    table = pa.table(columns, schema=outputs(scorer))
    return (table if good.all() else table.filter(pa.array(good))), _errors(batch, rows, ids, faults)


def _scores(model: Model, inputs: Matrices, count: int) -> NDArray[np.float64]:
    """Score a few thousand rows at a time: what the model computes in between then stays in the processor's cache."""
    slices = [slice(i, i + SLICE) for i in range(0, count, SLICE)]
    return np.concatenate([model.score({name: x[rows] for name, x in inputs.items()}) for rows in slices])


def _reasons(scorer: Scorer, model: Model, inputs: Matrices, good: NDArray[np.bool_]) -> list[pa.Array]:
    """Return the columns of the reasons, the strongest first; null where a row has no more, and for bad rows."""
    if not scorer.reasons:
        return []
    explainer = Explainer(model, scorer.schema, reference(model)["typical"])
    found = explainer.explain({name: matrix[good] for name, matrix in inputs.items()}, scorer.reasons)
    told = np.full((len(good), scorer.reasons), None, object)
    for row, reasons in zip(np.flatnonzero(good), found, strict=True):
        told[row, : len(reasons)] = [reason["text"] for reason in reasons]
    return [pa.array(column, TEXT) for column in told.T]


def _malformed(batch: pa.RecordBatch, faults: list[Fault]) -> list[Fault]:
    """Put malformed rows first, which have no values that could break another rule."""
    if MALFORMED not in batch.schema.names:
        return faults
    rows = batch[MALFORMED].is_valid().to_numpy(zero_copy_only=False)
    others = [fault._replace(rows=fault.rows & ~rows) for fault in faults]
    spanning = rows & pc.fill_null(pc.match_substring(batch[MALFORMED], "\n"), False).to_numpy(zero_copy_only=False)
    malformed = [Fault(MALFORMED, RAGGED, rows & ~spanning), Fault(MALFORMED, SPANNING, spanning)]
    return [fault for fault in malformed if fault.rows.any()] + others


def _errors(batch: pa.RecordBatch, rows: pa.Array, ids: pa.Array, faults: list[Fault]) -> pa.Table:
    parts = [ERRORS.empty_table()]
    for column, reason, broken in faults:
        mask, count = pa.array(broken), int(broken.sum())
        values = texts(batch[column].filter(mask)) if column in batch.schema.names else pa.nulls(count, TEXT)
        name, why = (pa.repeat(pa.scalar(text, TEXT), count) for text in (column, reason))
        parts.append(pa.table([rows.filter(mask), ids.filter(mask), name, values, why], schema=ERRORS))
    return pa.concat_tables(parts).sort_by("row")
