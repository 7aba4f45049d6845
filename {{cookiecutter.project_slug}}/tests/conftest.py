"""A copy of this project, trained on made-up rows: the pipeline, parameters and columns are this project's own.

The tests need no data, and suit any schema.yaml.
"""

import json
import os
import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

os.environ["OMP_NUM_THREADS"] = "1"  # these tables are tiny: more threads would wait for each other

from model.data import split, validate
from model.evaluate import evaluate
from model.train import train
from serving.rows.parameters import param
from serving.rows.schema import Column, Schema, load_schema

ROOT = Path(__file__).parents[1]
ROWS = 400


def made_up(schema: Schema, rows: int = ROWS) -> pd.DataFrame:
    """Make up rows that fit a schema, as the texts of a CSV file; a tenth of what may be missing is."""
    random = np.random.default_rng(7)
    cells = {name: values(column, rows, random) for name, column in schema.columns.items()}
    cells |= {name: ["x"] * rows for name in schema.ignored}
    high = random.random(rows) < 0.4
    if schema.target.task == "binary":
        cells[schema.target.name] = [schema.target.positive if one else schema.target.negative for one in high]
    else:
        cells[schema.target.name] = [
            str(round(1000 * one + x, 1)) for one, x in zip(high, random.random(rows), strict=True)
        ]
    if schema.id:
        cells[schema.id] = [f"row {i}" for i in range(rows)]
    return pd.DataFrame(cells, dtype="str")


def values(column: Column, rows: int, random: np.random.Generator) -> list[str]:
    """Make up one column's cells."""
    low = column.min if column.min is not None else (column.max or 0) - 100
    high = column.max if column.max is not None else low + 100
    match column.type:
        case "number":
            made = [str(x) for x in random.uniform(low, high, rows).round(3).clip(low, high)]
        case "integer":
            made = [str(x) for x in random.integers(int(np.ceil(low)), int(high) + 1, rows)]
        case "boolean":
            made = [str(x) for x in random.choice(["true", "false"], rows)]
        case "date":
            made = [(date(2024, 1, 1) + timedelta(int(x))).isoformat() for x in random.integers(0, 300, rows)]
        case "category":
            made = [column.values[i] for i in random.integers(0, len(column.values), rows)]
    return [
        "" if column.nullable and missing else cell
        for cell, missing in zip(made, random.random(rows) < 0.1, strict=True)
    ]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which the whole pipeline ran on made-up rows; don't write into it."""
    folder = tmp_path_factory.mktemp("trained")
    for name in ("schema.yaml", "params.yaml"):
        shutil.copy(ROOT / name, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_pipeline()
        yield folder


@pytest.fixture
def project(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `trained` to work in; the current folder."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def small_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the small model of small_model.py; only for copying."""
    import small_model

    folder = tmp_path_factory.mktemp("small")
    small_model.write(folder)
    return folder


@pytest.fixture
def small(small_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the small model of small_model.py to work in; the current folder."""
    shutil.copytree(small_once, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def client(trained: Path) -> Iterator[TestClient]:
    """The service of the trained project, over HTTP in this process."""
    from serving import service

    app: Any = service.Model
    with TestClient(app.to_asgi()) as client:
        yield client


@pytest.fixture(scope="session")
def records(trained: Path) -> list[dict[str, Any]]:
    """The held-out rows as a caller would send them, as many as one request may hold."""
    rows = pd.read_parquet("build/holdout.parquet").drop(columns=load_schema().target.name)
    sent = rows.head(param("service.max_rows")).to_json(orient="records", force_ascii=False, double_precision=15)
    return list(json.loads(sent))


def run_pipeline() -> None:
    """Make up a table for the schema.yaml of the current folder, and run the four stages."""
    Path("data").mkdir(exist_ok=True)
    made_up(load_schema()).to_csv("data/table.csv", index=False)
    validate()
    split()
    train()
    evaluate()
