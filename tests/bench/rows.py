"""Does the judge stay fast and small with many held-out rows?

`python tests/bench/rows.py` judges 10⁴, 10⁵ and 10⁶ rows by three metrics in ten segments, each in a process of its
own, and prints the seconds, those of the processor (all that an idle machine needs) and the peak memory.
"""

import resource
import subprocess
import sys
import time

import numpy as np
import pandas as pd

SIZES = (10**4, 10**5, 10**6)
GATES = {
    "metrics": {"roc_auc": {"tolerance": 0.01}, "average_precision": {"tolerance": 0.01}, "log_loss": {}},
    "segments": {"columns": ["plan", "region"], "min_rows": 100},
}


def main() -> None:
    """Print one Markdown table."""
    print("| held-out rows | seconds | of the processor | microseconds a row | peak memory, MB |")
    print("|---:|---:|---:|---:|---:|")
    for size in SIZES:
        done = subprocess.run([sys.executable, __file__, str(size)], text=True, capture_output=True, check=True)
        seconds, busy, memory = map(float, done.stdout.split())
        row = (f"{size:,}", f"{seconds:.1f}", f"{busy:.1f}", f"{1e6 * busy / size:.0f}", f"{memory:,.0f}")
        print(f"| {' | '.join(row)} |", flush=True)


def one(rows: int) -> None:
    """Judge once and print seconds and megabytes; the libraries' own share of the memory is in it."""
    from gitops import gates
    from gitops.review.judge import judge_predictions

    random = np.random.default_rng(1)
    signal = random.normal(size=rows)
    table = pd.DataFrame({"id": np.arange(rows), "truth": (random.normal(size=rows) < signal - 0.6).astype(float)})
    table["plan"], table["region"] = random.integers(0, 5, rows), random.integers(0, 5, rows)
    champion, challenger = (
        table.assign(score=1 / (1 + np.exp(-(1.4 * signal - 1 + 0.3 * random.normal(size=rows))))) for _ in range(2)
    )
    begun, worked = time.perf_counter(), time.process_time()
    judgement = judge_predictions(champion, challenger, gates.check(GATES))
    seconds, busy = time.perf_counter() - begun, time.process_time() - worked
    assert len(judgement.segments) == 10 and all(row.interval for row in judgement.metrics)
    print(seconds, busy, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    one(int(sys.argv[1])) if sys.argv[1:] else main()
