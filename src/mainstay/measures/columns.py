# SPDX-License-Identifier: Apache-2.0
"""Columns: the one Arrow type that stands for each kind of column a contract knows.

Every width of integer becomes int64, every float a double, every text a plain string, every instant UTC in microseconds.
NaN becomes null, for a column needs one word for missing.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from mainstay.domain.contracts import TYPES
from mainstay.domain.errors import Invalid

ARROW_TYPES: dict[str, pa.DataType] = dict(
    zip(
        TYPES,
        (
            pa.int64(),
            pa.float64(),
            pa.string(),
            pa.bool_(),
            pa.timestamp("us", "UTC"),
            pa.timestamp("us"),
            pa.date32(),
        ),
        strict=True,
    )
)
_NAMES = {arrow: name for name, arrow in ARROW_TYPES.items()}


def type_of(kind: pa.DataType) -> str | None:
    """Which of `TYPES` a plain column has; None for a column without any value."""
    return _NAMES.get(kind)


def plain(name: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """``values`` in the one Arrow type that stands for its kind.

    Raises:
        Invalid: there is none, or a value does not fit it.
    """
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    wanted = _plain_type(values.type)
    if wanted is None:
        raise Invalid(
            f"column {name!r} has type {values.type}, which a snapshot cannot hold; its types are {', '.join(TYPES)}. "
            "Convert the column, or leave it out.",
            column=name,
        )
    try:
        values = values.cast(wanted)
    except pa.ArrowInvalid as error:
        raise Invalid(
            f"column {name!r} of type {values.type} holds a value that {_NAMES[wanted]} cannot hold exactly "
            "(more than 64 bits, or finer than a microsecond); round it, or make it text.",
            column=name,
        ) from error
    if pa.types.is_floating(wanted):
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, wanted), values)
    return values


def _plain_type(kind: pa.DataType) -> pa.DataType | None:
    types = pa.types
    if types.is_timestamp(kind):
        return ARROW_TYPES["time" if kind.tz else "local_time"]
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return ARROW_TYPES["text"]
    pairs = (
        (types.is_integer, "integer"),
        (types.is_floating, "number"),
        (types.is_boolean, "boolean"),
        (types.is_date, "date"),
    )
    found = next((ARROW_TYPES[name] for is_kind, name in pairs if is_kind(kind)), None)
    return kind if types.is_null(kind) else found
