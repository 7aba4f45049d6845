"""From the CSV file to a typed table, and from that to the rows for training and the rows for judging."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray
from pandera.errors import SchemaErrors
from sklearn.model_selection import train_test_split

from model.schema import ModelError, Schema, load, param

CSV = Path("data/table.csv")
TABLE = Path("build/table.parquet")
TRAIN = Path("build/train.parquet")
HOLDOUT = Path("build/holdout.parquet")

MISSING = {"", "?", "-", "na", "n/a", "nan", "none", "null"}  # in lower case; in a category only "" is missing
BOOLEANS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


def validate(source: Path = CSV) -> None:
    """Check the CSV file against schema.yaml and write the typed table."""
    frame = typed(load(), read_csv(source))
    TABLE.parent.mkdir(exist_ok=True)
    frame.to_parquet(TABLE)
    print(f"{source}: {len(frame):,} rows, all as schema.yaml says")


def split() -> None:
    """Write the rows for training and the held-out rows; seeded, and with the same share of positives in both."""
    schema, frame = load(), read_rows(TABLE)
    labels = frame[schema.target.name] if schema.target.task == "binary" else None
    try:
        train, holdout = train_test_split(
            frame, test_size=param("split.holdout"), random_state=param("seed"), stratify=labels
        )
    except ValueError as error:
        raise ModelError(f"{len(frame):,} rows can't be split with split.holdout of params.yaml: {error}") from None
    for part, path in ((train, TRAIN), (holdout, HOLDOUT)):
        part.sort_index().to_parquet(path)
    print(f"{len(train):,} rows for training, {len(holdout):,} held out")


def read_csv(path: Path) -> pd.DataFrame:
    """Read a UTF-8, comma-separated file; every cell as text, trimmed.

    Raises:
        ModelError: it is missing, empty, ragged or something else.
    """
    cells = pa.csv.ConvertOptions(default_column_type=pa.string(), strings_can_be_null=False)
    lines = pa.csv.ParseOptions(newlines_in_values=True)
    try:
        table = pa.csv.read_csv(path, parse_options=lines, convert_options=cells)
        names = [" ".join(name.split()) for name in table.column_names]
    except FileNotFoundError:
        raise ModelError(
            f"there is no file {path}: check its name (`uv run dvc pull` brings the project's own table)"
        ) from None
    except (OSError, UnicodeDecodeError, pa.ArrowInvalid) as error:
        cause = "".join(c for c in " ".join(str(error).split())[:200] if c.isprintable())
        raise ModelError(f"{path} is not a table in CSV (UTF-8, commas, as many cells in each row): {cause}") from None
    if twice := [name for name in names if names.count(name) > 1 or not name]:
        raise ModelError(f"{path}: each column needs a name of its own, and {twice[0]!r} is empty or used twice")
    if len(names) == 1:
        raise ModelError(f"{path} has a single column, {names[0][:60]!r}: separate the columns with commas")
    if not table.num_rows:
        raise ModelError(f"{path} has a header and no rows")
    frame: pd.DataFrame = table.rename_columns(names).to_pandas()
    return pd.DataFrame({name: frame[name].str.strip() for name in names})


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


def typed(schema: Schema, texts: pd.DataFrame) -> pd.DataFrame:
    """Give each of the schema's columns its type, and check it.

    Returns:
        The id (str), the target (str or float64) and the features: float64, Int64, boolean, and str for categories and
        ISO dates. The index is the row's number, from 0.

    Raises:
        ModelError: a column is missing or unknown, a value doesn't fit its column, or an id is used twice.
    """
    kinds: dict[str, str] = {name: column.type for name, column in schema.columns.items()}
    kinds[schema.target.name] = "category" if schema.target.task == "binary" else "number"
    if schema.id:
        kinds = {schema.id: "category"} | kinds
    if lacking := [name for name in kinds if name not in texts]:
        raise ModelError(f"the table has no column {lacking[0]!r}, which schema.yaml lists")
    if unknown := [name for name in texts if name not in {*kinds, *schema.ignored}]:
        raise ModelError(f"the table's column {unknown[0]!r} is not in schema.yaml: describe or ignore it there")
    frame = pd.DataFrame({name: _column(name, kind, texts[name]) for name, kind in kinds.items()})
    try:
        return schema.frame_schema().validate(frame, lazy=True)
    except SchemaErrors as errors:
        raise ModelError(_sentence(errors.failure_cases)) from None


def present(texts: "pd.Series[str]", kind: str) -> "pd.Series[str]":
    """Return the texts, with a real missing value where a cell says that there is none."""
    return texts.where(texts != "" if kind == "category" else ~texts.str.lower().isin(MISSING))


def parse(kind: str, texts: "pd.Series[str]") -> "pd.Series[Any]":
    """Return the typed values of one column; missing where a text is missing or can't be one of that kind."""
    texts = present(texts, kind)
    if kind == "category":
        return texts
    if kind == "boolean":
        return texts.str.lower().map(BOOLEANS).astype("boolean")
    if kind == "date":
        return texts.map(_iso, na_action="ignore").astype("str")
    numbers = pd.to_numeric(texts, errors="coerce").astype("float64")
    numbers = numbers.where(numbers.abs() < float("inf"))
    return numbers.where(numbers % 1 == 0).astype("Int64") if kind == "integer" else numbers


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


def _iso(text: str) -> str | None:
    """Return the day of an ISO date or time stamp."""
    try:
        return date.fromisoformat(text[:10]).isoformat() if len(text) == 10 or text[10:11] in ("T", " ") else None
    except ValueError:
        return None


def _column(name: str, kind: str, texts: "pd.Series[str]") -> "pd.Series[Any]":
    values = parse(kind, texts)
    if (odd := present(texts, kind)[values.isna()].dropna()).size:
        example = f"for example row {odd.index[0] + 1}: {odd.iloc[0]!r}"
        raise ModelError(f"column {name!r}: in {len(odd):,} rows the value is no {kind}, {example}")
    return values


def _sentence(cases: pd.DataFrame) -> str:
    """Tell the first broken rule: the column, what is wrong, in how many rows, and one of them."""
    first = cases.iloc[0]
    rows = cases[(cases["column"] == first["column"]) & (cases["check"] == first["check"])]
    what = {"not_nullable": "missing", "field_uniqueness": "used more than once"}.get(first["check"], first["check"])
    value = "" if first["check"] == "not_nullable" else f": {str(first['failure_case'])!r}"
    example = f"for example row {int(first['index']) + 1}{value}"
    return f"column {first['column']!r}: in {len(rows):,} rows the value is {what}, {example}"
