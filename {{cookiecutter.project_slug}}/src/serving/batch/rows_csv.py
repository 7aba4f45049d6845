"""Rows of a CSV file, a block at a time; one with more or fewer cells than the header keeps its place but no values."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
from pyarrow import csv

from serving.rows.quotes import Rows, first_row

BLOCK = 4 << 20  # bytes of a file that are parsed at a time
CELLS = {"default_column_type": pa.string(), "strings_can_be_null": False}
MALFORMED = ""  # the column that holds a malformed row's text; no column of schema.yaml is called so
SHOWN = 1000  # characters of it
LONGEST = 100  # lines of a malformed row; over more, whole rows are inside

Malformed = list[tuple[int, str]]  # a row's place in its block, from 0, and its text


def parsing(found: Malformed) -> csv.ParseOptions:
    """Return how a file is parsed: malformed rows are added to `found`, in their order."""

    def aside(row: csv.InvalidRow) -> str:
        if row.text.count("\n") > LONGEST:
            return "error"
        found.append((row.number - 2, row.text[:SHOWN]))  # the header is number 1
        return "skip"

    return csv.ParseOptions(newlines_in_values=True, invalid_row_handler=aside)


def blocks(stream: pa.NativeFile, where: str, names: list[str]) -> Iterator[pa.RecordBatch]:
    """Yield the columns of these names as text, and then `MALFORMED`, which is null for the other rows.

    Raises:
        ModelError: a quote is not closed, which would swallow rows; `where` is how the sentence calls the file.
    """
    rows, header = Rows(where), b""
    for block in _ahead(stream):
        content = rows.add(block)
        if not content and (block or header):
            continue
        found, content = Malformed(), header + content
        header = header or first_row(content)
        reading = csv.ReadOptions(block_size=len(content) + 1, use_threads=False)  # only so a row knows its number
        cells = csv.ConvertOptions(include_columns=names, **CELLS)
        table = csv.read_csv(pa.BufferReader(content), reading, parsing(found), cells)
        yield _placed(table.combine_chunks(), found)


def _ahead(stream: pa.NativeFile) -> Iterator[bytes]:
    """Yield a file's blocks, the last of which is empty, and read one while another is worked on."""
    with ThreadPoolExecutor(1) as reader:
        block = stream.read(BLOCK)
        while block:
            following = reader.submit(stream.read, BLOCK)
            yield block
            block = following.result()
        yield block


def _placed(table: pa.Table, found: Malformed) -> pa.RecordBatch:
    """Put the malformed rows between the others."""
    count = table.num_rows
    columns = [column.chunk(0) if column.num_chunks else pa.array([], pa.string()) for column in table.columns]
    batch = pa.RecordBatch.from_arrays(columns, table.column_names)
    if not found:
        return batch.append_column(MALFORMED, pa.nulls(count, pa.string()))
    places, texts = zip(*found, strict=True)
    before = np.array(places) - np.arange(len(found))  # how many of the others each one follows
    rows = np.insert(np.arange(count), before, -1)
    column = np.insert(np.full(count, None, object), before, texts)
    return batch.take(pa.array(rows, mask=rows < 0)).append_column(MALFORMED, pa.array(column, pa.string()))
