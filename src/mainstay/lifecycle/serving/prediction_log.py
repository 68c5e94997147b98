# SPDX-License-Identifier: Apache-2.0
"""The prediction log: every prediction, by id, with what was asked, what was answered and by which release.

In: raw segments that gateways wrote and shipped, and Parquet parts that offline scoring made. Out: sealed parts (Parquet
blobs, one a release), one ``segment.sealed`` event each, and tables of predictions with their labels. Ids are time-ordered,
so an id alone tells which parts to open.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mainstay.domain import ids, segments
from mainstay.domain.clock import from_wire
from mainstay.domain.digests import sha256_hex
from mainstay.domain.errors import Conflict, Invalid, Malformed, NotFound
from mainstay.domain.events.serving import SegmentSealed
from mainstay.domain.registry import Version
from mainstay.domain.release import Release
from mainstay.domain.serving import Feedback, Part
from mainstay.features import transforms
from mainstay.formats.signature import Output, Signature
from mainstay.lifecycle.registry import versions
from mainstay.lifecycle.release import releases
from mainstay.lifecycle.serving import deployments, tables
from mainstay.store import Change, View

ROW_GROUP = 64_000
USUAL = 0.9  # a number is wrong that is further off than this share of the evaluated rows were
THRESHOLD = 0.5  # a score from here on counts as "yes" where only right and wrong are counted
LABEL = "_label"

_UTC = pa.timestamp("us", tz="UTC")
_META = {
    "_id": pa.string(),
    "_at": _UTC,
    "_logged_at": _UTC,
    "_deployment": pa.string(),
    "_release": pa.int32(),
    "_model": pa.string(),
    "_version": pa.int32(),
    "_variant": pa.string(),
    "_status": pa.string(),
    "_latency_us": pa.int64(),
    "_value": pa.float64(),
    "_key": pa.string(),
    "_source": pa.string(),
    "_flags": pa.list_(pa.string()),
}
_INPUT = {"float": pa.float64(), "int": pa.int64(), "str": pa.string(), "bool": pa.bool_(), "datetime": _UTC}


class Unknown(NotFound):
    """An id that stands in no part of the log."""


def seal(change: Change, *, gateway: str, sequence: int, data: bytes) -> tuple[str, int, bool]:
    """Turn a gateway's segment into parts; its digest, its rows, and whether it had come before.

    Raises:
        Corrupt: a record does not match its checksum. Conflict: this number came before with other bytes.
        Malformed: a record is not a prediction.
    """
    digest = sha256_hex(data)
    before = tables.segment(change, gateway, sequence)
    if before is not None:
        if before.digest != digest:
            raise Conflict(
                f"segment {sequence} of gateway {gateway} came before with other bytes; nothing was changed."
            )
        return digest, before.rows, True
    records = segments.decode(data)
    for (name, release), group in _grouped(records).items():
        table = _table_of(change, name, release, group)
        _keep(change, table, deployment=name, release=release, gateway=gateway, sequence=sequence, source="http")
    tables.put_segment(
        change, gateway=gateway, sequence=sequence, digest=digest, rows=len(records), sealed_at=change.now()
    )
    return digest, len(records), False


def add_batch(change: Change, *, deployment: str, release: int, blob: str) -> Part:
    """Take in what offline scoring made: a Parquet blob in the sealed layout.

    Raises:
        NotFound: no such deployment, release or blob. Invalid: a column is missing, or an id is no id or stands twice.
    """
    deployments.get(change, deployment)
    if tables.part_of(change, f"batch:{blob[:16]}", 0, deployment, release):
        raise Conflict(f"these very predictions stand in the log of {deployment!r} already; nothing was changed.")
    live = releases.get(change, deployment=deployment, number=release)
    try:
        table = pq.read_table(change.blobs.path(blob))
    except (pa.ArrowInvalid, OSError) as error:
        raise Malformed(f"blob {blob[:12]}… is not Parquet: {str(error).splitlines()[0]}.") from error
    schema = _schema(change, live.model, live.version)
    if missing := [name for name in schema.names if name not in table.column_names]:
        raise Invalid(f"the scored rows have no column {missing[0]!r}; write them with `mainstay predict --output`.")
    try:
        table = table.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise Invalid(f"the scored rows have a column of another type: {str(error).splitlines()[0]}.") from error
    identities = table["_id"].to_pylist()
    if not identities or len(set(identities)) != len(identities) or not all(map(ids.is_id, identities)):
        raise Invalid("the scored rows need one prediction id each, all different; `mainstay predict` makes them.")
    if set(table["_release"].unique().to_pylist()) != {release}:
        raise Invalid(f"the scored rows say they are of another release than {live.id}.")
    return _keep(
        change,
        table,
        deployment=deployment,
        release=release,
        gateway=f"batch:{blob[:16]}",  # the same bytes again collide here instead of counting twice
        sequence=0,
        source="batch",
    )


def read(
    view: View,
    deployment: str,
    since: datetime,
    until: datetime,
    columns: Sequence[str] | None = None,
    *,
    with_labels: bool = True,
) -> pa.Table:
    """Predictions with event time in [since, until), in the sealed layout, and ``_label`` (null while unknown)."""
    found = []
    for part in tables.parts_between(view, deployment, since, until):
        table = _read_part(view.blobs.path(part.blob), columns)
        if part.since < since or part.until >= until:
            inside = pc.and_(
                pc.greater_equal(table["_at"], pa.scalar(since, _UTC)), pc.less(table["_at"], pa.scalar(until, _UTC))
            )
            table = table.filter(inside)
        found.append(table)
    if not found:
        return pa.table(
            {name: pa.array([], kind) for name, kind in _META.items()} | {LABEL: pa.array([], pa.float64())}
        )
    whole = pa.concat_tables(found, promote_options="permissive")
    return _with_labels(view, whole) if with_labels else whole


def span(view: View, deployment: str) -> tuple[datetime, datetime] | None:
    """Event times of the first and the last prediction, or None before the first."""
    return tables.span(view, deployment)


def get(view: View, identity: str) -> tuple[dict[str, Any], list[Feedback]]:
    """One prediction as it was logged, and what was said of it.

    Raises:
        Invalid: not the form of an id. NotFound: no part holds it.
    """
    if not ids.is_id(identity):
        raise Invalid(f"{identity[:80]!r} is not a prediction id; 32 hexadecimal digits, as `predict` returns them.")
    for part in tables.parts_with_ids(view, identity, identity):
        file = view.blobs.path(part.blob)
        place = np.searchsorted(_ids_of(file), identity.encode())
        if place < part.rows and _ids_of(file)[place] == identity.encode():
            row = pq.read_table(file).slice(int(place), 1).to_pylist()[0]
            return row, tables.feedback_on(view, identity)
    raise Unknown(
        f"there is no prediction {identity} in the log. One made within the last seconds may still be on its way from its "
        "gateway; else check the id."
    )


def newest(view: View, deployment: str | None, limit: int, before: str | None = None) -> list[dict[str, Any]]:
    """The latest predictions, newest first."""
    found: list[dict[str, Any]] = []
    for part in _newest_parts(view, deployment, before):
        if len(found) == limit and part.last_id < found[-1]["_id"]:
            break
        table = _read_part(view.blobs.path(part.blob), None)
        if before is not None:
            table = table.filter(pc.less(table["_id"], before))
        found.extend(table.slice(max(0, table.num_rows - limit)).to_pylist())
        found = sorted(found, key=lambda row: row["_id"], reverse=True)[:limit]
    return found


def _newest_parts(view: View, deployment: str | None, before: str | None) -> Iterator[Part]:
    last: str | None = None
    while some := tables.newest_parts(view, deployment, 20, begun_before=before, ended_before=last):
        yield from some
        last = some[-1].last_id


def pieces(view: View, deployment: str, limit: int, before: str | None = None) -> list[tuple[Part, Release]]:
    """The log of a deployment as the files that it is made of, each with the release whose predictions it holds, newest first.

    Raises:
        NotFound: no such deployment.
    """
    deployments.get(view, deployment)
    found = tables.newest_parts(view, deployment, limit, ended_before=before)
    known = {
        number: releases.get(view, deployment=deployment, number=number) for number in {each.release for each in found}
    }
    return [(part, known[part.release]) for part in found]


def known(view: View, identities: Sequence[str]) -> dict[str, str]:
    """Those of these ids that stand in the log, each with the id of its part."""
    if not identities:
        return {}
    found: dict[str, str] = {}
    asked = np.array(sorted(identities), dtype="S32")
    for part in tables.parts_with_ids(view, asked[0].decode(), asked[-1].decode()):
        held = _ids_of(view.blobs.path(part.blob))
        there = held[np.minimum(np.searchsorted(held, asked), len(held) - 1)] == asked
        found |= dict.fromkeys(asked[there].astype("U32").tolist(), part.id)
    return found


def outputs(view: View, identities: Sequence[str], types: Collection[str]) -> dict[str, Output]:
    """What the model that made them answers, of those of these predictions whose answer is of one of ``types``."""
    found: dict[str, Output] = {}
    asked = np.array(sorted(identities), dtype="S32")
    for part in tables.parts_with_ids(view, min(identities), max(identities)) if identities else ():
        output = output_of(view, part.deployment, part.release)
        if output.type not in types:
            continue
        held = _ids_of(view.blobs.path(part.blob))
        there = held[np.minimum(np.searchsorted(held, asked), len(held) - 1)] == asked
        found |= {identity.decode(): output for identity in asked[there]}
    return found


def error_limit(view: View, deployment: str, release: int | None) -> float | None:
    """The error that nine of ten of a release's evaluated rows stay under; None unless it answers numbers and was evaluated."""
    if release is None or output_of(view, deployment, release).type != "regression":
        return None
    blob = _version(view, deployment, release).evaluation_blob
    return None if blob is None else _usual_error(view.blobs.path(blob))


