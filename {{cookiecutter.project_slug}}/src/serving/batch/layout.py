"""How a scores file looks: as the rows came, for programs, or ranked and in a spreadsheet's form, for people.

To rank a table that is larger than the memory, each part is sorted when it is written. At the end only the scores are
read, 32 bytes of memory a row; they tell between which scores each piece of the file lies, and a piece is then filtered
out of the parts, whose row groups know their lowest and highest score.
"""

from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import dataset, parquet

from serving.rows.errors import ModelError

PIECE = 262_144  # rows that are sorted at a time
ROW_GROUP = 4096  # rows of a sorted part whose lowest and highest score are noted
PLACE = "place"  # column of a sorted part: rises with the rows' order in the input
RANKS = [("rank", pa.int64()), ("decile", pa.int64())]
FORMULA = r"^[=+\-@\t\r]"  # what makes a spreadsheet compute a cell: OWASP, "CSV Injection"
TAB = "tab"


@dataclass(frozen=True)
class Layout:
    """The form of a scores file.

    Attributes:
        rank: sorted by falling score, with the columns `rank` (1: the highest; equal scores have one) and `decile` (1:
            the tenth of the rows with the highest scores).
        top: only so many rows, ranked; None: all.
        digits: of the score after the decimal mark; None: all that it has.
        delimiter: between the cells of a CSV file.
        decimal: the mark in a CSV file's numbers, "." or ",".
        spreadsheet: a CSV file starts with the mark by which Excel knows UTF-8, and cells that it would compute get a
            ' in front.
    """

    rank: bool = False
    top: int | None = None
    digits: int | None = None
    delimiter: str = ","
    decimal: str = "."
    spreadsheet: bool = False

    @property
    def ranked(self) -> bool:
        """Tell whether the rows are sorted."""
        return self.rank or self.top is not None

    @property
    def plain(self) -> bool:
        """Tell whether the parts, one after the other, are the file."""
        return self == Layout()

    @property
    def dialect(self) -> bool:
        """Tell whether it is for CSV files alone."""
        return astuple(self)[3:] != astuple(Layout())[3:]


def chosen(
    *,
    rank: bool,
    top: int | None,
    digits: int | None,
    delimiter: str | None,
    decimal: str | None,
    spreadsheet: str | None,
) -> Layout:
    """Return the layout that options ask for; `spreadsheet` names the mark in its numbers, `point` or `comma`.

    Raises:
        ModelError: the same mark would stand in numbers and between cells.
    """
    decimal = decimal or ("," if spreadsheet == "comma" else ".")
    delimiter = "\t" if delimiter == TAB else delimiter or (";" if decimal == "," else ",")
    if delimiter == decimal:
        raise ModelError("a comma can't stand in numbers and between cells too: give --delimiter ';'")
    return Layout(rank, top, digits, delimiter, decimal, bool(spreadsheet))


def fits(layout: Layout, out: Path) -> None:
    """Refuse a layout that OUT can't have.

    Raises:
        ModelError: OUT is a folder, or is Parquet and the layout is for CSV.
    """
    if not out.suffix and not layout.plain:
        raise ModelError(f"{out} is a folder, whose files hold the rows as they came: give a .csv or .parquet file")
    if out.suffix == ".parquet" and layout.dialect:
        raise ModelError(f"{out} is Parquet, and delimiter, decimal mark and --spreadsheet are for .csv files")


def sorted_part(scores: pa.Table, first: int) -> pa.Table:
    """Return a part by falling score, with its rows' places; `first` is the place of its first row."""
    placed = scores.append_column(PLACE, pa.array(np.arange(first, first + scores.num_rows)))
    return placed.sort_by([("score", "descending"), (PLACE, "ascending")])


