"""From the cells of a CSV file to a typed table that is checked against schema.yaml."""

from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors
from pyarrow import ArrowInvalid, csv, string

from serving.rows.errors import ModelError, cause
from serving.rows.quotes import check_quotes
from serving.rows.schema import LARGEST, TOO_LARGE, Column, Schema

MISSING = {"", "?", "-", "na", "n/a", "nan", "none", "null"}  # in lower case; in a category only "" is missing
BOOLEANS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
DTYPES = {"number": "float64", "integer": "Int64", "boolean": "boolean", "date": "str", "category": "str"}


def read_csv(path: Path) -> pd.DataFrame:
    """Read a UTF-8, comma-separated file; every cell as text, trimmed.

    Raises:
        ModelError: it is missing, empty, ragged or something else, or a quote that is not closed would swallow rows.
    """
    cells = csv.ConvertOptions(default_column_type=string(), strings_can_be_null=False)
    lines = csv.ParseOptions(newlines_in_values=True)
    try:
        check_quotes(path)
        table = csv.read_csv(path, parse_options=lines, convert_options=cells)
        names = [" ".join(name.split()) for name in table.column_names]
    except FileNotFoundError:
        raise ModelError(
            f"there is no file {path}: check its name (`uv run gitops store pull` brings the project's own table)"
        ) from None
    except (OSError, UnicodeDecodeError, ArrowInvalid) as error:
        raise ModelError(
            f"{path} is not a table in CSV (UTF-8, commas, as many cells in each row): {cause(error)}"
        ) from None
    if twice := [name for name in names if names.count(name) > 1 or not name]:
        raise ModelError(f"{path}: each column needs a name of its own, and {twice[0]!r} is empty or used twice")
    if len(names) == 1:
        raise ModelError(f"{path} has a single column, {names[0][:60]!r}: separate the columns with commas")
    if not table.num_rows:
        raise ModelError(f"{path} has a header and no rows")
    frame: pd.DataFrame = table.rename_columns(names).to_pandas()
    return pd.DataFrame({name: frame[name].str.strip() for name in names})


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
        return frame_schema(schema).validate(frame, lazy=True)
    except SchemaErrors as errors:
        raise ModelError(_sentence(errors.failure_cases)) from None


def frame_schema(schema: Schema) -> pa.DataFrameSchema:
    """Return the check of a typed table: columns, dtypes, ranges, values, missing values, unique ids."""

    def column(rule: Column) -> pa.Column:
        checks = []
        if rule.min is not None:
            checks.append(pa.Check.ge(rule.min, error=f"below its min {rule.min:g}"))
        if rule.max is not None:
            checks.append(pa.Check.le(rule.max, error=f"above its max {rule.max:g}"))
        if rule.values:
            checks.append(pa.Check.isin(rule.values, error="none of its listed values"))
        return pa.Column(DTYPES[rule.type], checks, nullable=rule.nullable)

    labels = [schema.target.positive, schema.target.negative]
    label = pa.Column("str", pa.Check.isin(labels, error=f"neither {labels[0]!r} nor {labels[1]!r}"))
    table = {schema.target.name: label if schema.target.task == "binary" else pa.Column("float64")}
    table |= {name: column(rule) for name, rule in schema.columns.items()}
    if schema.id:
        table[schema.id] = pa.Column("str", unique=True)
    return pa.DataFrameSchema(table, strict=True)


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
    found = numbers(texts)
    found = found.where(found.abs() <= LARGEST[kind])
    return found.where(found % 1 == 0).astype("Int64") if kind == "integer" else found


def numbers(texts: "pd.Series[str]") -> "pd.Series[float]":
    """Return the finite numbers that texts stand for, as float64; missing where there is none."""
    found = pd.to_numeric(texts, errors="coerce").astype("float64")
    return found.where(found.abs() < float("inf"))


def _iso(text: str) -> str | None:
    """Return the day of an ISO date or time stamp."""
    try:
        return date.fromisoformat(text[:10]).isoformat() if len(text) == 10 or text[10:11] in ("T", " ") else None
    except ValueError:
        return None


def _column(name: str, kind: str, texts: "pd.Series[str]") -> "pd.Series[Any]":
    values = parse(kind, texts)
    if (odd := present(texts, kind)[values.isna()].dropna()).size:
        large = odd[numbers(odd).abs() > LARGEST[kind]] if kind in LARGEST else odd[:0]
        shown, what = (large, TOO_LARGE[kind]) if len(large) else (odd, f"no {kind}")
        example = f"for example row {shown.index[0] + 1}: {shown.iloc[0]!r}"
        raise ModelError(f"column {name!r}: in {len(shown):,} rows the value is {what}, {example}")
    return values


def _sentence(cases: pd.DataFrame) -> str:
    """Tell the first broken rule: the column, what is wrong, in how many rows, and one of them."""
    first = cases.iloc[0]
    rows = cases[(cases["column"] == first["column"]) & (cases["check"] == first["check"])]
    what = {"not_nullable": "missing", "field_uniqueness": "used more than once"}.get(first["check"], first["check"])
    value = "" if first["check"] == "not_nullable" else f": {str(first['failure_case'])!r}"
    example = f"for example row {int(first['index']) + 1}{value}"
    return f"column {first['column']!r}: in {len(rows):,} rows the value is {what}, {example}"
