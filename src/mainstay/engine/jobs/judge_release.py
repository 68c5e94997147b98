# SPDX-License-Identifier: Apache-2.0
"""Gathering the evidence a release gate judges by. The gate decides; this only measures.

In: the candidate and the champion as stored versions, and the candidate's evaluation (features, ``_score``,
``_label`` of rows it has not seen). Out: a Parquet of ``_label``, both models' scores on the very same rows and the
columns to slice or to cluster by; whether the candidate loads in a limited child; its latency. Of several classes the label is
the place of the true one among the candidate's, and the champion's scores stand in the candidate's order. The candidate is loaded
here only after the child has survived it; the champion, which serves already, is scored meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mainstay import formats
from mainstay.domain.errors import Invalid, MainstayError
from mainstay.engine.jobs.nursery import Nursery
from mainstay.engine.materialise import arrow
from mainstay.engine.materialise.model import paths
from mainstay.engine.platform import Platform
from mainstay.formats import limited, mlmodel
from mainstay.formats.signature import CATEGORIES_AT_MOST, Output, Signature

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_PROBED = 5  # rows that the child scores
_TIMED = 200  # single-row predictions behind the latency
_WARM = 10  # predictions before the clock starts: the first ones pay for caches


def nursery(folder: Path) -> Nursery:
    """Where the limited child of a candidate begins at once, with the environment that it has anyway."""
    modules = (limited.__name__, "mainstay.formats.sklearn", "sklearn.ensemble", "sklearn.compose", "skops.io")
    return Nursery(modules=modules, environment=limited.surroundings(), folder=folder, alone=True)


def carry_out(platform: Platform, body: Mapping[str, Any], *, nursery: Nursery | None = None) -> dict[str, Any]:
    """Measure; a candidate that does not load is a result, not an error. Without an evaluation, loading is all there is.

    Raises:
        Invalid: the evaluation has no scores or labels, or the candidate cannot score its own evaluation.
    """
    if not body.get("evaluation_blob"):
        return _loading(platform, body["candidate"], nursery)
    table = _evaluation(platform, body["evaluation_blob"])
    candidate = body["candidate"]
    signature = Signature.from_json(candidate["signature"])
    rows = signature.arrays(table)
    with ThreadPoolExecutor(1) as beside:
        checked = beside.submit(_load_check, platform, candidate, rows, nursery)
        champion, problem = _champion(platform, body.get("champion"), table, signature)
        load = checked.result()
    if not load["ok"]:
        return {"evidence_blob": None, "load": load, "latency_p95_ms": None}
    model = _model(platform, candidate)
    scores = model.predict(rows)
    load["largest_difference"] = _difference(scores, table)
    evidence = _evidence(table, _labels(table, signature), scores, champion, target_columns=list(rows))
    return {
        "evidence_blob": platform.put_blob(arrow.parquet(evidence)),
        "rows": evidence.num_rows,
        "load": load,
        "latency_p95_ms": latency_p95_ms(model, rows),
        "champion_error": problem,
    }


def _loading(platform: Platform, candidate: Mapping[str, Any], nursery: Nursery | None) -> dict[str, Any]:
    """Whether it loads, and how quickly it answers its own example; there are no rows to judge it by."""
    signature = Signature.from_json(candidate["signature"])
    rows = _example(platform, candidate, signature)
    load = _load_check(platform, candidate, rows or {}, nursery)
    is_timed = bool(load["ok"] and rows)
    return {
        "evidence_blob": None,
        "rows": 0,
        "load": load,
        "latency_p95_ms": latency_p95_ms(_model(platform, candidate), rows or {}) if is_timed else None,
        "champion_error": None,
    }


def _example(
    platform: Platform, candidate: Mapping[str, Any], signature: Signature
) -> Mapping[str, np.ndarray[Any, Any]] | None:
    """The rows that were logged beside the model to show how it is called; None if there are none that fit."""
    import pyarrow as pa

    digests = digests_of(candidate["files"])
    if mlmodel.FILE not in digests:
        return None
    try:
        rows = mlmodel.example(paths(digests, platform))
        return signature.arrays(pa.Table.from_pylist(rows)) if rows else None
    except (MainstayError, pa.ArrowInvalid, pa.ArrowTypeError):
        return None


def latency_p95_ms(model: formats.Model, rows: Mapping[str, np.ndarray[Any, Any]]) -> float:
    """95th percentile of the time to score one row, in milliseconds, over up to 200 rows; the wire is not in it."""
    import numpy as np

    count = formats.row_count(rows)
    taken = []
    for turn in range(min(count, _TIMED) + _WARM):
        place = turn % count
        row = {name: values[place : place + 1] for name, values in rows.items()}
        began = time.perf_counter()
        model.predict(row)
        taken.append(time.perf_counter() - began)
    return round(float(np.percentile(taken[_WARM:], 95)) * 1000, 4)


def _evaluation(platform: Platform, blob: str) -> pa.Table:
    import pyarrow.parquet as pq

    table = pq.read_table(platform.blob_path(blob))
    missing = {"_score", "_label"} - set(table.column_names)
    if missing or not table.num_rows:
        found = f"no column {' and '.join(sorted(missing))}" if missing else "no rows"
        raise Invalid(f"the candidate's evaluation has {found}; register it again with a holdout.")
    return table


def _load_check(
    platform: Platform, version: Mapping[str, Any], rows: Mapping[str, np.ndarray[Any, Any]], nursery: Nursery | None
) -> dict[str, Any]:
    # A date has no word in the probe's JSON: such a model is loaded in the child without predicting.
    can_probe = bool(rows) and all(values.dtype.kind != "M" for values in rows.values())
    probe = {name: values[:_PROBED] for name, values in rows.items()} if can_probe else None
    return limited.check_in_child(
        version["format"],
        paths(digests_of(version["files"]), platform),
        probe=probe,
        environment=version.get("environment"),
        allow_pickle=bool(version.get("allow_pickle")),
        begin=nursery.begin if nursery else None,
    )


def digests_of(files: Mapping[str, Any]) -> dict[str, str]:
    """Digest by name, whether the files were given with sizes or without."""
    return {name: each["digest"] if isinstance(each, Mapping) else each for name, each in files.items()}


def _model(platform: Platform, version: Mapping[str, Any]) -> formats.Model:
    return formats.load(
        version["format"],
        paths(digests_of(version["files"]), platform),
        environment=version.get("environment"),
        allow_pickle=bool(version.get("allow_pickle")),
    )


def _champion(
    platform: Platform, champion: Mapping[str, Any] | None, table: pa.Table, candidate: Signature
) -> tuple[np.ndarray[Any, Any] | None, str | None]:
    """Its scores on the same rows; or why there are none, in which case the gate has no comparison."""
    if champion is None:
        return None, None
    try:
        signature = Signature.from_json(champion["signature"])
        if problem := _incomparable(signature.output, candidate.output):
            return None, problem
        scores = _model(platform, champion).predict(signature.arrays(table))
        return _in_order_of(candidate.output, signature.output, scores), None
    except MainstayError as error:
        return None, f"the champion cannot be scored on these rows: {error.message}"


def _incomparable(champion: Output, candidate: Output) -> str | None:
    """Why the champion's answers cannot be held against the candidate's; None if they can."""
    if champion.type != candidate.type:
        return f"the champion's answer is {champion.type}, the candidate's {candidate.type}."
    if champion.type == "multiclass" and set(champion.classes or ()) != set(candidate.classes or ()):
        return f"the champion knows classes {_shown(champion)}, the candidate {_shown(candidate)}."
    if champion.positive != candidate.positive:
        return f"the champion scores class {champion.positive!r}, not {candidate.positive!r}."
    return None


def _shown(output: Output) -> str:
    return ", ".join(map(repr, output.classes or ()))[:200]


def _in_order_of(candidate: Output, champion: Output, scores: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if champion.type != "multiclass" or champion.classes == candidate.classes:
        return scores
    places = {label: place for place, label in enumerate(champion.classes or ())}
    return scores[:, [places[label] for label in candidate.classes or ()]]


def _labels(table: pa.Table, signature: Signature) -> Any:
    """What came, as numbers. Raises Invalid: a label is none of the candidate's classes."""
    import pyarrow as pa

    if signature.output.type != "multiclass":
        return table["_label"]
    return pa.array(signature.output.places(table["_label"]), pa.float64(), from_pandas=True)


