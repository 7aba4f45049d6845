"""Guess what the columns of a table are; a person reviews the result in schema.yaml."""

import re
from difflib import get_close_matches

import pandas as pd

from serving.rows.errors import ModelError
from serving.rows.schema import Column, Schema, Target
from serving.rows.table import parse, present

MOST_CATEGORIES = 50
POSITIVE = {"yes", "y", "true", "t", "1", "1.0"}
ID_NAME = re.compile(r"(?i:(^|[\W_])(id|key|uuid|guid|nr|no|number)\W*$)|[a-z](Id|ID)$")


def infer(texts: pd.DataFrame, target: str, id_column: str | None, positive: str | None) -> Schema:
    """Decide what each column of a table of texts is.

    Raises:
        ModelError: the target or the id can't be one.
    """
    names = [str(name) for name in texts]
    for name in filter(None, [target, id_column]):
        if name not in names:
            near = get_close_matches(name, names, 1, 0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(map(repr, names[:20]))}"
            raise ModelError(f"the table has no column {name!r}: {hint}")
    identity = _id(texts, [name for name in names if name != target], id_column)
    columns, ignored = dict[str, Column](), dict[str, str]()
    for name in (name for name in names if name not in (target, identity)):
        feature = _feature(texts[name], name)
        if isinstance(feature, Column):
            columns[name] = feature
        else:
            ignored[name] = feature
    if not columns:
        raise ModelError("no column is usable as a feature: each is the target, the id, constant or free text")
    return Schema(id=identity, target=_target(texts[target], target, positive), columns=columns, ignored=ignored)


def _id(texts: pd.DataFrame, names: list[str], wanted: str | None) -> str | None:
    """Return the id column: the wanted one ("" for none), or the first that is unique and named like one."""
    if wanted == "":
        return None
    named = [wanted] if wanted else [name for name in names if ID_NAME.search(name)]
    unique = [name for name in named if name in names and texts[name].is_unique and (texts[name] != "").all()]
    # An id with a few duplicates is a mistake in the table; one with many is something else, such as a shop's number.
    spoilt = [name for name in named if wanted or texts[name].nunique() >= len(texts) / 2]
    if spoilt and not unique:
        name = spoilt[0]
        if name not in names:
            raise ModelError(f"{name!r} can't be both the id and the target")
        repeated = texts[name][texts[name].duplicated()]
        raise ModelError(
            f"the id column {name!r} has duplicates or empty cells ({len(repeated):,} rows repeat an id, such as"
            f" {repeated.iloc[0] if len(repeated) else ''!r}): mend it, or pass --id '' to number the rows instead"
        )
    return unique[0] if unique else None


def _target(column: "pd.Series[str]", name: str, positive: str | None) -> Target:
    """Return what the target is: binary for two values, regression for more numbers."""
    given = present(column, "number")
    numeric = bool(parse("number", column)[given.notna()].notna().all())
    given = given if numeric else present(column, "category")
    if missing := int(given.isna().sum()):
        raise ModelError(f"the target {name!r} is missing in {missing:,} rows: remove them, they can't train a model")
    values = [str(value) for value in given.value_counts().index]
    if len(values) == 1:
        raise ModelError(f"the target {name!r} has only one value, {values[0]!r}: there is nothing to predict")
    if len(values) > 2 and not numeric:
        raise ModelError(
            f"the target {name!r} has {len(values):,} classes ({', '.join(map(repr, values[:3]))}, …):"
            " the model predicts one of two classes or a number, so merge them into two"
        )
    if positive and (positive not in values or len(values) > 2):
        raise ModelError(f"--positive {positive!r} must be one of a target's two values: {name!r} has {values[:3]}")
    if len(values) > 2:
        return Target(name=name, task="regression")
    chosen = positive or next((value for value in values if value.lower() in POSITIVE), values[1])
    return Target(name=name, task="binary", positive=chosen, negative=next(x for x in values if x != chosen))


def _feature(column: "pd.Series[str]", name: str) -> Column | str:
    """Return a feature, or the reason to ignore the column."""
    for kind in () if _is_code(column, name) else ("boolean", "integer", "number", "date"):
        values, given = parse(kind, column), present(column, kind).notna()
        if values[given].notna().all() and values.nunique() > 1:
            low = 0 if kind in ("integer", "number") and values.min() >= 0 else None
            return Column(type=kind, min=low, nullable=not given.all())
    texts = present(column, "category")
    distinct = sorted(texts.dropna().unique())
    if len(distinct) < 2:
        return f"only one value: {distinct[0]}" if distinct else "no value at all"
    if len(distinct) <= min(MOST_CATEGORIES, len(column) / 2):
        return Column(type="category", values=distinct, nullable=bool(texts.isna().any()))
    odd = texts[parse("number", column).isna()].dropna()
    if len(odd) < len(column) / 10 and not _is_code(column, name):
        return f"numbers, but {len(odd):,} rows hold something else, such as {odd.iloc[0]!r}"
    return f"free text or an identifier: {len(distinct):,} different values"


def _is_code(column: "pd.Series[str]", name: str) -> bool:
    """Tell whether digits are no quantity: another table's id, or a code with leading zeros."""
    return bool(ID_NAME.search(name)) or bool(column.str.match(r"0\d").any())
