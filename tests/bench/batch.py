"""How fast is `model score`, and how much memory does it take, as the rows grow?

`python tests/bench/batch.py` generates and trains a project, repeats its table to 10⁵, 10⁶ and 10⁷ rows in a Parquet
file, and scores them in four ways, each time in a process of its own. The bare way is reading the file and running the
model on arrays that are ready, one core, nothing else; what makes the arrays is not counted, nor is the start of
Python. Ours counts everything from the call: the files of settings, the model that is opened, checks, a CSV file
written in parts and joined. Both cores work on it, unless it is held to one.
"""

import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))
SIZES = (10**5, 10**6, 10**7)
RUNS = 3  # of which the median counts
PANDAS = 10**6  # rows; ten times as many need more memory than a small machine has
BLOCK = 4096  # rows that the bare way gives ONNX Runtime at a time, where it is fastest
ROWS, OUT = Path("rows.parquet"), Path("scores.csv")


def main() -> None:
    """Print one Markdown table."""
    from laptop import Laptop, from_template

    with TemporaryDirectory() as folder:
        base = Path(folder)
        from_template(base)
        project = Laptop(base / "trained", base)
        print("| rows | | seconds | rows/s | of bare's | of the processor, s | peak memory, MB |")
        print("|---:|---|---:|---:|---:|---:|---:|")
        for size in SIZES:
            project.run(f"python {Path(__file__).resolve()} repeat {size}")
            bare = 0.0
            for way in WAYS if size <= PANDAS else [way for way in WAYS if way != "pandas"]:
                said = [project.run(f"python {Path(__file__).resolve()} {way}") for _ in range(RUNS)]
                found = zip(*(json.loads(text.splitlines()[-1]) for text in said), strict=True)
                seconds, busy, memory = map(statistics.median, found)
                bare = bare or seconds
                rate = f"{size / seconds:,.0f} | {bare / seconds:.0%}"
                print(f"| {size:,} | {way} | {seconds:.2f} | {rate} | {busy:.2f} | {memory:,.0f} |", flush=True)


def repeat(size: int) -> None:
    """Write the table as often as it takes to have that many rows."""
    import pyarrow as pa
    from pyarrow import parquet

    table = parquet.read_table("build/table.parquet")
    block = pa.concat_tables([table] * 15).combine_chunks()
    with parquet.ParquetWriter(ROWS, table.schema) as writer:
        for start in range(0, size, block.num_rows):
            writer.write_table(block.slice(0, size - start))


class Watch:
    """Adds up the seconds spent in its `with` blocks: on the clock, and of the processor with all children."""

    def __init__(self) -> None:
        self.spent = [0.0, 0.0]

    def __enter__(self) -> None:
        self._begun = self._now()

    def __exit__(self, *_: object) -> None:
        self.spent = [
            total + end - start for total, end, start in zip(self.spent, self._now(), self._begun, strict=True)
        ]

    def _now(self) -> tuple[float, float]:
        return time.perf_counter(), time.process_time() + sum(os.times()[2:4])


def bare(watch: Watch) -> None:
    """Time the reading and `session.run`."""
    import numpy as np
    import pyarrow as pa
    from serving.batch.columns import check
    from serving.batch.source import Source
    from serving.model_file.opening import MODEL, OnnxModel
    from serving.rows.schema import load_schema

    pa.set_cpu_count(1)
    schema, model = load_schema(), OnnxModel(MODEL.read_bytes())
    batches = Source(str(ROWS), schema).batches(2**16)
    while True:
        with watch:
            batch = next(batches, None)
        if batch is None:
            return
        inputs, _ = check(schema, batch, reject_unknown=True)
        for start in range(0, batch.num_rows, BLOCK):
            ready = {name: np.ascontiguousarray(matrix[start : start + BLOCK]) for name, matrix in inputs.items()}
            with watch:
                model.session.run([model.last], ready)


def ours(watch: Watch, workers: int | None = None) -> None:
    """Time the command's own function."""
    from serving.batch.job import run

    with watch:
        run(str(ROWS), str(OUT), None, None, workers, force=True)


def pandas(watch: Watch) -> None:
    """Time the whole file at once, as one writes it in a notebook."""
    import pandas as pd
    from serving.model_file.opening import open_model
    from serving.rows.matrices import from_frame
    from serving.rows.schema import load_schema

    with watch:
        frame = pd.read_parquet(ROWS)
        frame["score"] = open_model().score(from_frame(load_schema(), frame))
        frame[["customer_id", "score"]].to_csv(OUT, index=False)


WAYS: dict[str, Callable[[Watch], None]] = {
    "bare": bare,
    "ours-on-one-core": lambda watch: ours(watch, 1),
    "ours": ours,
    "pandas": pandas,
}


def one(way: str) -> None:
    """Score once and print seconds and megabytes; of several workers the largest counts for each."""
    if way in ("bare", "ours-on-one-core"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    watch = Watch()
    WAYS[way](watch)
    own, child = (resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(json.dumps([*watch.spent, own + child * len(os.sched_getaffinity(0))]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["repeat"]:
        repeat(int(sys.argv[2]))
    elif sys.argv[1:]:
        one(sys.argv[1])
    else:
        main()
