# SPDX-License-Identifier: Apache-2.0
"""How alike two results of a step are: the same bytes, the same within a tolerance, or not.

In: two stored results. Out: a word and, where they are not the same bytes, what is farthest apart. Only numbers are given
a tolerance; what is no number has to be equal. A model has no such measure: its figures have, which are results as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from mainstay.engine import materialise
from mainstay.engine.materialise import Artifact
from mainstay.engine.platform import Blobs

IDENTICAL, EQUIVALENT, DIFFERENT = "identical", "equivalent", "different"
_TABLES = ("arrow", "pandas", "polars")


def of(before: Artifact, after: Artifact, old: Blobs, new: Blobs, *, tolerance: float) -> tuple[str, str]:
    """The word, and a sentence about what is apart. ``tolerance`` is relative to the larger of two numbers.

    Raises:
        NotFound, Corrupt: one of them is not there any more, or damaged.
    """
    if before.digest == after.digest:
        return IDENTICAL, "the same bytes"
    if before.kind != after.kind and not {before.kind, after.kind} <= set(_TABLES):
        return DIFFERENT, f"a {after.kind} in place of a {before.kind}"
    if before.kind in _TABLES:
        gap, text = _tables(before, after, old, new)
    elif before.kind == "json":
        gap, text = _farthest(_values("", materialise.read(before, old), materialise.read(after, new)))
    elif before.kind == "numpy":
        gap, text = _arrays("the array", materialise.read(before, old), materialise.read(after, new))
    else:
        return DIFFERENT, f"other bytes of a {after.kind}"
    return (EQUIVALENT if gap <= tolerance else DIFFERENT), text or "other bytes for equal values"


def _tables(before: Artifact, after: Artifact, old: Blobs, new: Blobs) -> tuple[float, str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    a, b = pq.read_table(old.blob_path(before.digest)), pq.read_table(new.blob_path(after.digest))
    if a.num_rows != b.num_rows:
        return math.inf, f"{b.num_rows:,} rows in place of {a.num_rows:,}"
    if a.schema.names != b.schema.names or a.schema.types != b.schema.types:
        return math.inf, "other columns"
    worst: tuple[float, str] = (0.0, "")
    for name in a.column_names:
        if a[name].equals(b[name]):
            continue
        if not pa.types.is_floating(a[name].type) or not a[name].is_null().equals(b[name].is_null()):
            return math.inf, f"column {name!r} has other values"
        found = _arrays(f"column {name!r}", a[name].to_numpy(), b[name].to_numpy())
        worst = max(worst, found, key=lambda each: each[0])
    return worst


def _arrays(what: str, a: Any, b: Any) -> tuple[float, str]:
    import numpy as np

    if a.shape != b.shape or a.dtype != b.dtype or a.dtype.kind not in "fc":
        return math.inf, f"{what} has other values"
    is_apart = ~((a == b) | (np.isnan(a) & np.isnan(b)))
    if not is_apart.any():
        return 0.0, ""
    x, y = a[is_apart], b[is_apart]
    scale = np.maximum(np.abs(x), np.abs(y))
    gap = float(np.nanmax(np.abs(x - y) / scale)) if np.isfinite(x).all() and np.isfinite(y).all() else math.inf
    return gap, f"{what} is apart by up to {gap:.2g} of its size, in {int(is_apart.sum()):,} of {a.size:,} places"


def _values(where: str, a: Any, b: Any) -> Iterator[tuple[float, str]]:
    """What is apart in two plain values, place by place."""
    if isinstance(a, Mapping) and isinstance(b, Mapping) and set(a) == set(b):
        for key in a:
            yield from _values(f"{where}.{key}" if where else str(key), a[key], b[key])
    elif isinstance(a, (list, tuple)) and type(a) is type(b) and len(a) == len(b):
        for place, (x, y) in enumerate(zip(a, b, strict=True)):
            yield from _values(f"{where}[{place}]", x, y)
    elif type(a) is type(b) is float and a != b and not (math.isnan(a) and math.isnan(b)):
        scale = max(abs(a), abs(b))
        gap = abs(a - b) / scale if math.isfinite(scale) else math.inf
        yield gap, f"{where or 'the value'} is {b:.6g} in place of {a:.6g}"
    elif type(a) is not type(b) or (type(a) is not float and a != b):
        yield math.inf, f"{where or 'the value'} is {_short(b)} in place of {_short(a)}"


def _farthest(found: Iterator[tuple[float, str]]) -> tuple[float, str]:
    return max(found, key=lambda each: each[0], default=(0.0, ""))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "…"