@functools.lru_cache(maxsize=64)
def _usual_error(evaluation: Path) -> float | None:
    table = pq.read_table(evaluation, columns=["_score", LABEL])
    errors = np.abs(table["_score"].to_numpy() - table[LABEL].to_numpy())
    errors = errors[np.isfinite(errors)]
    return float(np.quantile(errors, USUAL)) if len(errors) else None


def wrong_since(
    view: View, deployment: str, release: int | None, since: datetime, *, limit: float | None = None
) -> tuple[int, int]:
    """(wrong, labelled): labelled predictions of a release logged since a moment, and how many were wrong.

    Of two classes those on the wrong side of one half, of several those of another class, of numbers those that are further off
    than ``limit``; without a limit no number is wrong, and none is counted.
    """
    if release is None or ((kind := output_of(view, deployment, release).type) == "regression" and limit is None):
        return 0, 0
    parts = [p for p in tables.parts_of_release(view, deployment, release) if p.sealed_at >= since]
    wrong = labelled = 0
    for part in parts:
        if not tables.has_feedback(view, part.first_id, part.last_id):
            continue
        columns = ["_id", "_value", "_logged_at"]
        table = _with_labels(view, _read_part(view.blobs.path(part.blob), columns))
        table = table.filter(pc.greater_equal(table["_logged_at"], pa.scalar(since, _UTC)))
        label, value = table[LABEL].to_numpy(), table["_value"].to_numpy()
        both = ~np.isnan(label) & ~np.isnan(value)
        labelled += int(both.sum())
        wrong += int(_is_wrong(kind, value[both], label[both], limit or 0.0).sum())
    return wrong, labelled


