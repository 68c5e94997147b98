# SPDX-License-Identifier: Apache-2.0
"""Predictions for a whole file: the versions, rules and sentences of the gateway, column by column.

In: a variant of the routing table (or any version with files, format and signature) and a Parquet or Arrow file. Out:
scores, or a Parquet file in the sealed layout of the prediction log with ``_source`` = ``batch``, which the control
plane takes as it is. A file may have columns that the signature does not name (keys, labels, notes): they are left out
and named in the result. A missing column is refused, with a guess at what it is called now.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mainstay import formats
from mainstay.domain import ids
from mainstay.domain.errors import Invalid, Malformed
from mainstay.features import asof, sources, transforms
from mainstay.features.definitions import Definition
from mainstay.features.sources import External
from mainstay.features.transforms import Transform
from mainstay.formats.signature import Signature
from mainstay.gateway import entrance
from mainstay.gateway.fields import Field, Problem, in_utc, problems_of_names, read_fields, refuse, show, wrong_value
from mainstay.gateway.versions import ModelFault

Columns = dict[str, npt.NDArray[Any]]

_ARROW = {
    "float": pa.float64(),
    "int": pa.int64(),
    "str": pa.string(),
    "bool": pa.bool_(),
    "datetime": pa.timestamp("us", "UTC"),
}
_MICROSECONDS = pa.timestamp("us", "UTC")
_ASKED = "__asked"


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A table that fits: its columns as the model takes them, as the log keeps them, and each row's flags."""

    columns: Columns
    inputs: dict[str, pa.ChunkedArray]
    flags: pa.ListArray
    ignored: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What `predict_file` did. ``seconds`` is the whole of it, loading the model excluded."""

    rows: int
    flagged: int
    invalid: int
    ignored: tuple[str, ...]
    seconds: float


def score(
    format: str,
    files: formats.Files,
    environment: Mapping[str, str] | None,
    signature: Mapping[str, Any],
    table: pa.Table,
    *,
    allow_pickle: bool = False,
) -> npt.NDArray[np.float64]:
    """Scores of ``table``'s rows, shape (rows,), or (rows, classes) for more than two classes.

    Raises:
        Invalid: the files, or the table, are not acceptable; the message names the column and the first row.
    """
    model = formats.load(format, files, environment=environment, allow_pickle=allow_pickle)
    checked = check(table, read_fields(Signature.from_json(signature)))
    return _predict(model, checked.columns, table.num_rows)


def predict_file(
    source: Path,
    destination: Path,
    *,
    variant: Mapping[str, Any],
    files: formats.Files,
    signature: Mapping[str, Any],
    deployment: str,
    views: Sequence[tuple[Definition, Path]] = (),
    key: str | None = None,
    at: str | None = None,
    rules: Sequence[Mapping[str, Any]] = (),
) -> Scored:
    """Score ``source`` (Parquet or Arrow IPC) and write the sealed predictions to ``destination`` (Parquet).

    Args:
        variant: ``release``, ``model``, ``version`` (numbers or full names), ``format``, ``environment``; ``role`` and
        ``allow_pickle`` if it has them. files: name → path or bytes, as verified by the caller. key, at: columns with the
        key and the event time. rules: what the contracts of the version's data ask of its inputs.

    Raises:
        Malformed: ``source`` is neither. Invalid: it does not fit the signature.
    """
    model = formats.load(
        variant["format"],
        files,
        environment=variant.get("environment"),
        allow_pickle=bool(variant.get("allow_pickle")),
    )
    table = entrance.rename(read_table(source), rules)
    began = time.perf_counter()
    # One moment for all of it: the log keeps the very one by which features were looked up and computed.
    now_us = time.time_ns() // 1000
    asked_at = _cast_or_refuse(table, at, _MICROSECONDS) if at else _moment(now_us, table.num_rows)
    for definition, online in views:
        table = _looked_up(table, definition, pq.read_table(online), asked_at)
    for external in [sources.from_json(each) for each in signature.get("sources", ())]:
        table = _asked_elsewhere(table, external, asked_at)
    computed = [transforms.from_json(each) for each in signature.get("transforms", ())]
    table = _computed(table, [each for each in computed if each.name not in table.column_names], asked_at)
    checked = check(table, read_fields(Signature.from_json(signature)), known=[name for name in (key, at) if name])
    entrance.check(checked.inputs, rules)
    started = time.perf_counter()
    values = _predict(model, checked.columns, table.num_rows)
    latency_us = round((time.perf_counter() - started) * 1e6 / max(1, table.num_rows))
    sealed = seal(
        table,
        checked,
        values,
        variant=variant,
        deployment=deployment,
        latency_us=latency_us,
        key=key,
        at=at,
        now_us=now_us,
    )
    for name in transforms.carried(signature):
        sealed = sealed.append_column(name, table[name] if name in table.column_names else pa.nulls(table.num_rows))
    pq.write_table(sealed, destination, compression="zstd")
    return Scored(
        rows=table.num_rows,
        flagged=pc.sum(pc.greater(pc.list_value_length(checked.flags), 0)).as_py() or 0,
        invalid=table.num_rows - (pc.sum(pc.equal(sealed["_status"], "ok")).as_py() or 0),
        ignored=checked.ignored,
        seconds=time.perf_counter() - began,
    )


def _computed(table: pa.Table, lacking: Sequence[Transform], asked_at: pa.ChunkedArray) -> pa.Table:
    """``table`` with what the transforms make that it lacks: at the event time, or now."""
    if not lacking:
        return table
    asked = table.append_column(_ASKED, asked_at)
    return transforms.added(asked, lacking, time=_ASKED).drop_columns(_ASKED)


def _asked_elsewhere(table: pa.Table, external: External, asked_at: pa.ChunkedArray) -> pa.Table:
    """``table`` with the features of another store, unless it has them: as of the event time, or of now."""
    if any(name in table.column_names for name, _ in external.columns):
        return table
    asked = table.append_column(_ASKED, asked_at)
    return sources.joined(asked, external, time=_ASKED).drop_columns(_ASKED)


def _moment(now_us: int, rows: int) -> pa.ChunkedArray:
    return pa.chunked_array([_same(pa.scalar(now_us).cast(_MICROSECONDS), rows)])


def _looked_up(table: pa.Table, definition: Definition, online: pa.Table, asked_at: pa.ChunkedArray) -> pa.Table:
    """``table`` with the view's features that it lacks: as of the event time, or of now."""
    own = (*definition.entity, definition.time)
    lacking = [name for name in online.column_names if name not in own and name not in table.column_names]
    if not lacking:
        return table
    if missing := [name for name in definition.entity if name not in table.column_names]:
        raise Invalid(f"the file has no column {missing[0]!r}, by which view {definition.name!r} knows {lacking[0]!r}.")
    chosen = asof.places(
        table.select(list(definition.entity)).append_column(_ASKED, asked_at),
        online,
        entity=definition.entity,
        label_time=_ASKED,
        event_time=definition.time,
        delay_us=definition.delay_us,
        ttl_us=definition.ttl_us,
    )
    for name, column in zip(lacking, asof.take(online, lacking, chosen), strict=True):
        table = table.append_column(name, column)
    return table


