"""`model score IN OUT`: a score for each row, on all cores, in bounded memory, and killed as often as you like.

The rows are scored in parts, each in files of its own in OUT.parts/ until all are there. A part is written aside and
then renamed, so there are only whole ones, and the next run makes those that are missing.
"""

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import astuple
from hashlib import md5
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import TextIO

import pyarrow as pa
from tqdm import tqdm

from serving.batch import layout as layouts
from serving.batch.layout import Layout
from serving.batch.parts import Files, begin, discard, publish, write
from serving.batch.remote import Remote
from serving.batch.reviewed import DEV, running_release
from serving.batch.scorer import Scorer, outputs, score_batch
from serving.batch.source import Source
from serving.model_file.opening import MODEL, open_model
from serving.rows.errors import ModelError
from serving.rows.parameters import PARAMS, param, read_yaml
from serving.rows.schema import PATH, load_schema

BATCH_ROWS = 32_768
THREADS = 2  # passing texts to the model holds Python's lock, so a third thread would only wait
ROWS_PER_WORKER = 1_000_000  # rows for which another process earns the seconds that its start takes
QUEUED_PER_WORKER = 2  # batches that wait for each worker, so that none waits for the reader
PLAIN = Layout()
PROGRESS_SECONDS = 5.0  # seconds between two lines of progress in a log


def run(
    source: str,
    target: str,
    errors: Path | None,
    batch_rows: int | None,
    workers: int | None,
    *,
    force: bool,
    layout: Layout = PLAIN,
    reasons: int | None = None,
) -> None:
    """Score the rows of `source` into `target`, and write those that break schema.yaml to `errors`, with the reason.

    Raises:
        ModelError: the source, the model or a path can't be used, there are no rows, or the work was interrupted.
    """
    files, scorer = _files(target, errors, layout), _scorer(reasons or 0)
    rows = Source(source, scorer.schema)
    batch_rows = batch_rows or BATCH_ROWS
    job = {
        "input": rows.identity(),
        "model": scorer.md5,
        "schema": _md5(PATH.read_bytes()),
        "options": scorer[3:],
        "batch rows": batch_rows,
        "output": str(files.remote or files.out.suffix),
        "layout": astuple(layout),
    }
    with begin(files, job, force=force):
        total = _score(scorer, rows, files, batch_rows, workers)
        if not total:
            discard(files)
            raise ModelError(f"{rows.where} has no rows, so there is nothing to score: check what wrote it")
        bad, guarded = publish(files, outputs(scorer))
    where = f"; the other {bad:,} and why: {files.errors}" if bad else ""
    named = "model" if scorer.release == DEV else f"release {scorer.release}, model"
    print(f"{files.remote or files.out}: {total - bad:,} of {total:,} rows scored by {named} {scorer.md5[:8]}{where}")
    if layout.top is not None and layout.top < total - bad:
        print(f"{files.remote or files.out} holds the {layout.top:,} highest scores of them")
    if guarded:
        print(f"{guarded:,} cells start with = + - @ or a tab, and got a ' in front: a spreadsheet would compute them")


def _files(target: str, errors: Path | None, layout: Layout) -> Files:
    remote = Remote(target) if "://" in target else None
    out = Path(Path(remote.path).name if remote else target)
    if out.suffix not in (".csv", ".parquet") and (out.suffix or remote):
        raise ModelError(f"{remote or out} can't be written: give a .csv or .parquet file, or a new folder here")
    if not remote and out.exists() and out.is_dir() == bool(out.suffix):
        raise ModelError(
            f"{out} is {'a folder' if out.suffix else 'a file'}: with a suffix OUT is a file, else a folder"
        )
    layouts.fits(layout, out)
    return Files(out, errors or out.with_name(f"{out.name}.errors.csv"), remote, layout)


def _scorer(reasons: int) -> Scorer:
    schema = load_schema()
    open_model()  # says what is wrong with it
    content = MODEL.read_bytes()
    threshold = float(param("threshold")) if schema.target.task == "binary" else 0.0
    policy = (read_yaml(PARAMS).get("service") or {}).get("unknown_category", "reject")
    most = min(reasons, len(schema.columns))
    return Scorer(schema, content, _md5(content), threshold, policy == "reject", running_release(), most)


def _md5(content: bytes) -> str:
    return md5(content, usedforsecurity=False).hexdigest()


def _score(scorer: Scorer, rows: Source, files: Files, batch_rows: int, workers: int | None) -> int:
    """Make the parts that are missing, and return the number of all rows."""
    expected, total, waiting = rows.rows(), 0, deque[tuple[Future[None], int]]()
    try:
        workers = workers or min(pa.cpu_count(), max(THREADS, expected // ROWS_PER_WORKER))
        with _pool(workers) as pool, _progress(expected) as bar:
            for index, batch in enumerate(rows.batches(batch_rows)):
                first, total = total + 1, total + batch.num_rows
                if files.part("scores", index).exists():
                    bar.initial, bar.n = bar.initial + batch.num_rows, bar.n + batch.num_rows  # not in this run's rate
                    continue
                waiting.append((pool.submit(_part, scorer, batch, first, files, index), batch.num_rows))
                if len(waiting) > workers * QUEUED_PER_WORKER:
                    _done(waiting, bar)
            while waiting:
                _done(waiting, bar)
            bar.total = total
    except BrokenProcessPool:
        raise ModelError("a worker was killed, maybe for its memory: go on with fewer --workers") from None
    except KeyboardInterrupt:
        raise ModelError("interrupted: the same command goes on from here") from None
    return total


def _pool(workers: int) -> Executor:
    """Return threads as far as they help, and else processes."""
    if workers <= THREADS:
        return ThreadPoolExecutor(workers)
    return ProcessPoolExecutor(workers, get_context("spawn"), _follow)  # forked, Arrow's threads could hang


def _done(waiting: deque[tuple[Future[None], int]], bar: tqdm) -> None:
    future, rows = waiting.popleft()
    future.result()
    bar.update(rows)


class _Lines(tqdm):
    """Progress for a log: a line each time, where a terminal draws over the last one."""

    @staticmethod
    def status_printer(file: TextIO) -> Callable[[str], None]:
        """Return what prints a state."""
        return lambda text: print(text, file=file, flush=True)


def _progress(rows: int) -> tqdm:
    kind, pause = (tqdm, 0.2) if sys.stderr.isatty() else (_Lines, PROGRESS_SECONDS)
    return kind(total=rows, unit=" rows", unit_scale=True, mininterval=pause, maxinterval=pause)


def _follow() -> None:
    """Make this worker end with the process that started it, however that ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says it
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if parent := parent_process():
        parent.join()
        os._exit(1)


def _part(scorer: Scorer, batch: pa.RecordBatch, first: int, files: Files, index: int) -> None:
    """Score a batch and write its files; the one of the scores is last, and tells that the part is there."""
    scores, errors = score_batch(scorer, batch, first)
    if files.layout.ranked:
        scores = layouts.sorted_part(scores, first)
    if errors.num_rows:
        write(errors, files.part("errors", index))
    write(scores, files.part("scores", index))
