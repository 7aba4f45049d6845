"""The files of a job: parts in a folder beside OUT while it lasts, then the whole in its place at once."""

import fcntl
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv, parquet

from serving.batch import layout
from serving.batch.layout import Layout
from serving.batch.remote import Remote
from serving.batch.scorer import ERRORS
from serving.rows.errors import ModelError

WRITTEN = 16_384  # rows that become text at a time; Arrow's 1,024 take a fifth longer


@dataclass(frozen=True)
class Files:
    """Where a job writes: OUT (.csv, .parquet, or a folder of Parquet files), its errors, and the parts of both.

    Of an OUT on s3:// (`remote`) the parts and the errors are here, in files called after `out`.
    """

    out: Path
    errors: Path
    remote: Remote | None = None
    layout: Layout = Layout()

    @property
    def parts(self) -> Path:
        """The folder of the unfinished work."""
        return self.out.with_name(f"{self.out.name}.parts")

    @property
    def old(self) -> Path:
        """Where that folder goes to be removed: from then on it holds nothing that counts."""
        return self.out.with_name(f"{self.out.name}.parts.old")

    def part(self, kind: str, index: int) -> Path:
        """Return the file of one part's `scores` or `errors`."""
        text = kind == "errors" or (self.out.suffix == ".csv" and self.layout.plain)
        return self.parts / kind / f"{index:06d}{'.csv' if text else '.parquet'}"


class Published(NamedTuple):
    """What a finished job tells: how many rows are bad, and how many cells a spreadsheet would have computed."""

    bad: int
    guarded: int


def begin(files: Files, job: dict[str, Any], *, force: bool) -> IO[str]:
    """Make the folder for the parts, or take up the one that the same job left; return what locks it."""
    manifest = files.parts / "job.json"
    shutil.rmtree(files.old, ignore_errors=True)
    job = json.loads(json.dumps(job))
    before = json.loads(manifest.read_text()) if manifest.exists() else {}
    if before == job:
        print(f"{files.out}: goes on where it stopped", file=sys.stderr)
    else:
        if not force and (taken := [path for path in (files.remote or files.out, files.errors) if path.exists()]):
            raise ModelError(f"{taken[0]} exists: choose another name, or replace it with --force")
        if before:
            changed = [name for name in job if job[name] != before.get(name)]
            print(f"{files.out}: starts anew, for this changed: {', '.join(changed)}", file=sys.stderr)
            discard(files)
        files.parts.mkdir(parents=True, exist_ok=True)
        aside = manifest.with_suffix(".new")
        aside.write_text(json.dumps(job))
        aside.replace(manifest)
    for kind in ("scores", "errors"):
        (files.parts / kind).mkdir(exist_ok=True)
    lock = manifest.open()
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ModelError(f"another run writes {files.out} right now: wait for it") from None
    return lock


def write(table: pa.Table, path: Path) -> None:
    """Write a part's file, whole or not at all; its name alone tells its format."""
    aside = path.parents[1] / f"{path.parent.name}-{path.name}.new"
    if path.suffix == ".csv":
        csv.write_csv(table, aside, csv.WriteOptions(include_header=False, batch_size=WRITTEN))
    else:
        parquet.write_table(
            table, aside, row_group_size=layout.ROW_GROUP if layout.PLACE in table.schema.names else None
        )
    aside.replace(path)


def publish(files: Files, schema: pa.Schema) -> Published:
    """Join the parts, and move the whole into place; `schema` has the columns of a part's scores."""
    scores, errors = (sorted((files.parts / kind).iterdir()) for kind in ("scores", "errors"))
    bad, guarded = sum(_bad(part) for part in errors), 0
    if errors:
        whole = files.parts / "errors.csv"
        if files.layout.dialect:
            guarded += layout.write(map(_read_errors, errors), ERRORS, files.layout, whole)
        else:
            _join(errors, ERRORS, whole)
        whole.replace(files.errors)
    else:
        files.errors.unlink(missing_ok=True)
    if files.out.suffix:
        whole = files.parts / f"out{files.out.suffix}"
        if files.layout.plain:
            _join(scores, schema, whole)
        else:
            columns, tables = layout.arranged(scores, schema, files.layout)
            guarded += layout.write(tables, columns, files.layout, whole)
        files.remote.send(whole) if files.remote else whole.replace(files.out)
    else:
        if files.out.exists():
            files.out.rename(files.old)
        (files.parts / "scores").rename(files.out)
        shutil.rmtree(files.old, ignore_errors=True)
    discard(files)
    return Published(bad, guarded)


def discard(files: Files) -> None:
    """Remove the parts."""
    files.parts.rename(files.old)
    shutil.rmtree(files.old)


def _join(parts: list[Path], schema: pa.Schema, whole: Path) -> None:
    if whole.suffix == ".csv":
        with whole.open("wb") as file:
            csv.write_csv(schema.empty_table(), file)
            for part in parts:
                with part.open("rb") as source:
                    shutil.copyfileobj(source, file)
    else:
        layout.write(map(parquet.read_table, parts), schema, Layout(), whole)


def _bad(part: Path) -> int:
    """Return the number of rows that a part of the errors is about."""
    return int(pc.count_distinct(_read_errors(part)["row"]).as_py())


def _read_errors(part: Path) -> pa.Table:
    names = csv.ReadOptions(column_names=ERRORS.names)
    cells = csv.ConvertOptions(column_types=ERRORS, strings_can_be_null=True, quoted_strings_can_be_null=False)
    return csv.read_csv(part, names, csv.ParseOptions(newlines_in_values=True), cells)