def read_table(source: Path) -> pa.Table:
    """The rows of a Parquet or Arrow IPC file. Raises Malformed: it is neither."""
    with open(source, "rb") as file:
        start = file.read(6)
    try:
        if start[:4] == b"PAR1":
            return pq.read_table(source)
        with pa.memory_map(str(source)) as mapped:
            reader = pa.ipc.open_file(mapped) if start == b"ARROW1" else pa.ipc.open_stream(mapped)
            return reader.read_all()
    except (pa.ArrowInvalid, OSError) as error:
        said = str(error).splitlines()[0].rstrip(".")
        raise Malformed(f"{source.name} is neither a Parquet nor an Arrow file: {said}.") from error


def check(table: pa.Table, fields: Sequence[Field], *, known: Sequence[str] = ()) -> Checked:
    """Hold ``table`` against the inputs, by the rules of a request: every problem is found, ranges and categories are
    flags.

    Raises:
        Invalid: a column is missing or of another type, or holds null or NaN where none may be.
    """
    names = problems_of_names(table.column_names, fields, "")
    problems = [problem for problem in names if problem.problem == "missing"]
    missing = {problem.path for problem in problems}
    inputs: dict[str, pa.ChunkedArray] = {}
    for field in fields:
        if field.name in missing:
            continue
        found = _column(table, field)
        if isinstance(found, Problem):
            problems.append(found)
        else:
            inputs[field.name] = found
    if problems:
        raise refuse(problems)
    wanted = {field.name for field in fields} | set(known)
    return Checked(
        columns={field.name: _array(inputs[field.name], field) for field in fields},
        inputs=inputs,
        flags=_flags(inputs, fields, table.num_rows),
        ignored=tuple(name for name in table.column_names if name not in wanted),
    )


