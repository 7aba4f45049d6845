"""What differs between two versions of the data, as rows of the report's table of changes."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from gitops.review.record import Change
from gitops.review.state import MISSING

LARGE = 0.1  # from here on a column's drift is told; the usual limit of balance for the standardised difference
LISTED = 10  # columns
LOST = 0.01  # share of the rows from which on a value that is gone is told
LEVELS = 200  # distinct texts; with more a column is an id or prose, and its distribution says nothing


@dataclass(frozen=True)
class DataChanges:
    """What differs between two data versions; `lost`: sentences on values that are gone.

    No metric can show what it costs to lose them.
    """

    changes: tuple[Change, ...] = ()
    lost: tuple[str, ...] = ()


def data_changes(champion: Path, challenger: Path) -> DataChanges:
    """Compare two tables: rows, columns, missing values, drift, and values that are gone.

    A number drifts by its standardised mean difference (Cohen's d with the mean of both variances), a text by the total
    variation distance between its shares. The target is a column like the others.
    """
    if not (champion.exists() and challenger.exists()):
        who = "the champion's data is" if challenger.exists() else "the data is"
        return DataChanges((_row("rows and columns", f"not compared: {who} not in the data remote", "–"),))
    try:
        old, new = read(champion), read(challenger)
    except (OSError, ValueError):  # pandas' own errors are ValueErrors
        return DataChanges((_row("rows and columns", "not compared: not a table in CSV or Parquet", "–"),))
    both = [str(name) for name in new if name in old]
    changes = [_row("rows", f"{len(old):,}", f"{len(new):,}")] if len(old) != len(new) else []
    if set(old) != set(new):
        gone, added = (", ".join(map(str, a.columns.difference(b.columns))) for a, b in ((old, new), (new, old)))
        changes.append(_row("columns", _with(len(old.columns), "gone", gone), _with(len(new.columns), "new", added)))
    missing = {name: (old[name].isna().mean(), new[name].isna().mean()) for name in both}
    changes += [_row(f"{name}: missing", f"{a:.2%}", f"{b:.2%}") for name, (a, b) in missing.items() if a != b][:LISTED]
    drifts = sorted((_drift(name, old[name], new[name]) for name in both), key=lambda found: -found[0])
    changes += [row for size, row in drifts if size > LARGE][:LISTED]
    lost = [sentence for name in both for sentence in _lost(name, old[name], new[name])][:LISTED]
    return DataChanges(tuple(changes), tuple(lost))


def _row(name: str, champion: str, challenger: str) -> Change:
    return Change(f"data: {name}", champion, challenger)


def _with(count: int, word: str, names: str) -> str:
    return f"{count} ({word}: {names})" if names else str(count)


def read(path: Path) -> pd.DataFrame:
    """Read a table; an OSError or ValueError says that it is none."""
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)


def _drift(name: str, old: "pd.Series[Any]", new: "pd.Series[Any]") -> tuple[float, Change]:
    """Return the size of a column's drift (0: none), and its row of the table."""
    if all(pd.api.types.is_numeric_dtype(column) for column in (old, new)):
        spread, shift = math.sqrt((old.var() + new.var()) / 2), abs(new.mean() - old.mean())
        size = float(shift / spread) if spread else float(shift and math.inf)
        row = _row(f"{name}: drift {size:.2f}", f"mean {old.mean():.4g}", f"mean {new.mean():.4g}")
        return (0.0 if math.isnan(size) else size), row  # NaN: a column without values
    a, b = (column.astype(str).value_counts(normalize=True) for column in (old, new))
    if max(len(a), len(b)) > LEVELS:
        return 0.0, _row(name, MISSING, MISSING)
    gaps = b.sub(a, fill_value=0)
    top = gaps.abs().idxmax()
    share = [f"{top}: {shares.get(top, 0.0):.1%}" for shares in (a, b)]
    return float(gaps.abs().sum() / 2), _row(f"{name}: drift {gaps.abs().sum() / 2:.2f}", *share)


def _lost(name: str, old: "pd.Series[Any]", new: "pd.Series[Any]") -> list[str]:
    """Tell which values of a text column are gone."""
    if pd.api.types.is_numeric_dtype(old) or old.nunique() > LEVELS:
        return []
    shares = old.value_counts(normalize=True)
    gone = shares[(shares >= LOST) & ~shares.index.isin(new)]
    return [
        f"the data has no {name} = {value} any more, {share:.1%} of the champion's rows"
        for value, share in gone.items()
    ]
