"""The first two stages: check the table, and set aside the rows that judge every model."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from serving.rows.errors import ModelError, run_stage
from serving.rows.parameters import param
from serving.rows.schema import Schema, load_schema
from serving.rows.split import held_out, row_keys

CSV = Path("data/table.csv")
TABLE = Path("build/table.parquet")
TRAIN = Path("build/train.parquet")
HOLDOUT = Path("build/holdout.parquet")


def validate(source: Path = CSV) -> None:
    """Check the CSV file against schema.yaml and write the typed table."""
    from serving.rows.table import read_csv, typed  # slow to import, and scoring needs this module

    frame = typed(load_schema(), read_csv(source))
    TABLE.parent.mkdir(exist_ok=True)
    frame.to_parquet(TABLE)
    print(f"{source}: {len(frame):,} rows, all as schema.yaml says")


def split() -> None:
    """Write the rows for training and the held-out rows: the side of a row follows from its own id and the seed.

    Raises:
        ModelError: params.yaml names no share or seed, or a side has too few rows to train or to judge a model.
    """
    schema, frame = load_schema(), read_rows(TABLE)
    aside = held_out(row_keys(schema, frame), param("seed"), param("split.holdout"))
    for rows, path, purpose in ((frame[~aside], TRAIN, "for training"), (frame[aside], HOLDOUT, "held out")):
        if rows[schema.target.name].nunique() < 2:
            raise ModelError(
                f"of {len(frame):,} rows {len(rows):,} are {purpose}, without two different values of the target "
                f"{schema.target.name!r} among them: add rows, or change `split.holdout` or `seed` in params.yaml"
            )
        rows.to_parquet(path)
    print(f"{(~aside).sum():,} rows for training, {aside.sum():,} held out")


def read_rows(path: Path) -> pd.DataFrame:
    """Read the rows that an earlier stage wrote.

    Raises:
        ModelError: there is no such file, or it is not Parquet.
    """
    try:
        return pd.read_parquet(path)
    except FileNotFoundError:
        raise ModelError(f"there is no {path}: `uv run dvc repro` runs the stages in their order") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is not a readable Parquet file: {error}") from None


def truth(schema: Schema, frame: pd.DataFrame) -> NDArray[np.float64]:
    """Return the target of each row, [n]: the number, or 1 for the positive and 0 for the negative value.

    Raises:
        ModelError: the target is missing, or holds something else.
    """
    target = schema.target
    if target.name not in frame:
        raise ModelError(f"the rows have no column {target.name!r}, the target in schema.yaml")
    values = frame[target.name]
    if target.task == "regression":
        values = pd.to_numeric(values, errors="coerce")
    else:
        values = values.map({target.positive: 1.0, target.negative: 0.0})
    if values.isna().any():
        odd = frame[target.name][values.isna()].iloc[0]
        raise ModelError(f"the target {target.name!r} holds {odd!r}, which schema.yaml doesn't allow")
    return values.to_numpy(np.float64)


if __name__ == "__main__":
    run_stage({"validate": validate, "split": split}[sys.argv[1]])