def seal(
    table: pa.Table,
    checked: Checked,
    values: npt.NDArray[np.float64],
    *,
    variant: Mapping[str, Any],
    deployment: str,
    latency_us: int,
    key: str | None = None,
    at: str | None = None,
    now_us: int | None = None,
) -> pa.Table:
    """Predictions in the sealed layout; ids increase from row to row. A value that is not finite becomes null."""
    n = table.num_rows
    now = pa.scalar(time.time_ns() // 1000 if now_us is None else now_us, pa.int64()).cast(_MICROSECONDS)
    number = np.argmax(values, axis=1).astype(np.float64) if values.ndim == 2 else values
    sound = np.isfinite(values).all(axis=1) if values.ndim == 2 else np.isfinite(values)
    meta: dict[str, Any] = {
        "_id": pa.array(ids.uuid7s(n), pa.string()),
        "_at": _same(now, n) if at is None else _cast_or_refuse(table, at, _MICROSECONDS),
        "_logged_at": _same(now, n),
        "_deployment": _same(deployment, n),
        "_release": _same(_number(variant["release"], "#"), n),
        "_model": _same(variant["model"], n),
        "_version": _same(_number(variant["version"], "/"), n),
        "_variant": _same(variant.get("role", "batch"), n),
        "_status": pc.if_else(pa.array(sound), "ok", "invalid_output"),
        "_latency_us": _same(latency_us, n),
        "_value": pa.array(number, pa.float64(), mask=~sound),
        "_key": pa.nulls(n, pa.string()) if key is None else _cast_or_refuse(table, key, pa.string()),
        "_source": _same("batch", n),
        "_flags": checked.flags,
    }
    return pa.table({**meta, **checked.inputs})


def _column(table: pa.Table, field: Field) -> pa.ChunkedArray | Problem:
    if field.name not in table.column_names:
        return pa.chunked_array([pa.nulls(table.num_rows, _ARROW[field.kind])])
    found = table[field.name]
    wrong = _wrong_type(found.type, field)
    if wrong is not None:
        return wrong
    plain = _plain(found, field)
    if isinstance(plain, Problem):
        return plain
    if plain.null_count and not field.nullable:
        first = pc.index(pc.is_null(plain), True).as_py()
        what = f"null or NaN in {plain.null_count} rows, first in row {first}"
        return wrong_value(field.name, field, what, "null")
    if field.kind == "float":
        infinite = pc.index(pc.is_inf(plain), True).as_py()
        if infinite >= 0:
            return wrong_value(field.name, field, f"infinite in row {infinite}", "type")
    return plain


def _plain(found: pa.ChunkedArray, field: Field) -> pa.ChunkedArray | Problem:
    """The column in the one Arrow type of its kind; NaN counts as null, as it cannot be sent over the wire either."""
    if pa.types.is_floating(found.type):
        found = pc.if_else(pc.is_nan(found), pa.scalar(None, found.type), found)
    if pa.types.is_timestamp(found.type) and found.type.tz is None:
        found = found.cast(pa.timestamp("us"))  # a time without a zone is one in UTC
    try:
        return found.cast(_ARROW[field.kind])
    except pa.ArrowInvalid:
        if field.kind == "int" and pa.types.is_floating(found.type):
            broken = pc.not_equal(found, pc.trunc(found))
            row = pc.index(broken, True).as_py()
            shown = show(found[row].as_py()) if row >= 0 else "beyond 64 bits"
            return wrong_value(field.name, field, f"{shown} in row {max(row, 0)}", "type")
        return wrong_value(field.name, field, f"a column of {found.type} that cannot be read so", "type")


def _wrong_type(kind: pa.DataType, field: Field) -> Problem | None:
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    fits = {
        "float": number,
        "int": number,
        "str": types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind),
        "bool": types.is_boolean(kind),
        "datetime": types.is_timestamp(kind) or types.is_date(kind),
    }[field.kind]
    if fits or (types.is_null(kind) and field.nullable):
        return None
    return wrong_value(field.name, field, f"a column of {kind}", "type")


