"""Which rows of a table have an id, and the same table without them; all others stay as they are, byte for byte."""

import csv
import os
import sys
from collections import Counter
from collections.abc import Container, Iterator
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from gitops.shell import CommandError

BOM = "\ufeff"
PARQUET = b"PAR1"


def count(path: Path, column: str, ids: Container[str]) -> Counter[str]:
    """Return how many rows of a table in CSV or Parquet have each of the ids; an id that none has is left out.

    Raises:
        CommandError: it is no such table, or has no such column.
    """
    if _is_parquet(path):
        file = _open(path, column)
        return Counter(
            one for batch in file.iter_batches(columns=[column]) for one in _ids(batch, column) if one in ids
        )
    with _text(path) as text:
        return Counter(one for one, _ in _records(text, path, column) if one is not None and one in ids)


def remove(path: Path, column: str, ids: Container[str]) -> int:
    """Take the rows with these ids out of a table, and return how many there were.

    A CSV file keeps each other byte: its byte order mark, line ends, quotes, and a last line without an end. The file
    is replaced as a whole, so whoever is killed leaves the old one or the new one.

    Raises:
        CommandError: as `count`.
    """
    new = path.with_name(f".{path.name}.new")
    try:
        removed = (_copy_parquet if _is_parquet(path) else _copy_csv)(path, new, column, ids)
        if removed:
            with new.open("rb") as written:
                os.fsync(written.fileno())
            new.chmod(path.stat().st_mode | 0o200)  # a link into DVC's cache is read-only
            new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    return removed


def _copy_csv(path: Path, new: Path, column: str, ids: Container[str]) -> int:
    removed = 0
    with _text(path) as text, _text(new, "w") as kept:
        for one, record in _records(text, path, column):
            if one is not None and one in ids:
                removed += 1
            else:
                kept.write(record)
    return removed


def _text(path: Path, mode: str = "r") -> IO[str]:
    """Open a file so that each byte is read and written as it is, also one that is not UTF-8."""
    return path.open(mode, encoding="utf-8", errors="surrogateescape", newline="")


def _records(file: IO[str], path: Path, column: str) -> Iterator[tuple[str | None, str]]:
    """Yield each record: its id, trimmed as the stages do, or None for a header and empty lines; and its whole text."""
    taken = list[str]()

    def lines() -> Iterator[str]:
        for line in file:
            taken.append(line)
            yield line

    if file.read(1) == BOM:
        yield None, BOM
    else:
        file.seek(0)
    csv.field_size_limit(sys.maxsize)
    names, place = list[str](), 0
    try:
        for cells in csv.reader(lines(), strict=True):
            if cells and not names:
                names = [" ".join(name.split()) for name in cells]
                place = _place(names, column, path)
                cells = []
            if cells and len(cells) != len(names):
                raise CommandError(
                    f"{path} has a row of {len(cells)} cells, and its header has {len(names)}: mend it first, since "
                    "nobody can tell where that row ends"
                )
            yield cells[place].strip() if cells else None, "".join(taken)
            taken.clear()
    except csv.Error as error:
        raise CommandError(f"{path} can't be read as CSV ({error}): mend it first") from None


def _place(names: list[str], column: str, path: Path) -> int:
    if column not in names:
        raise CommandError(f"{path} has no column {column!r}, which the model's description calls the id")
    return names.index(column)


def _is_parquet(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(PARQUET)) == PARQUET


def _open(path: Path, column: str) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise CommandError(f"{path} is not a readable Parquet file: {error}") from None
    _place(file.schema_arrow.names, column, path)
    return file


def _ids(rows: "pa.Table | pa.RecordBatch", column: str) -> list[str]:
    return [str(one).strip() for one in rows.column(column).to_pylist()]


def _copy_parquet(path: Path, new: Path, column: str, ids: Container[str]) -> int:
    file, removed = _open(path, column), 0
    compression = file.metadata.row_group(0).column(0).compression if file.num_row_groups else "SNAPPY"
    with pq.ParquetWriter(new, file.schema_arrow, compression=compression) as kept:
        for number in range(file.num_row_groups):
            rows = file.read_row_group(number)
            wanted = [one not in ids for one in _ids(rows, column)]
            removed += wanted.count(False)
            kept.write_table(rows.filter(pa.array(wanted, pa.bool_())))
    return removed