def _is_wrong(kind: str, value: np.ndarray, label: np.ndarray, limit: float) -> np.ndarray:
    if kind == "regression":
        return np.abs(value - label) > limit
    return value != label if kind == "multiclass" else (value >= THRESHOLD) != (label >= THRESHOLD)


def _version(view: View, deployment: str, release: int) -> Version:
    live = releases.get(view, deployment=deployment, number=release)
    return versions.get(view, model=live.model, number=live.version)


def output_of(view: View, deployment: str, release: int) -> Output:
    """What the model of a release answers."""
    return Signature.from_json(_version(view, deployment, release).signature).output


def latency_quantile(
    view: View, deployment: str, release: int | None, quantile: float, rows: int = 5000
) -> float | None:
    """How slow a release usually was over HTTP, in milliseconds; None where it answered less than 100 times."""
    if release is None:
        return None
    latencies: list[np.ndarray] = []
    for part in reversed(tables.parts_of_release(view, deployment, release)):
        if part.source != "http":
            continue
        latencies.append(_read_part(view.blobs.path(part.blob), ["_latency_us"])["_latency_us"].to_numpy())
        if sum(map(len, latencies)) >= rows:
            break
    values = np.concatenate(latencies) if latencies else np.array([])
    return float(np.quantile(values, quantile)) / 1000 if len(values) >= 100 else None


def _grouped(records: Iterable[dict[str, Any]]) -> Mapping[tuple[str, int], list[dict[str, Any]]]:
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for record in records:
        try:
            groups.setdefault((record["deployment"], record["release"]), []).append(record)
        except (KeyError, TypeError) as error:
            raise Malformed(
                "a record of the segment is not a prediction: it names no deployment or release."
            ) from error
    return groups


