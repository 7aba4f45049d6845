"""Make another table this project's: infer schema.yaml from a CSV file, and write all that follows from it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from serving.adopt.roles import infer
from serving.rows.errors import ModelError
from serving.rows.parameters import PARAMS
from serving.rows.schema import PATH, Schema
from serving.rows.table import read_csv, typed

CSV = Path("data/table.csv")
GATES = Path("gates.yaml")

SCHEMA_HEAD = """\
# What a row is. The check of the table, the types of the service and its contract follow from this file: review it.
# Types: number, integer, boolean, date, category. A column may have min, max and nullable; `ignored` gives a reason.
"""
GATES_HEAD = """\
# What a model must reach to be merged. Changing this file needs a code owner.
metrics:                  # floor: the worst value allowed; tolerance: how much worse than the champion is still fine
"""
RAISE = "raise the floor once you know what a good model reaches"


def adopt(file: Path, target: str, id_column: str | None, positive: str | None, *, dry_run: bool) -> None:
    """Write schema.yaml, the data version, gates.yaml, the threshold of params.yaml and openapi.json for a table.

    Raises:
        ModelError: the table can't be used, and why; nothing is written then.
    """
    texts = read_csv(file)
    schema = infer(texts, target, id_column, positive)
    frame = typed(schema, texts)
    print(_report(schema, texts))
    if dry_run:
        print("\nNothing was written (--dry-run).")
        return
    threshold = re.sub(r"(?m)^threshold: \S+", "threshold: 0.5", _params())
    _version(file)
    tree = {"id": schema.id} | schema.model_dump(exclude_defaults=True)
    style: dict[str, Any] = {"sort_keys": False, "allow_unicode": True, "default_flow_style": None, "width": 120}
    _replace(PATH, SCHEMA_HEAD + yaml.safe_dump(tree, **style))
    _replace(PARAMS, threshold)
    _replace(GATES, GATES_HEAD + _gates(frame[target], schema.target.task))
    _run("model", "contract")
    print(
        f"\nWritten: {PATH}, {PARAMS}, {GATES}, openapi.json, docs/api.md, {CSV} and its DVC version. Next:\n"
        f"  review {PATH} and {GATES}\n"
        "  write goal.yaml: what this model is for, and who answers for it\n"
        "  uv run dvc repro\n"
        "  uv run pytest\n"
        "  git add --all && git commit"
    )


def _gates(target: "pd.Series[Any]", task: str) -> str:
    """Return gates to start with: better than guessing; the error's tolerance is a fiftieth of the target's spread."""
    if task == "binary":
        return f"  roc_auc: {{floor: 0.5, tolerance: 0.01}}  # {RAISE}\n  log_loss: {{tolerance: 0.02}}\n"
    spread = np.format_float_positional(target.std() / 50, precision=1, fractional=False, trim="-")
    return f"  r2: {{floor: 0.0, tolerance: 0.01}}  # {RAISE}\n  mae: {{tolerance: {spread}}}\n"


def _report(schema: Schema, texts: pd.DataFrame) -> str:
    """Return a line for each column: what it was taken for."""
    target = schema.target
    roles: dict[str | None, str] = {schema.id: "id"} | {name: f"ignored, {why}" for name, why in schema.ignored.items()}
    roles[target.name] = f"target, {target.task}" + (f", positive {target.positive!r}" if target.positive else "")
    for name, column in schema.columns.items():
        values = f" of {len(column.values)} values" if column.values else ""
        low = "" if column.min is None else f", at least {column.min:g}"
        roles[name] = column.type + values + low + (", may be missing" if column.nullable else "")
    names = [str(name) for name in texts]
    width = max(map(len, names))
    rows = [f"  {name:<{width}}  {roles[name]}" for name in names]
    return "\n".join(rows if schema.id else [*rows, "  (no id column: a row is known by its number)"])


def _params() -> str:
    try:
        return PARAMS.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ModelError(f"there is no {PARAMS} here: run this from the root of the project") from None


def _version(file: Path) -> None:
    """Put the table in place and let DVC hash it."""
    CSV.parent.mkdir(exist_ok=True)
    aside = CSV.with_suffix(".new")
    shutil.copyfile(file, aside)
    aside.replace(CSV)
    _run("dvc", "add", "--quiet", str(CSV))


def _run(*command: str) -> None:
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True)
    if done.returncode:
        raise ModelError(f"`{' '.join(command)}` failed: {' '.join(done.stderr.split())[-300:]}")


def _replace(path: Path, text: str) -> None:
    aside = path.with_suffix(".new")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)
