"""Rows of a CSV file, a block at a time; one with more or fewer cells than the header keeps its place but no values."""

from collections import deque
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from pyarrow import csv

BLOCK = 4 << 20  # bytes of a file that are parsed at a time
CELLS = {"default_column_type": pa.string(), "strings_can_be_null": False}
MALFORMED = ""  # the column that holds a malformed row's text; no column of schema.yaml is called so
SHOWN = 1000  # characters of it
LONGEST = 100  # lines of a malformed row; over more, a quote isn't closed, and whole rows are inside

Malformed = deque[tuple[int, str]]  # a row's place in its file, from 0, and its text


def parsing(found: Malformed) -> csv.ParseOptions:
    """Return how a file is parsed: malformed rows are added to `found`, in their order."""

    def aside(row: csv.InvalidRow) -> str:
        if row.text.count("\n") > LONGEST:
            return "error"
        found.append((row.number - 2, row.text[:SHOWN]))  # the header is number 1
        return "skip"

    return csv.ParseOptions(newlines_in_values=True, invalid_row_handler=aside)


def blocks(stream: pa.NativeFile, names: list[str]) -> Iterator[pa.RecordBatch]:
    """Yield the columns of these names as text, and then `MALFORMED`, which is null for the other rows."""
    found, first = Malformed(), 0
    reading = csv.ReadOptions(block_size=BLOCK, use_threads=False)  # only so a row knows its number; no slower
    with csv.open_csv(stream, reading, parsing(found), csv.ConvertOptions(include_columns=names, **CELLS)) as reader:
        for batch in reader:
            yield (placed := _placed(batch, first, found))
            first += placed.num_rows
        yield _placed(pa.RecordBatch.from_pylist([], reader.schema), first, found)  # those at the end of the file


def _placed(batch: pa.RecordBatch, first: int, found: Malformed) -> pa.RecordBatch:
    """Put the malformed rows between the others, the first of which has the place `first`."""
    before: list[int] = []  # how many of the others each one follows
    texts: list[str] = []
    while found and found[0][0] - first - len(before) <= batch.num_rows:
        place, text = found.popleft()
        before.append(place - first - len(before))
        texts.append(text)
    if not before:
        return batch.append_column(MALFORMED, pa.nulls(batch.num_rows, pa.string()))
    rows = np.insert(np.arange(batch.num_rows), before, -1)
    column = np.insert(np.full(batch.num_rows, None, object), before, texts)
    return batch.take(pa.array(rows, mask=rows < 0)).append_column(MALFORMED, pa.array(column, pa.string()))
