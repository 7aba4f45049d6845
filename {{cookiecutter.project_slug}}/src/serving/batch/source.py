"""Rows to score, from CSV or Parquet files here or on s3://, a batch at a time in bounded memory."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
from pyarrow import csv, dataset, fs

from serving.batch import rows_csv
from serving.batch.remote import shown, unreachable
from serving.batch.rows_csv import MALFORMED
from serving.rows.errors import ModelError, cause
from serving.rows.schema import Schema

FORMATS = {".csv", ".parquet"}


class Source:
    """A CSV or Parquet file, or a folder of them in the order of their names, here or on s3://.

    Raises:
        ModelError: there is no such thing, it is no table, or the table lacks a column.
    """

    def __init__(self, where: str, schema: Schema) -> None:
        self.where = shown(where)
        self.wanted = [*filter(None, [schema.id]), *schema.columns]
        with _readable(self.where):
            self.system, root = fs.FileSystem.from_uri(where) if "://" in where else (fs.LocalFileSystem(), where)
            self.files = _files(self.system, root, self.where)
            paths = [file.path for file in self.files]
            keys = sorted({key for path in paths for key in re.findall(r"([^/=]+)=[^/]*/", path.removeprefix(root))})
            # A partition's value stays text: as a number, the postcode 01067 would lose its zero.
            parts = dataset.partitioning(pa.schema([(key, pa.string()) for key in keys]), flavor="hive")
            self.data = dataset.dataset(
                paths,
                format=_format(paths, schema),
                filesystem=self.system,
                partitioning=parts,
                partition_base_dir=root,
            )
        self.names = {" ".join(name.split()): name for name in self.data.schema.names}
        if lacking := [name for name in self.wanted if name not in self.names]:
            raise ModelError(f"{self.where} has no column {lacking[0]!r}, which schema.yaml lists")

    def identity(self) -> list[list[Any]]:
        """Return what tells these files from others, and from later versions of themselves."""
        return [[file.path, file.size, file.mtime_ns] for file in self.files]

    def rows(self) -> int:
        """Return the number of rows; of CSV files an estimate from the length of the first lines."""
        if not self.files[0].path.endswith(".csv"):
            return int(self.data.count_rows())
        with self.system.open_input_stream(self.files[0].path) as stream:
            start = stream.read(rows_csv.BLOCK)
        return int(start.count(b"\n") * sum(file.size for file in self.files) / max(1, len(start)))

    def batches(self, rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the schema's columns, `rows` rows at a time and fewer at the end, however the files are cut.

        Where there are malformed rows, there is one column more, `MALFORMED`.
        """
        held: list[pa.RecordBatch] = []
        names = [self.names[name] for name in self.wanted]
        with _readable(self.where):
            for batch in self._blocks(names, rows):
                held.append(batch)
                while sum(part.num_rows for part in held) >= rows:
                    table = pa.Table.from_batches(held)
                    yield self._whole(table.slice(0, rows))
                    held = table.slice(rows).to_batches()
            if held := [part for part in held if part.num_rows]:
                yield self._whole(pa.Table.from_batches(held))

    def _blocks(self, names: list[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Read one row group or CSV block after the other; a scan of the whole holds more, the longer the files are."""
        for file in self.data.get_fragments():
            if isinstance(file, dataset.ParquetFileFragment):
                for group in file.split_by_row_group():
                    yield from group.to_batches(self.data.schema, names, batch_size=rows, batch_readahead=1)
            else:
                yield from self._csv_blocks(file, names)

    def _csv_blocks(self, file: dataset.Fragment, names: list[str]) -> Iterator[pa.RecordBatch]:
        keys = dataset.get_partition_keys(file.partition_expression)
        with self.system.open_input_stream(file.path) as stream:
            for batch in rows_csv.blocks(stream, shown(file.path), [name for name in names if name not in keys]):
                wanted = [*names, MALFORMED]
                columns = [batch[x] if x not in keys else pa.repeat(keys[x], batch.num_rows) for x in wanted]
                yield pa.RecordBatch.from_arrays(columns, wanted)

    def _whole(self, table: pa.Table) -> pa.RecordBatch:
        if MALFORMED in table.column_names and table[MALFORMED].null_count == table.num_rows:
            table = table.drop_columns(MALFORMED)
        table = table.unify_dictionaries().combine_chunks()
        names = [*self.wanted, MALFORMED][: table.num_columns]
        return pa.RecordBatch.from_arrays([column.chunk(0) for column in table.columns], names)


@contextmanager
def _readable(where: str) -> Iterator[None]:
    hook = sys.unraisablehook
    # Arrow hands a malformed row over as text; where it is none, Python prints a traceback ahead of Arrow's own error.
    sys.unraisablehook = lambda raised: None if isinstance(raised.exc_value, UnicodeDecodeError) else hook(raised)
    try:
        yield
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        if "AWS Error" in str(error):
            raise unreachable(where, error) from None
        raise ModelError(f"{where} can't be read as Parquet or as CSV (UTF-8, commas): {cause(error)}") from None
    finally:
        sys.unraisablehook = hook


def _files(system: fs.FileSystem, root: str, where: str) -> list[fs.FileInfo]:
    """Return the file, or the folder's files; a name that starts with "_" or "." is somebody's note."""
    found = system.get_file_info(root)
    if found.type == fs.FileType.NotFound:
        raise ModelError(f"there is no {where}: check its name")
    if found.type == fs.FileType.Directory:
        inside = system.get_file_info(fs.FileSelector(root, recursive=True))
        files = [file for file in inside if file.is_file and file.base_name[0] not in "_."]
    else:
        files = [found]
    kinds = {f".{file.extension}" for file in files}
    if len(kinds) != 1 or not kinds <= FORMATS:
        raise ModelError(f"{where} must be a .csv or .parquet file, or a folder of one kind: it holds {sorted(kinds)}")
    return sorted(files, key=lambda file: str(file.path))


def _format(paths: list[str], schema: Schema) -> dataset.FileFormat:
    if paths[0].endswith(".parquet"):
        texts = [name for name in schema.columns if name != schema.id]
        return dataset.ParquetFileFormat(dictionary_columns=texts)
    lines, cells = rows_csv.parsing(rows_csv.Malformed()), csv.ConvertOptions(**rows_csv.CELLS)
    return dataset.CsvFileFormat(lines, convert_options=cells, read_options=csv.ReadOptions(block_size=rows_csv.BLOCK))