def arranged(parts: list[Path], schema: pa.Schema, layout: Layout) -> tuple[pa.Schema, Iterator[pa.Table]]:
    """Return the columns of the file, and its rows in their order, some at a time.

    Args:
        parts: Parquet files with the columns of `schema`, made by `sorted_part` where the layout is ranked.
        schema: the columns of a row, without those of a rank.
        layout: of the file.
    """
    if layout.ranked:
        schema = pa.schema([*RANKS, *schema], schema.metadata)
    pieces = _ranked(parts, layout.top) if layout.ranked else (parquet.read_table(part) for part in parts)
    return schema, (_rounded(piece.select(schema.names), layout.digits).cast(schema) for piece in pieces)


def write(tables: Iterable[pa.Table], schema: pa.Schema, layout: Layout, path: Path) -> int:
    """Write a .csv or .parquet file, and return how many cells got a ' so that a spreadsheet does not compute them."""
    if path.suffix == ".parquet":
        with parquet.ParquetWriter(path, schema) as writer:
            for table in tables:
                writer.write_table(table)
        return 0
    form: dict[str, Any] = {"sep": layout.delimiter, "decimal": layout.decimal, "index": False, "lineterminator": "\n"}
    form["float_format"] = None if layout.digits is None else f"%.{layout.digits}f"
    guarded = 0
    with path.open("w", encoding="utf-8-sig" if layout.spreadsheet else "utf-8", newline="") as file:
        for number, table in enumerate(chain([schema.empty_table()], tables)):
            if layout.spreadsheet:
                table, found = _guarded(table)
                guarded += found
            table.to_pandas().to_csv(file, header=not number, **form)
    return guarded


def _ranked(parts: list[Path], top: int | None) -> Iterator[pa.Table]:
    """Yield the rows of all parts by falling score, those of equal scores in the order of the input."""
    keys = pa.concat_tables(parquet.read_table(part, columns=["score", PLACE]) for part in parts)
    falling, places = -keys["score"].to_numpy(), keys[PLACE].to_numpy()
    total, order = len(falling), np.lexsort((places, falling))[:top]
    falling, places = falling[order], places[order]
    found = dataset.dataset([str(part) for part in parts], format="parquet")
    for start in range(0, len(order), PIECE):
        piece = slice(start, min(start + PIECE, len(order)))
        ends = [(-falling[i], places[i]) for i in (piece.start, piece.stop - 1)]
        table = found.to_table(filter=_between(*ends)).sort_by([("score", "descending"), (PLACE, "ascending")])
        rank = np.searchsorted(falling, falling[piece]) + 1
        table = table.append_column("rank", pa.array(rank))
        yield table.append_column("decile", pa.array((rank - 1) * 10 // total + 1))


def _between(first: tuple[float, int], last: tuple[float, int]) -> pc.Expression:
    """Return the filter of all rows from the first to the last, each given as (score, place)."""
    score, place = pc.field("score"), pc.field(PLACE)
    after = (score < first[0]) | ((score == first[0]) & (place >= int(first[1])))
    before = (score > last[0]) | ((score == last[0]) & (place <= int(last[1])))
    return (score <= first[0]) & (score >= last[0]) & after & before  # the first two are what row groups can tell


def _rounded(table: pa.Table, digits: int | None) -> pa.Table:
    if digits is None:
        return table
    at = table.schema.get_field_index("score")
    return table.set_column(at, "score", pc.round(table["score"], digits))


def _guarded(table: pa.Table) -> tuple[pa.Table, int]:
    """Put a ' ahead of each text that a spreadsheet would take for a formula, and count them."""
    count = 0
    for at, field in enumerate(table.schema):
        if pa.types.is_large_string(field.type):
            texts = table[at]
            odd = pc.fill_null(pc.match_substring_regex(texts, FORMULA), False)
            count += pc.sum(odd).as_py() or 0
            marked = pc.binary_join_element_wise(pa.scalar("'", field.type), texts, pa.scalar("", field.type))
            table = table.set_column(at, field, pc.if_else(odd, marked, texts))
    return table, count
