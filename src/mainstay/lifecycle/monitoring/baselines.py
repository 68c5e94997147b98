# SPDX-License-Identifier: Apache-2.0
"""Baselines: what a version's own evaluation looked like, counted once, in the cells that every window is counted in.

In: the evaluation blob of a version, rows later in time than its training rows, with its scores and the truth. Out: the
cells, the profile, how much the evaluation's own stretches of time differ, and how good the model was. The surprising
thing: a window is compared with the evaluation and never with the training rows, on which every model looks better.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mainstay.domain.digests import canonical_json, digest_of
from mainstay.domain.errors import Corrupt, Invalid, NotFound
from mainstay.domain.registry import Version
from mainstay.formats.signature import Output, Signature
from mainstay.lifecycle.monitoring import performance, tables
from mainstay.measures import estimates, profiles
from mainstay.measures.drift import Calibration
from mainstay.measures.estimates import CellCalibration, ScoreCells
from mainstay.measures.profiles import Profile, ReferenceSpec
from mainstay.store import View
from mainstay.store.blobs import Blobs

FORM = 2  # raised when a baseline is made otherwise, so that old ones are not taken for new
SCORE, LABEL = "_score", "_label"
STRETCHES = 14
LEAST_ROWS_OF_STRETCH = 100


@dataclass(frozen=True, kw_only=True, eq=False)
class Baseline:
    """What a window of a version's predictions is held against. ``inputs`` are the columns judged besides the score.

    ``figures``: the evaluation's own performance, as `performance.measure` gives it; None where it cannot be measured.
    ``chance``: the chance of a positive by score, for estimates; None for models that do not answer a probability.
    """

    blob: str
    spec: ReferenceSpec
    profile: Profile
    calibration: Calibration
    figures: dict[str, Any] | None
    chance: CellCalibration | None
    inputs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Found:
    """A baseline, and whether the record knows it yet; ``evaluation`` is the key it will be found by."""

    baseline: Baseline
    evaluation: str
    is_new: bool


def of(view: View, version: Version) -> Found | None:
    """The version's baseline, made now if need be; None where it has no evaluation that can be read."""
    if version.evaluation_blob is None:
        return None
    inputs = tuple(column["name"] for column in version.signature["inputs"])
    key = digest_of([version.evaluation_blob, list(inputs), STRETCHES])
    blob = tables.baseline_blob(view, key, FORM)
    if blob is not None:
        return Found(baseline=load(view.blobs, blob), evaluation=key, is_new=False)
    try:
        table = pq.read_table(view.blobs.path(version.evaluation_blob))
    except (NotFound, Corrupt, pa.ArrowInvalid):
        return None
    if SCORE not in table.column_names or not table.num_rows:
        return None
    content = make(table, inputs, Signature.from_json(version.signature).output)
    blob, _ = view.blobs.put(canonical_json(content))
    return Found(baseline=load(view.blobs, blob), evaluation=key, is_new=True)


def make(table: pa.Table, inputs: tuple[str, ...], output: Output | None = None) -> dict[str, Any]:
    """A baseline as plain JSON, from evaluation rows with ``_score`` and ``_label``."""
    if output is not None and output.type == "multiclass" and pa.types.is_nested(table[SCORE].type):
        table = _of_places(table, output)
    judged = table.select([*(name for name in inputs if name in table.column_names), SCORE])
    numeric = pa.types.is_floating(judged[SCORE].type) or pa.types.is_integer(judged[SCORE].type)
    spec = profiles.infer_spec(judged, score=SCORE if numeric else None)
    counted = [profiles.profile(judged.take(pa.array(rows)), spec) for rows in _stretches(table, inputs)]
    whole = profiles.merge_all(spec, counted)
    calibration = Calibration.from_windows(spec, counted) if len(counted) > 1 else Calibration.none()
    labels, scores = labelled(table)
    kind = None if output is None else performance.KINDS.get(output.type)
    return {
        "spec": spec.to_json(),
        "profile": whole.to_json(),
        "calibration": calibration.to_json(),
        "figures": performance.measure(labels, scores, kind) if numeric else None,
        "cells": _cells(labels, scores, spec),
    }


