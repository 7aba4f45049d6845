"""Find quotes that a CSV file opens and never closes: a reader takes the rows up to the next quote for one long cell.

The bytes are looked at here, apart from the reader and its view of where a row ends. A cell in quotes may span
lines (RFC 4180, section 2.6); it is refused where it never ends, where text follows its closing quote, and where its
lines have the cells of rows.
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serving.rows.errors import ModelError

BLOCK = 4 << 20  # bytes that are looked at together
LONGEST = 8 << 20  # bytes of a row
BOM = b"\xef\xbb\xbf"
LINE_END = re.compile(rb"\r\n?|\n")
CELL = rb'(?:"(?P<quoted>[^"]*+(?:""[^"]*+)*+)"|(?!"))(?P<plain>[^,\r\n]*+)'
ONE_CELL = re.compile(CELL)
ROW = re.compile(re.sub(rb"\?P<\w+>", b"?:", rb"(?:%b,)*+%b(?:\r\n?|\n)" % (CELL, CELL)))
NUMBER = re.compile(rb"[^A-Za-z\x80-\xff]*\d[^A-Za-z\x80-\xff]*")  # a date or a time is one too
BESIDE = np.isin(np.arange(256), list(b',\r\n"'))  # what may stand before an opening and after a closing quote
LEAST = 2  # cells below each other that must be alike for lines to be rows

Spans = list[tuple[int, int]]  # from a place in the data to another


class Cell(NamedTuple):
    """A cell: where it starts, the text within its quotes (None without quotes), and the text outside of them."""

    start: int
    quoted: bytes | None
    plain: bytes


def check_quotes(path: Path) -> None:
    """Read a CSV file on this machine for nothing but its quotes.

    Raises:
        ModelError: one is not closed.
        OSError: the file can't be read.
    """
    rows = Rows(str(path))
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            if b"\0" in block:
                return  # it is no text, as its reader will say
            rows.add(block)
    rows.add(b"")


class Rows:
    """Cuts a CSV file that comes in blocks where its rows end; `where` is how errors call the file."""

    def __init__(self, where: str) -> None:
        self.where = where
        self._line = 1  # in which `_rest` begins
        self._rest = b""  # the row that has not ended yet
        self._width = 0  # cells of the header, once it went by

    def add(self, block: bytes) -> bytes:
        """Return the rows that end in the next block, or of an empty one, the last, what is left.

        Raises:
            ModelError: a quote is not closed, and the sentence names its line; or a row is longer than `LONGEST`.
        """
        data = self._rest + (block if self._width else block.removeprefix(BOM))
        if data and not block:
            data += b"\n"
        spanning, end = _rows(data)
        if end and not self._width:
            self._width = len(_cells(first_row(data).lstrip(b"\r\n"), 0)[0])
        for start, stop in spanning:
            if data.count(b",", start, stop) >= 2 * (self._width - 1):  # else they are no two rows
                self._check(data, start)
        if end < len(data) and (not block or len(data) - end > LONGEST):
            if (opened := _cells(data, end)[1]) is not None:
                raise self._unclosed(data, opened, "is never closed")
            raise ModelError(f"{self.where}: a row of more than {LONGEST:,} bytes: is it a table in CSV?")
        self._line += _lines(data[:end])
        self._rest = data[end:]
        return data[:end]

    def _check(self, data: bytes, start: int) -> None:
        cells, _ = _cells(data, start)
        for i, cell in enumerate(cells):
            if not cell.quoted or not LINE_END.search(cell.quoted):
                continue
            if cell.plain.strip():
                raise self._unclosed(data, cell.start, "closes in a later line and ahead of more text")
            if len(cells) == self._width and _holds_rows(cells, i):
                raise self._unclosed(data, cell.start, "closes in a later line, and what it holds looks like rows")

    def _unclosed(self, data: bytes, place: int, what: str) -> ModelError:
        line = self._line + _lines(data[:place])
        return ModelError(
            f"{self.where}: the quote that opens a cell in line {line:,} {what}, so rows would be lost:"
            ' close it, or if it is part of the text write "19"" rack" for 19" rack'
        )


def first_row(data: bytes) -> bytes:
    """Return the first row, with the empty lines ahead of it."""
    end = 0
    while (row := ROW.match(data, end)) and not data[:end].strip(b"\r\n"):
        end = row.end()
    return data[:end]


def _rows(data: bytes) -> tuple[Spans, int]:
    """Return the complete rows that span lines, and where the last complete row ends."""
    marks = np.frombuffer(data, np.uint8)
    quotes = np.flatnonzero(marks == ord('"'))
    if not len(quotes):
        return [], max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
    before, after = marks[np.maximum(quotes[::2] - 1, 0)], marks[np.minimum(quotes[1::2] + 1, len(data) - 1)]
    if not (BESIDE[before].all() and BESIDE[after].all()):
        return _rows_one_by_one(data)
    # Each quote opens or closes, in turn: the reader has no other way to take them.
    ends: NDArray[np.intp] = np.flatnonzero((marks == ord("\n")) | (marks == ord("\r")))
    quoted = np.searchsorted(quotes, ends) % 2 == 1
    outer = ends[~quoted]
    end = int(outer[-1]) + 1 if len(outer) else 0
    inner = ends[quoted & (ends < end)]
    which = np.unique(np.searchsorted(outer, inner))
    return list(zip(np.concatenate([[0], outer + 1])[which].tolist(), outer[which].tolist(), strict=True)), end


def _rows_one_by_one(data: bytes) -> tuple[Spans, int]:
    """Return the same where quotes also stand within cells, a tenth as fast."""
    spanning, end = Spans(), 0
    while row := ROW.match(data, end):
        if LINE_END.search(text := row[0].rstrip(b"\r\n")):
            spanning.append((end, end + len(text)))
        end = row.end()
    return spanning, end


def _cells(data: bytes, start: int) -> tuple[list[Cell], int | None]:
    """Return the cells of the row that starts there, and the place of a quote that nothing closes."""
    cells: list[Cell] = []
    while cell := ONE_CELL.match(data, start):
        cells.append(Cell(start, cell["quoted"], cell["plain"]))
        start = cell.end() + 1
        if data[cell.end() : start] != b",":
            return cells, None
    return cells, start


def _holds_rows(cells: list[Cell], i: int) -> bool:
    """Tell whether the lines in cell i have the cells that rows have there, and of the same kinds.

    The first line then holds the end of a row, the last one the beginning of another, and those in between whole rows.
    """
    texts = [cell.plain if cell.quoted is None else cell.quoted for cell in cells]
    lines = [line.split(b",") for line in LINE_END.split(texts[i])]
    rest = len(cells) - 1 - i
    if [len(line) for line in lines] != [1 + rest, *[len(cells)] * (len(lines) - 2), i + 1]:
        return False
    first, *others = [texts[:i] + lines[0], *lines[1:-1], lines[-1] + texts[i + 1 :]]
    pairs = [pair for row in others for j, pair in enumerate(zip(first, row, strict=True)) if j != i and all(pair)]
    numbers = [[bool(NUMBER.fullmatch(text)) for text in pair] for pair in pairs]
    alike = all(one == other for one, other in numbers)
    return alike and len(pairs) >= LEAST and (any(map(any, numbers)) or len(pairs) >= 2 * LEAST)


def _lines(data: bytes) -> int:
    return data.count(b"\n") or data.count(b"\r")
