"""The tests that a project is generated with stay green on whatever table it adopts, and whatever pipeline it gets."""

import csv
import random
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from harness import Failed
from laptop import Laptop

pytestmark = pytest.mark.slow

ROWS = 120
# The tests that read this project's schema.yaml, params.yaml or pipeline.py; the others don't know them.
READ = ["service", "reasons", "observe", "train", "evaluate", "data"]
TESTS = " ".join(f"tests/test_{name}.py" for name in READ)
TESTS += " tests/test_batch.py::test_scores_are_those_of_the_evaluation"
WIDE = "tests/test_service.py tests/test_reasons.py tests/test_data.py"  # the rest takes as long again

dice = random.Random(5)


def number() -> str:
    return f"{dice.gauss(5, 20):.3f}"


def integer() -> str:
    return str(dice.randint(0, 90))


def day() -> str:
    return (date(2020, 1, 1) + timedelta(dice.randint(0, 900))).isoformat()


def town() -> str:
    return dice.choice(["Köln", "No", "São Paulo"])


def boolean() -> str:
    return dice.choice(["true", "false"])


def answer() -> str:
    return dice.choice(["yes", "no"])


def gappy(cell: Callable[[], str]) -> Callable[[], str]:
    """Return what makes such cells, and leaves a fifth of them empty."""
    return lambda: "" if dice.random() < 0.2 else cell()


KINDS = (number, integer, town, day, boolean)
NAMES = ["größe in m", "город: где", "id", 'a.b[0] "x"', "c0", "c1", "label", "score", "numbers", "categories", "name"]
# The target is the last column.
TABLES: dict[str, dict[str, Callable[[], str]]] = {
    "two columns of numbers": {"a": integer, "b": number, "y": answer},
    "dates, and a number to predict": {"begin": day, "end": day, "price": number},
    "one category": {"town": town, "y": answer},
    "strange names, and gaps": {name: gappy(KINDS[i % len(KINDS)]) for i, name in enumerate(NAMES)} | {"y": answer},
    "600 columns": {f"x{i}": KINDS[i % len(KINDS)] for i in range(600)} | {"y": answer},
}

OWN_PIPELINE = '''
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from serving.rows.schema import Schema


def ratio(rows: pd.DataFrame) -> NDArray[np.float64]:
    """Return charges per month, which the table has not, and the months."""
    months = rows["tenure"].to_numpy(np.float64)
    charges = np.nan_to_num(rows["total_charges"].to_numpy(np.float64))
    return np.column_stack([charges / (months + 1), months])


def build(schema: Schema, params: dict[str, Any]) -> Pipeline:
    return make_pipeline(FunctionTransformer(ratio), LogisticRegression())


def fit(pipeline: Pipeline, rows: pd.DataFrame, truth: NDArray[np.float64], params: dict[str, Any]) -> None:
    pipeline.fit(rows, truth)
'''


def own_tests(laptop: Laptop, tests: str) -> str:
    """Run a project's own tests, of which none may fail; return pytest's last line."""
    said = laptop.run(f"python -m pytest -q -p no:cacheprovider {tests}").splitlines()[-1]
    assert " passed" in said and "failed" not in said and "error" not in said
    return said


@pytest.mark.parametrize("name", TABLES)
def test_the_tests_stay_green_on_an_adopted_table(on_laptop: Laptop, tmp_path: Path, name: str) -> None:
    columns = TABLES[name]
    path = tmp_path / "table.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([cell() for cell in columns.values()] for _ in range(ROWS))
    on_laptop.run(f"python -m model adopt {path} --target {list(columns)[-1]}")
    features = on_laptop.read("schema.yaml").partition("columns:")[2]
    assert features.count("type: ") == len(columns) - 1 and "ignored:" not in features
    own_tests(on_laptop, WIDE if len(columns) > 100 else TESTS)


def test_the_tests_are_of_an_own_pipeline_and_stay_green(on_laptop: Laptop) -> None:
    on_laptop.write("src/model/pipeline.py", OWN_PIPELINE)
    on_laptop.replace("params.yaml", "format: onnx ", "format: skops ")
    on_laptop.replace("params.yaml", "kind: linear ", "kind: ratio ")
    on_laptop.replace("params.yaml", "seed: 20 ", "seed: 3 ")
    on_laptop.replace("params.yaml", "holdout: 0.2 ", "holdout: 0.3 ")
    assert "skipped" not in own_tests(on_laptop, f"{TESTS} tests/test_export.py")
    on_laptop.replace("src/model/pipeline.py", 'rows["total_charges"]', 'rows["charges"]')
    with pytest.raises(Failed, match="charges"):
        on_laptop.run("python -m pytest -q -x -p no:cacheprovider tests/test_train.py")


def test_the_tests_stay_green_where_scores_hardly_differ(on_laptop: Laptop) -> None:
    on_laptop.replace("params.yaml", "alpha: 1.0 ", "alpha: 100000.0 ")
    on_laptop.replace("params.yaml", "unknown_category: reject ", "unknown_category: missing ")
    on_laptop.replace("params.yaml", "max_rows: 1000 ", "max_rows: 3 ")
    on_laptop.run("python -m model contract")
    own_tests(on_laptop, TESTS)