def _of_places(table: pa.Table, output: Output) -> pa.Table:
    """Scores of all classes as the place of the likeliest, labels as places: what the prediction log has of a window."""
    scores = np.array(table[SCORE].to_pylist(), dtype=np.float64).argmax(axis=1).astype(np.float64)
    table = table.set_column(table.column_names.index(SCORE), SCORE, pa.array(scores))
    if LABEL not in table.column_names:
        return table
    places = pa.array(output.places(table[LABEL]), pa.float64(), from_pandas=True)
    return table.set_column(table.column_names.index(LABEL), LABEL, places)


def labelled(table: pa.Table, score: str = SCORE) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Labels and scores of the rows that have both."""
    empty = np.empty(0)
    if LABEL not in table.column_names or pa.types.is_nested(table[score].type):
        return empty, empty
    try:
        labels = table[LABEL].cast(pa.float64()).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return empty, empty
    scores = table[score].cast(pa.float64()).to_numpy()
    both = np.isfinite(labels) & np.isfinite(scores)
    return labels[both], scores[both]


def importance(metrics: Mapping[str, float], inputs: tuple[str, ...]) -> dict[str, float] | None:
    """Each input's share of the importance, where the run logged metrics called ``importance.COLUMN``; else None."""
    named = {name: metrics.get(f"importance.{name}", metrics.get(f"importance/{name}")) for name in inputs}
    known = {name: max(0.0, value) for name, value in named.items() if value is not None}
    total = sum(known.values())
    return {name: value / total for name, value in known.items()} if total > 0 else None


def _cells(labels: np.ndarray[Any, Any], scores: np.ndarray[Any, Any], spec: ReferenceSpec) -> dict[str, Any] | None:
    if spec.score is None or spec.column(spec.score).kind != "score":
        return None
    try:
        return ScoreCells.of(labels, scores).to_json()
    except Invalid:  # the truth is not yes or no
        return None


def _stretches(table: pa.Table, inputs: tuple[str, ...]) -> list[np.ndarray[Any, Any]]:
    """Row numbers of up to 14 stretches of equally many rows, one after the other in time where a time is known."""
    pieces = max(1, min(STRETCHES, table.num_rows // LEAST_ROWS_OF_STRETCH))
    clock = _clock(table, inputs)
    order = np.arange(table.num_rows) if clock is None else pc.sort_indices(table[clock]).to_numpy()
    return np.array_split(order, pieces)


def _clock(table: pa.Table, inputs: tuple[str, ...]) -> str | None:
    """The column that tells when a row happened: ``_at``, else a time that is no input, else any time."""
    times = [f.name for f in table.schema if pa.types.is_timestamp(f.type) or pa.types.is_date(f.type)]
    ranked = sorted(times, key=lambda name: (name != "_at", name in inputs))
    return ranked[0] if ranked else None


def load(blobs: Blobs, blob: str) -> Baseline:
    """The baseline that was kept as ``blob``. Raises NotFound, Corrupt."""
    return _parsed(blob, blobs.read(blob))


@functools.lru_cache(maxsize=32)
def _parsed(blob: str, data: bytes) -> Baseline:
    content = msgspec.json.decode(data)
    spec = ReferenceSpec.from_json(content["spec"])
    chance = None
    if content["cells"] is not None:
        try:
            chance = estimates.calibrate_cells(ScoreCells.from_json(content["cells"]))
        except Invalid:  # too few rows, or all of one class
            chance = None
    return Baseline(
        blob=blob,
        spec=spec,
        profile=Profile.from_json(content["profile"]),
        calibration=Calibration.from_json(content["calibration"]),
        figures=content["figures"],
        chance=chance,
        inputs=tuple(column.name for column in spec.columns if column.name != SCORE),
    )