def _difference(scores: np.ndarray[Any, Any], table: pa.Table) -> float | None:
    """Largest distance between the scores of registration and those of now: 0 where the model is read alike."""
    import numpy as np

    before = np.array(table["_score"].to_pylist(), dtype=np.float64)
    return float(np.max(np.abs(scores - before))) if before.shape == scores.shape else None


def _evidence(
    table: pa.Table,
    labels: Any,
    candidate: np.ndarray[Any, Any],
    champion: np.ndarray[Any, Any] | None,
    *,
    target_columns: list[str],
) -> pa.Table:
    import pyarrow as pa

    names = [name for name in table.column_names if not name.startswith("_") and _can_group(table[name])]
    # The model's own columns first: they are what people name slices by.
    names.sort(key=lambda name: name not in target_columns)
    columns: dict[str, Any] = {"_label": labels, "_candidate": _column(candidate)}
    columns["_champion"] = _column(champion) if champion is not None else pa.nulls(table.num_rows, pa.float64())
    return pa.table({**columns, **{name: table[name] for name in names}})


def _column(scores: np.ndarray[Any, Any]) -> Any:
    import pyarrow as pa

    return pa.array(scores, pa.float64()) if scores.ndim == 1 else pa.array(list(scores))


def _can_group(values: pa.ChunkedArray) -> bool:
    """Whether a gate may slice by it (few different texts), or cluster by it: days, or texts that come again and again."""
    import pyarrow.compute as pc
    import pyarrow.types as kinds

    kind = values.type.value_type if kinds.is_dictionary(values.type) else values.type
    if kinds.is_boolean(kind) or kinds.is_date(kind) or kinds.is_timestamp(kind):
        return True
    is_text = kinds.is_string(kind) or kinds.is_large_string(kind)
    return is_text and 1 < pc.count_distinct(values).as_py() <= max(CATEGORIES_AT_MOST, len(values) // 2)