def _table_of(view: View, name: str, release: int, records: list[dict[str, Any]]) -> pa.Table:
    live = releases.get(view, deployment=name, number=release)
    schema = _schema(view, live.model, live.version)
    records.sort(key=lambda record: record["id"])
    columns: dict[str, Any] = {
        "_id": [r["id"] for r in records],
        "_at": [r["at"] for r in records],
        "_logged_at": [r["logged"] for r in records],
        "_deployment": [name] * len(records),
        "_release": [release] * len(records),
        "_model": [r["model"] for r in records],
        "_version": [r["version"] for r in records],
        "_variant": [r["variant"] for r in records],
        "_status": [r["status"] for r in records],
        "_latency_us": [r["latency_us"] for r in records],
        "_value": [r["value"] for r in records],
        "_key": [r["key"] for r in records],
        "_source": ["http"] * len(records),
        "_flags": [r["flags"] for r in records],
    }
    for field in schema:
        if field.name not in columns:
            columns[field.name] = [_typed(r["row"].get(field.name), field.type) for r in records]
    try:
        return pa.table({field.name: pa.array(columns[field.name], field.type) for field in schema})
    except (pa.ArrowInvalid, pa.ArrowTypeError, KeyError) as error:
        raise Malformed(f"a record of the segment for {name!r} has a value of another type: {error}.") from error


def _typed(value: Any, kind: pa.DataType) -> Any:
    """A value as it came in JSON, where a time is a text."""
    return from_wire(value) if isinstance(value, str) and pa.types.is_timestamp(kind) else value


def _schema(view: View, model: str, version: int) -> pa.Schema:
    signature = versions.get(view, model=model, number=version).signature
    columns = transforms.carried(signature) | {column["name"]: column["type"] for column in signature["inputs"]}
    return pa.schema([*_META.items(), *((name, _INPUT[kind]) for name, kind in columns.items())])


def _keep(
    change: Change, table: pa.Table, *, deployment: str, release: int, gateway: str, sequence: int, source: str
) -> Part:
    table = table.sort_by("_id")
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", row_group_size=ROW_GROUP)
    blob, _ = change.blobs.put(sink.getvalue())
    times = pc.min_max(table["_at"]).as_py()
    part = Part(
        id=ids.uuid7(),
        deployment=deployment,
        release=release,
        gateway=gateway,
        sequence=sequence,
        blob=blob,
        rows=table.num_rows,
        first_id=table["_id"][0].as_py(),
        last_id=table["_id"][-1].as_py(),
        since=times["min"].astimezone(UTC),
        until=times["max"].astimezone(UTC),
        source=source,
        sealed_at=change.now(),
    )
    tables.put_part(change, part)
    change.record(
        SegmentSealed(
            deployment=deployment,
            release=release,
            part=part.id,
            blob=blob,
            rows=part.rows,
            gateway=gateway,
            sequence=sequence,
            source=source,
        )
    )
    return part


def _read_part(file: Path, columns: Sequence[str] | None) -> pa.Table:
    if columns is None:
        return pq.read_table(file)
    wanted = dict.fromkeys(["_id", "_at", *columns])
    return pq.read_table(file, columns=[name for name in wanted if name in pq.read_schema(file).names])


def _with_labels(view: View, table: pa.Table) -> pa.Table:
    """Add ``_label`` by id. Both sides are sorted by id, so this is one search, not a join."""
    if not table.num_rows:
        return table.append_column(LABEL, pa.array([], pa.float64()))
    asked = _bytes_of(table["_id"])
    ends = pc.min_max(table["_id"]).as_py()
    rows = tables.feedback_between(view, ends["min"], ends["max"])
    labels = np.full(len(asked), np.nan)
    if rows:
        predictions, told, _ = zip(*rows, strict=True)
        held, values = np.array(predictions, dtype="S32"), np.array(told, dtype=float)
        places = np.minimum(np.searchsorted(held, asked), len(held) - 1)
        there = held[places] == asked
        labels[there] = values[places[there]]
    return table.append_column(LABEL, pa.array(labels, pa.float64(), from_pandas=True))


def _bytes_of(column: pa.ChunkedArray) -> np.ndarray:
    return np.array(column.to_pylist(), dtype="S32")


@functools.lru_cache(maxsize=512)
def _ids_of(file: Path) -> np.ndarray:
    """The ids of one part, sorted. A blob's path names its content, so remembering by path is safe."""
    return _bytes_of(pq.read_table(file, columns=["_id"])["_id"])
