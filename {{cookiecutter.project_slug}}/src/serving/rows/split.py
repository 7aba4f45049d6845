"""Which rows are held out: decided for each row by a hash of its own id, so that no other row can move it.

Nothing here may import pandas at the top: the service's environment has none.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from serving.rows.errors import ModelError
from serving.rows.schema import Schema

if TYPE_CHECKING:
    import pandas as pd

BITS = 64  # that are read of a hash


def held_out(ids: Sequence[str], seed: int, share: float) -> NDArray[np.bool_]:
    """Tell for each of n ids whether its row is held out, [n]; the same id always gets the same answer.

    The hash is the SHA-256 of `SEED:ID` in UTF-8, read as a fraction; a row is held out where that is below `share`. So
    a larger share keeps what a smaller one held out, and of n different ids n * share are held out, give or take the
    square root of n * share * (1 - share), one standard deviation.

    Raises:
        ModelError: the share or the seed of params.yaml can't be one.
    """
    if not isinstance(share, float) or not 0 < share < 1:
        raise ModelError(f"split.holdout of params.yaml is {share!r}: it is a share of the rows, between 0 and 1")
    if isinstance(seed, bool) or not isinstance(seed, int) or abs(seed) >= 2**BITS:
        raise ModelError(f"seed of params.yaml is {seed!r}: it is a whole number, like 20")
    hashes = np.fromiter((_hash(f"{seed}:{one}") for one in ids), np.uint64, len(ids))
    return hashes < np.uint64(int(share * 2**BITS))


def row_keys(schema: Schema, frame: "pd.DataFrame") -> list[str]:
    """Return what names each of n rows of the typed table: its id, or without one the row itself.

    A row without an id is known by its cells, target included, and by how many equal rows stand above it. Then other
    rows still don't move it; a changed cell may, and so does a new column. Column order and row order don't matter.
    """
    if schema.id:
        return frame[schema.id].astype("str").tolist()
    cells = [frame[name].astype(object).where(frame[name].notna(), None) for name in sorted(frame.columns)]
    seen, keys = dict[str, int](), list[str]()
    for row in map(repr, zip(*cells, strict=True)):
        seen[row] = seen.get(row, 0) + 1
        keys.append(f"{row} {seen[row]}")
    return keys


def _hash(text: str) -> int:
    return int.from_bytes(sha256(text.encode()).digest()[: BITS // 8])