def _array(found: pa.ChunkedArray, field: Field) -> npt.NDArray[Any]:
    if field.kind == "str":
        return found.to_numpy()
    if field.kind == "datetime":
        return found.cast(pa.timestamp("us")).to_numpy()
    if field.kind == "bool":
        found = found.cast(pa.int8())
    return found.cast(pa.float64(), safe=False).to_numpy()


def _flags(inputs: Mapping[str, pa.ChunkedArray], fields: Sequence[Field], n: int) -> pa.ListArray:
    """One list of flags a row, in the order of the inputs."""
    rows: list[npt.NDArray[np.int64]] = []
    words: list[str] = []
    for field in fields:
        beyond = _beyond(inputs[field.name], field)
        if beyond is not None:
            hit = np.flatnonzero(pc.fill_null(beyond, False).to_numpy())
            rows.append(hit)
            words.append(field.unseen if field.categories is not None else field.out_of_range)
    sizes = [len(hit) for hit in rows]
    where = np.concatenate(rows) if rows else np.empty(0, np.int64)
    which = np.repeat(np.arange(len(words)), sizes)
    order = np.argsort(where, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(where, minlength=n))]).astype(np.int32)
    values = pa.array(words, pa.string()).take(pa.array(which[order])) if words else pa.array([], pa.string())
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def _beyond(found: pa.ChunkedArray, field: Field) -> pa.ChunkedArray | None:
    """Where a value lies outside of what training saw; None if the signature does not say what that was."""
    if field.categories is not None:
        known = pc.is_in(found, value_set=pa.array(sorted(field.categories), pa.string()))
        return pc.and_(pc.invert(known), pc.is_valid(found))
    tests = []
    if field.minimum is not None:
        tests.append(pc.less(found, _end(field.minimum)))
    if field.maximum is not None:
        tests.append(pc.greater(found, _end(field.maximum)))
    if not tests:
        return None
    return tests[0] if len(tests) == 1 else pc.or_(*tests)


def _end(value: Any) -> pa.Scalar:
    return pa.scalar(in_utc(value), _MICROSECONDS) if isinstance(value, datetime) else pa.scalar(value)


def _predict(model: formats.Model, columns: Columns, n: int) -> npt.NDArray[np.float64]:
    values = np.asarray(model.predict(columns), dtype=np.float64)
    if values.ndim not in (1, 2) or len(values) != n:
        raise ModelFault(f"the model gave values of shape {values.shape} for {n} rows.")
    return values


def _cast_or_refuse(table: pa.Table, name: str, wanted: pa.DataType) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise Invalid(f"the file has no column {name!r}; it has {', '.join(map(repr, table.column_names[:20]))}.")
    found = table[name]
    try:
        if pa.types.is_timestamp(found.type) and found.type.tz is None:
            found = found.cast(pa.timestamp("us"))
        return found.cast(wanted, safe=not pa.types.is_timestamp(wanted))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise Invalid(f"column {name!r} is {found.type} and cannot be read as {wanted}.") from error


def _same(value: Any, n: int) -> pa.Array:
    return pa.repeat(value, n)


def _number(value: Any, mark: str) -> int:
    text = str(value).rpartition(mark)[2]
    if not text.isdecimal():
        raise Invalid(f"{value!r} has no number after {mark!r}.")
    return int(text)
