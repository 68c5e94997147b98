# SPDX-License-Identifier: Apache-2.0
"""Versions in memory: fetched, verified, loaded, warmed, and asked for what they are known to answer.

In: a variant of the routing table, which names files by digest. Out: a `Loaded` version that predicts. A version whose
bytes do not match, that will not load here, or that gives other scores for its golden rows than it gave when it was
released, is refused with one sentence; what serves already goes on serving. The self-check is what notices a library
that reads the same bytes differently.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from mainstay import formats
from mainstay.domain.errors import Corrupt, Invalid, MainstayError
from mainstay.formats import limited, mlmodel
from mainstay.gateway.batching import Batcher
from mainstay.gateway.validation import Schema

logger = logging.getLogger(__name__)

Fetch = Callable[[str], Path]

TOLERANCE = 1e-9
_WARM_CALLS = 5


class ModelFault(MainstayError):
    """The model did not give one usable answer for each row."""

    kind = "unavailable"


class Loaded:
    """A model version that can answer. ``in_flight`` counts the requests that hold it."""

    __slots__ = ("batcher", "classes", "digest", "in_flight", "is_retired", "one_row_s", "schema")

    def __init__(
        self, *, digest: str, schema: Schema, batcher: Batcher, classes: list[Any] | None, one_row_s: float
    ) -> None:
        self.digest = digest
        self.schema = schema
        self.batcher = batcher
        self.classes = classes
        self.one_row_s = one_row_s
        self.in_flight = 0
        self.is_retired = False

    def leave(self) -> None:
        """One request fewer; the last one to leave a retired version ends its thread."""
        self.in_flight -= 1
        if self.is_retired and not self.in_flight:
            self.batcher.close()


def load(variant: Mapping[str, Any], schema: Schema, fetch: Fetch) -> Loaded:
    """Load the version that ``variant`` (of the routing table) names and prove that it answers as it should.

    Raises:
        Corrupt: a file's bytes are not those of its digest.
        Invalid: the format refuses it, it wants other columns, or its golden rows come out differently.
        Unavailable: a file cannot be had now, or a library is missing.
    """
    files = {name: _verified(fetch(digest), name, digest) for name, digest in variant["files"].items()}
    allow_pickle = bool(variant.get("allow_pickle"))
    if allow_pickle:
        _try_in_child(variant, files)
    model = formats.load(variant["format"], files, environment=variant.get("environment"), allow_pickle=allow_pickle)
    _check_columns(model.columns, schema)
    predict = _predictor(model, schema)
    golden = variant.get("golden") or _own_example(files, schema)
    _check_golden(predict, schema, golden)
    one_row_s = _measure(predict, schema, golden)
    classes = None if model.classes is None else [_plain(label) for label in model.classes]
    batcher = Batcher(predict, one_row_s=one_row_s)
    return Loaded(digest=variant["digest"], schema=schema, batcher=batcher, classes=classes, one_row_s=one_row_s)


class Library:
    """The versions in memory, by digest and schema; two releases of one version share it."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._loaded: dict[tuple[str, int], Loaded] = {}

    def get(self, variant: Mapping[str, Any], schema: Schema) -> Loaded:
        """The version that ``variant`` names, loaded now if it was not. Raises as `load`."""
        name = (variant["digest"], id(schema))
        found = self._loaded.get(name)
        if found is None:
            began = time.perf_counter()
            found = self._loaded[name] = load(variant, schema, self._fetch)
            logger.info(
                "loaded %s (%s) in %.2f s, one row takes %.0f µs",
                variant.get("version"), variant["digest"][:12], time.perf_counter() - began, found.one_row_s * 1e6,
            )  # fmt: skip
        return found

    def keep(self, wanted: set[int]) -> None:
        """Retire every version whose ``id()`` is not in ``wanted``. Called on the event loop, after the table was
        swapped.
        """
        for name, version in list(self._loaded.items()):
            if id(version) not in wanted:
                del self._loaded[name]
                version.is_retired = True
                if not version.in_flight:
                    version.batcher.close()

    def __len__(self) -> int:
        return len(self._loaded)


