# SPDX-License-Identifier: Apache-2.0
"""Keys: which rows have the same values in some columns.

In: columns of one length. Out: a number for each row, equal where all values are equal; exact, for no hash is taken.
A missing value equals a missing value. Cost: a dictionary for each column, 8 bytes a row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Codes = NDArray[np.int64]
_MOST = np.iinfo(np.int64).max


def number_rows(columns: Sequence[pa.ChunkedArray]) -> Codes:
    """A number for each row; two rows have the same one if and only if they agree in every column.

    >>> number_rows([pa.chunked_array([[1, 1, 2]]), pa.chunked_array([["a", "b", "a"]])]).tolist()
    [0, 1, 2]
    """
    codes: Codes = np.zeros(len(columns[0]), dtype=np.int64)
    width = 1
    for values in columns:
        own, count = _encode(values)
        if width > _MOST // max(count, 1):
            distinct, codes = np.unique(codes, return_inverse=True)
            width = len(distinct)
        codes = codes * count + own
        width *= count
    return codes


def repeated(columns: Sequence[pa.ChunkedArray]) -> NDArray[np.bool_]:
    """The rows whose values stand in an earlier row too. A row with a missing value is like no other, as in SQL.

    >>> repeated([pa.chunked_array([[1, 2, 1, None, None]])]).tolist()
    [False, False, True, False, False]
    """
    codes = number_rows(columns)
    whole = np.ones(len(codes), dtype=bool)
    for values in columns:
        if values.null_count:
            whole &= pc.is_valid(values).to_numpy()
    places = np.flatnonzero(whole)
    _, first = np.unique(codes[places], return_index=True)
    whole[places[first]] = False
    return whole


def _encode(values: pa.ChunkedArray) -> tuple[Codes, int]:
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    encoded = whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode(null_encoding="encode")
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), max(1, len(encoded.dictionary))
