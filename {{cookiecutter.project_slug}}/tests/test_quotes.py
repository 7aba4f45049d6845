"""A quote that is not closed is told before it swallows rows; what a CSV file may hold in quotes is left alone."""

import csv
import io
import random
from pathlib import Path

import pytest

from serving.rows.errors import ModelError
from serving.rows.quotes import LONGEST, Rows, _rows, _rows_one_by_one, first_row
from serving.rows.table import read_csv


def cut(content: bytes, step: int = 1 << 20) -> list[bytes]:
    """Give a file over in blocks of so many bytes, and return the rows that come back for each."""
    rows = Rows("x.csv")
    return [rows.add(content[i : i + step]) for i in range(0, len(content), step)] + [rows.add(b"")]


@pytest.mark.parametrize(
    ("content", "line", "why"),
    [
        ('a,b\n1,"x\n2,y\n3,z\n', 2, "is never closed"),
        ('a,b\n1,x\n2,y\n3,"z', 4, "is never closed"),
        ('a,b\n"1,x\n2,y\n3,z\n', 2, "is never closed"),
        ('a,b\n1,5" nail\n2,"y\n3,z\n', 3, "is never closed"),
        ('a,"b\n1,x\n', 1, "is never closed"),
        ('a,b\n"1\n2","x\n3,y\n', 3, "is never closed"),
        ('a,b\n1,"x\n2,"y"\n3,z\n', 2, "closes in a later line and ahead of more text"),
        ('"a","b"\r\n"1","x\r\n"2","y"\r\n', 2, "closes in a later line and ahead of more text"),
        ('a,b,c\n1,2,"19 inch\n2,3,b\n3,4,19"\n', 2, "looks like rows"),
        ('a,b,c\n1,"19 inch,3\n2,19",4\n', 2, "looks like rows"),
        ('a,b,c,d,e\nu,v,"19 inch,x,y\nu,w,19",x,y\n', 2, "looks like rows"),
    ],
)
def test_a_quote_that_is_not_closed_is_told_with_its_line(tmp_path: Path, content: str, line: int, why: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content.encode())
    with pytest.raises(ModelError) as error:
        read_csv(path)
    assert str(error.value).startswith(f"{path}: the quote that opens a cell in line {line} ")
    assert why in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "second"),
    [
        ('a,b\n1,"x\ny"\n2,z\n', ["x\ny", "z"]),
        ('a,b\n1,"x, ""y\n""z"\n2,z\n', ['x, "y\n"z', "z"]),
        ('a,b\r\n1,"x\r\ny" \r\n2,5" nail\r\n', ["x\r\ny", '5" nail']),
        ('a,b\n1,"Dear Sir,\n2 racks, 19"" each\n"\n2,\n', ['Dear Sir,\n2 racks, 19" each', ""]),
        ('a,b,c\n1,"thanks,\nregards, me",3\n2,x,4\n', ["thanks,\nregards, me", "x"]),
        ('\ufeff"a","b\nc"\n"1","2"\n', ["2"]),
    ],
)
def test_a_cell_in_quotes_may_span_lines(tmp_path: Path, content: str, second: list[str]) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content.encode())
    table = read_csv(path)
    assert table[table.columns[1]].tolist() == second


def test_whatever_is_written_well_is_cut_where_its_rows_end() -> None:
    dice = random.Random(4)  # noqa: S311 - no secret
    for _ in range(300):
        width = dice.randint(1, 5)
        cells = ["".join(dice.choices('a1,"\n\r ', k=dice.randint(0, 4))) for _ in range(width * dice.randint(1, 6))]
        table = [[f"column {i}" for i in range(width)], *(cells[i : i + width] for i in range(0, len(cells), width))]
        text = io.StringIO(newline="")
        csv.writer(text, quoting=dice.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])).writerows(table)
        content = text.getvalue().encode()
        assert _rows(content) == _rows_one_by_one(content)
        for step in (3, 20, 1000):
            parts = cut(content, step)
            assert b"".join(parts) == content
            for part in parts:  # each is whole rows
                assert _rows(part)[1] == len(part)
        assert (
            first_row(b"\n\r\n" + content) == b"\n\r\n" + ",".join(table[0]).encode() + b"\r\n"
            or '"' in text.getvalue()
        )


def test_a_row_without_an_end_is_refused() -> None:
    with pytest.raises(ModelError, match=r"x\.csv: a row of more than 8,388,608 bytes"):
        cut(b"a,b\n" + b"1" * (LONGEST + 1))
    with pytest.raises(ModelError, match=r"x\.csv: the quote that opens a cell in line 2 is never closed"):
        cut(b'a,b\n1,"' + b"1\n" * LONGEST)
