"""How often does the review block a model wrongly, and how often does it find a loss?

Simulates pull requests whose truth is known: 1,409 held-out rows, a champion of ROC AUC 0.845, and a challenger of the
same quality or worse whose scores are correlated with the champion's. Each is judged by three rules on the same rows.
`python tests/bench/review.py [--pulls 1000]` prints the table of docs/review.md; it takes some minutes on two cores.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
import pandas as pd
from gitops import gates
from gitops.review.judge import judge_predictions
from scipy.stats import norm

ROWS, POSITIVE, AUC = 1409, 0.265, 0.845
LOSSES = (0.0, 0.005, 0.01, 0.02, 0.03)
CORRELATIONS = (0.9, 0.97)
SEGMENTS = 30
GATES = gates.Gates(metrics={"roc_auc": gates.Gate(tolerance=0.01)})
COLUMNS = ("a", "b", "c")
SEGMENT_GATES = GATES.model_copy(update={"segments": gates.SegmentGates(columns=COLUMNS)})
RULES = ("new < old", "loss > 0.005", "ours")


def pull_request(seed: int, loss: float, correlation: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the predictions of champion and challenger: binormal scores, whose AUC is known exactly."""
    random = np.random.default_rng(seed)
    truth = (random.random(ROWS) < POSITIVE).astype(float)
    noise = random.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], ROWS)
    lift = np.sqrt(2) * norm.ppf([AUC, AUC - loss])
    scores = norm.cdf(noise + truth[:, None] * lift - 1)
    table = pd.DataFrame({"id": np.arange(ROWS).astype(str), "truth": truth})
    for column in COLUMNS:
        table[column] = random.integers(0, SEGMENTS // len(COLUMNS), ROWS)
    return table.assign(score=scores[:, 0]), table.assign(score=scores[:, 1])


def blocked(seed: int, loss: float, correlation: float, *, segments: bool = False) -> tuple[bool, bool, bool]:
    """Return which of the three rules block this pull request."""
    champion, challenger = pull_request(seed, loss, correlation)
    judgement = judge_predictions(champion, challenger, SEGMENT_GATES if segments else GATES)
    difference = judgement.metrics[0].difference or 0.0
    ours = any(row.verdict.blocks for row in (*judgement.metrics, *judgement.segments))
    return difference < 0, difference < -0.005, ours


def main() -> None:
    """Print the share of blocked pull requests in each cell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pulls", type=int, default=1000, help="pull requests a cell (default: %(default)s)")
    pulls = parser.parse_args().pulls
    print(f"| correlation | true loss of AUC | segments | {' | '.join(RULES)} |")
    print("|---:|---:|---:|---:|---:|---:|")
    cells = [(correlation, loss, False) for correlation in CORRELATIONS for loss in LOSSES]
    cells += [(correlation, 0.0, True) for correlation in CORRELATIONS]
    with ProcessPoolExecutor() as pool:
        for correlation, loss, segments in cells:
            judge_one = partial(blocked, loss=loss, correlation=correlation, segments=segments)
            shares = np.mean(list(pool.map(judge_one, range(pulls), chunksize=20)), axis=0)
            number = SEGMENTS if segments else 0
            print(
                f"| {correlation} | {loss} | {number} | {' | '.join(f'{share:.1%}' for share in shares)} |", flush=True
            )


if __name__ == "__main__":
    main()