def _verified(path: Path, name: str, digest: str) -> bytes:
    # The bytes that were hashed are the bytes that are loaded: a path could be exchanged in between.
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        raise Corrupt(f"file {name!r} has digest {found[:12]}…, the release names {digest[:12]}…; it is not loaded.")
    return data


def _try_in_child(variant: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
    """What runs code when it is read is read in a limited child first: a crash or a hang there does not reach who is served.

    Raises:
        Invalid: it does not load there.
    """
    environment = variant.get("environment")
    answer = limited.check_in_child(variant["format"], files, environment=environment, allow_pickle=True)
    if not answer["ok"]:
        raise Invalid(f"it does not load in a limited process: {answer['error']}")


def _check_columns(columns: Sequence[str] | None, schema: Schema) -> None:
    missing = [name for name in columns or () if name not in schema.names]
    if missing:
        raise Invalid(
            f"the model wants {', '.join(map(repr, missing))}, which the deployment's signature does not have;"
            " release it with its own signature."
        )


def _predictor(model: formats.Model, schema: Schema) -> Callable[[Sequence[Any]], npt.NDArray[np.float64]]:
    predict, columns = model.predict, schema.columns

    def answer(rows: Sequence[Any]) -> npt.NDArray[np.float64]:
        values = np.asarray(predict(columns(rows)), dtype=np.float64)
        if values.ndim not in (1, 2) or len(values) != len(rows):
            raise ModelFault(f"the model gave values of shape {values.shape} for {len(rows)} rows.")
        return values

    return answer


def _own_example(files: formats.Files, schema: Schema) -> dict[str, Any] | None:
    """The rows that were logged beside the model to show how it is called: a made-up row may be one it cannot answer."""
    if mlmodel.FILE not in files:
        return None
    try:
        rows = mlmodel.example(files)
        msgspec.convert(rows, type=list[schema.row_type])  # type: ignore[name-defined]
    except (MainstayError, msgspec.ValidationError):
        return None
    return {"rows": rows} if rows else None


def _golden_rows(golden: Mapping[str, Any] | None, schema: Schema) -> list[Any]:
    if not golden or not golden.get("rows"):
        return [schema.example()]
    return msgspec.convert(golden["rows"], type=list[schema.row_type])  # type: ignore[name-defined]


def _check_golden(predict: Callable[[Sequence[Any]], Any], schema: Schema, golden: Mapping[str, Any] | None) -> None:
    try:
        rows = _golden_rows(golden, schema)
    except msgspec.ValidationError as error:
        raise Invalid(f"the golden rows do not fit the signature: {error}.") from error
    try:
        values = predict(rows)
    except MainstayError:
        raise
    except Exception as error:
        raise Invalid(f"the model fails on its golden rows: {type(error).__name__}: {error}.") from error
    if not golden or "scores" not in golden or not golden.get("rows"):
        return
    expected = np.asarray(golden["scores"], dtype=np.float64)
    if expected.shape != values.shape:
        raise Invalid(f"the golden scores have shape {expected.shape}, the model gives {values.shape}.")
    apart = float(np.max(np.abs(values - expected)))
    if not apart <= TOLERANCE:  # also when it is NaN
        raise Invalid(
            f"the golden rows come out differently here: by up to {apart:.3g}, at most {TOLERANCE:g} is allowed."
            " Compare the library versions of training and serving."
        )


def _measure(predict: Callable[[Sequence[Any]], Any], schema: Schema, golden: Mapping[str, Any] | None) -> float:
    """Seconds for one row: the best of a few calls, the first of which also warms what is lazy."""
    row = _golden_rows(golden, schema)[:1]
    best = float("inf")
    for _ in range(_WARM_CALLS):
        began = time.perf_counter()
        predict(row)
        best = min(best, time.perf_counter() - began)
    return best


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, np.generic) else label
