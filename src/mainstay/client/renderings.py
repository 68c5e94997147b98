# SPDX-License-Identifier: Apache-2.0
"""Figures, tables and plain values as the bytes of a file; the name's ending says which kind.

The libraries are the caller's: what comes in was made by one of them, so it is there, and nothing is imported for it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from mainstay.domain.errors import Invalid

if TYPE_CHECKING:
    import pyarrow as pa


def figure(path: str, drawn: Any) -> bytes:
    """A figure of Matplotlib (``.png``, ``.svg``, ``.pdf`` …), of Plotly (``.html``, ``.json``), or a Pillow image.

    Raises:
        Invalid: it is none of these, or its library does not write such files.
    """
    ending = _ending(path)
    drawn = drawn if hasattr(drawn, "savefig") else getattr(drawn, "figure", drawn)  # axes know their figure
    if hasattr(drawn, "to_html") and hasattr(drawn, "to_json"):
        return str(drawn.to_json() if ending == "json" else drawn.to_html(include_plotlyjs="cdn")).encode()
    write = getattr(drawn, "savefig", None) or (getattr(drawn, "save", None) if hasattr(drawn, "mode") else None)
    if write is None:
        raise Invalid(f"figure {path!r} is a {_kind(drawn)}; one of Matplotlib, Plotly or Pillow is expected.")
    buffer = io.BytesIO()
    try:
        write(buffer, format=ending or "png")
    except (ValueError, KeyError) as error:
        raise Invalid(f"figure {path!r} cannot be written as {ending!r}; a name that ends in .png can.") from error
    return buffer.getvalue()


def table(path: str, rows: Any) -> bytes:
    """A table as ``.parquet``, ``.csv`` or ``.json`` (one object a row).

    Args:
        rows: a frame of pandas, Polars or Arrow, a mapping of columns, or a list of rows that are mappings.

    Raises:
        Invalid: another ending, or it is no table.
    """
    import pyarrow as pa  # 100 ms, and most runs log no table

    try:
        arrow = _arrow(rows)
    except (pa.ArrowException, TypeError, ValueError, AttributeError) as error:
        raise Invalid(f"table {path!r} is a {_kind(rows)} that makes no table: {error}.") from error
    ending = _ending(path)
    if ending == "json":
        return as_json(path, arrow.to_pylist())
    buffer = io.BytesIO()
    if ending == "csv":
        from pyarrow import csv

        csv.write_csv(arrow, buffer)
    elif ending == "parquet":
        from pyarrow import parquet

        parquet.write_table(arrow, buffer)
    else:
        raise Invalid(f"table {path!r} has no ending that says how to write it; .parquet, .csv and .json are possible.")
    return buffer.getvalue()


def as_json(path: str, value: Any) -> bytes:
    """A value as JSON, for people to read.

    Raises:
        Invalid: JSON cannot hold it.
    """
    try:
        return json.dumps(value, indent=2, ensure_ascii=False, default=_plain, allow_nan=False).encode() + b"\n"
    except (TypeError, ValueError) as error:
        raise Invalid(f"{path!r} holds what JSON cannot: {error}.") from error


def _arrow(rows: Any) -> pa.Table:
    import pyarrow as pa

    if isinstance(rows, pa.Table):
        return rows
    if hasattr(rows, "to_arrow"):
        return rows.to_arrow()
    if hasattr(rows, "iloc"):
        return pa.Table.from_pandas(rows, preserve_index=False)
    if isinstance(rows, Mapping):
        return pa.table({str(name): list(column) for name, column in rows.items()})
    if isinstance(rows, Sequence) and not isinstance(rows, (str, bytes)):
        return pa.Table.from_pylist([dict(row) for row in rows])
    raise TypeError("a frame, a mapping of columns or a list of rows is expected")


def _plain(value: Any) -> Any:
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"a {_kind(value)} has no form in JSON")


def _ending(path: str) -> str:
    return PurePosixPath(path).suffix[1:].lower()


def _kind(value: Any) -> str:
    return type(value).__name__
