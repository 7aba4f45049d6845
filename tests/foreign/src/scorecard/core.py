"""The model file (JSON: a weight for each column or `column=level`) and what it says of records. NumPy alone."""

import json
from pathlib import Path

import numpy as np

FILE = Path("build/scorecard.json")


def encode(record, name):
    """Return the logarithm of a number (0 where it is missing), or for `column=level` whether it has that level."""
    column, _, level = name.partition("=")
    return float(record[column] == level) if level else float(np.nan_to_num(np.log1p(record[column] or 0.0)))


def score(records):
    """Return the probability of each record."""
    card = json.loads(FILE.read_text())
    rows = np.array([[encode(record, name) for name in card["weights"]] for record in records])
    return (1 / (1 + np.exp(-card["bias"] - rows @ list(card["weights"].values())))).tolist()
