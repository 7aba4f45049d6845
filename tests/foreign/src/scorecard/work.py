"""The stages: `fit` and `assess`."""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from scorecard import core

ROWS, RESULTS = Path("build/test-rows.parquet"), Path("build/results.parquet")
KEY, TARGET, CHURNED = "customer_id", "churn", "Yes"
NUMBERS, LEVELS = ["tenure", "monthly_charges", "total_charges"], ["contract", "internet_service", "payment_method"]
NAMES = {"path": "/v1/points", "records": "rows", "predictions": "answers", "score": "points", "version": "release"}


def fit():
    """Set every fifth row aside, and fit by Newton's method, with a ridge, to the others."""
    table = pd.read_csv("data/table.csv")
    Path("build").mkdir(exist_ok=True)
    table[table.index % 5 == 0].to_parquet(ROWS)
    table = table[table.index % 5 != 0]
    names = NUMBERS + [f"{column}={level}" for column in LEVELS for level in sorted(table[column].unique())]
    x = np.array([[1.0, *(core.encode(row, name) for name in names)] for row in table.to_dict("records")])
    y, weights = (table[TARGET] == CHURNED).to_numpy(float), np.zeros(x.shape[1])
    ridge = yaml.safe_load(Path("params.yaml").read_text())["ridge"] * np.eye(len(weights))
    for _ in range(20):
        p = 1 / (1 + np.exp(-x @ weights))
        weights += np.linalg.solve((x.T * (p * (1 - p))) @ x + ridge, x.T @ (y - p) - ridge @ weights)
    bias, *rest = weights.round(9).tolist()
    core.FILE.write_text(json.dumps({"bias": bias, "weights": dict(zip(names, rest, strict=True))}))


def assess(rows, results):
    """Score rows, and measure and describe the model where they are its own test rows."""
    table = pd.read_parquet(rows)
    scored = pd.DataFrame({"id": table[KEY], "truth": (table[TARGET] == CHURNED).astype(float)})
    scored["score"] = core.score(table.to_dict("records"))
    scored.to_parquet(results, index=False)
    if results == RESULTS:
        ranks, hits = scored.score.rank(), scored.truth == 1
        auc = (ranks[hits].mean() - (hits.sum() + 1) / 2) / (~hits).sum()
        Path("results.json").write_text(json.dumps({"roc_auc": round(float(auc), 6)}))
        Path("described.json").write_text(json.dumps(describe(table), indent=1))


def describe(table):
    """Return what the factory's contract asks for."""
    free = {"min": None, "max": None, "values": [], "nullable": False}
    levels = [{"name": name, "values": sorted(table[name].unique())} for name in LEVELS]
    numbers = [free | {"name": name, "type": "number", "nullable": True} for name in NUMBERS]
    return {
        "format": 1,
        "target": {"name": TARGET, "task": "binary", "labels": ["No", CHURNED]},
        "threshold": 0.4,
        "id": KEY,
        "features": [*numbers, *(free | {"type": "category"} | level for level in levels)],
        "ignored": {},
        "model": {"kind": "scorecard", "file_format": "json", "code": []},
        "parameters": yaml.safe_load(Path("params.yaml").read_text()),
        "service": NAMES,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("stage")
    parser.add_argument("--rows", type=Path, default=ROWS)
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    fit() if given.stage == "fit" else assess(given.rows, given.results)
