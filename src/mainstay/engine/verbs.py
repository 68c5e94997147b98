# SPDX-License-Identifier: Apache-2.0
"""What a pipeline says besides calling steps: ``snapshot``, ``snapshots``, ``register``.

Inside a pipeline that is being traced they give refs, as steps do. Called plainly, ``snapshot`` hands its table on and
``register`` does nothing but say so, so that a pipeline can be run as the plain function it is.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time
from typing import Any

from mainstay.domain.errors import Invalid, NotFound
from mainstay.engine import tracing
from mainstay.engine.materialise import arrow
from mainstay.engine.platform import Platform
from mainstay.engine.refs import ExistingNode, Ref, RegisterNode, SnapshotNode

Moment = str | date | datetime


def snapshot(
    name: str, table: Any, *, source: str | None = None, since: Moment | None = None, until: Moment | None = None
) -> Any:
    """Make ``table`` a snapshot of dataset ``name``: immutable, profiled, held against the contract.

    Args:
        table: a step's result; a table (Arrow, pandas, Polars, a DuckDB relation, a dataset or a reader of batches); a Path to
            a Parquet or CSV file, or its address; or a table that stays where it is (``delta``, ``iceberg``, ``source``).
        since, until: the period that the rows are about, if they are about one.

    Returns:
        A ref to the snapshot's rows; outside a recorded run, ``table`` itself.
    """
    trace = tracing.current()
    if trace is None:
        return table
    if arrow.is_read_once(table):
        table = arrow.spool(table)  # a plan and a run both look at it
    period = {"since": _iso(since), "until": _iso(until)} if since is not None or until is not None else None
    node = trace.add(SnapshotNode, label=f"snapshot {name}", dataset=name, value=table, source=source, period=period)
    return Ref(node, (), table.annotation if isinstance(table, Ref) else None)


def snapshots(
    name: str, *, last: int | None = None, since: Moment | None = None, until: Moment | None = None
) -> list[Ref]:
    """The snapshots of dataset ``name`` that are there now, oldest first, as inputs that are fixed by digest.

    Args:
        last: only the newest so many. since, until: only those whose period (or, without one, whose making) lies
        within.

    Raises:
        Invalid: no pipeline is being traced. NotFound: there is no such dataset, or no snapshot fits.
    """
    trace = tracing.current()
    if trace is None or trace.platform is None:
        raise Invalid(
            f"snapshots({name!r}) asks a platform; call it inside a pipeline that `mainstay run` carries out."
        )
    fitting = [each for each in _all(trace.platform, name) if _fits(each, since, until)]
    chosen = fitting[-last:] if last is not None else fitting
    if not chosen:
        raise NotFound(
            f"dataset {name!r} has no snapshot in the period asked for; `mainstay datasets show {name}` lists them."
        )
    full = [trace.platform.get(f"/snapshots/{each['id']}") for each in chosen]
    return [Ref(trace.add(ExistingNode, label=each["id"], snapshot=each)) for each in full]


def register(
    name: str,
    model: Any,
    *,
    metrics: Any = None,
    holdout: Any = None,
    target: str | None = None,
    features: Iterable[str] | None = None,
    nullable: Iterable[str] | None = None,
    description: str | None = None,
) -> Any:
    """Make a fitted model the next version of model ``name``; an identical one is answered with the version there is.

    Args:
        metrics: a mapping of numbers, or a step's result that is one.
        holdout: a table of rows the model has not seen, with the column ``target``: the loaded model scores it,
            and the scores are kept as the version's evaluation, which release gates judge by.
        features: the model's input columns in its order; needed only for a model that was fitted without column names.
        nullable: columns that may be missing in a request; by default those that were ever missing in training.
    """
    if holdout is not None and target is None:
        raise Invalid(f'register({name!r}) has a holdout but no target; name the column of truth: target="…".')
    trace = tracing.current()
    if trace is None:
        warnings.warn(f"register({name!r}) outside a recorded run does nothing; `mainstay run` records.", stacklevel=2)
        return None
    chosen = None if features is None else tuple(features)
    facts = {"model": name, "value": model, "metrics": metrics, "holdout": holdout, "target": target}
    may_lack = None if nullable is None else tuple(nullable)
    node = trace.add(
        RegisterNode, label=f"register {name}", **facts, features=chosen, nullable=may_lack, description=description
    )
    return Ref(node)


def _all(platform: Platform, name: str) -> list[dict[str, Any]]:
    newest_first: list[dict[str, Any]] = platform.get(f"/datasets/{name}")["snapshots"]
    return newest_first[::-1]


def _fits(snapshot: Mapping[str, Any], since: Moment | None, until: Moment | None) -> bool:
    period = snapshot.get("period") or {}
    begins = period.get("since") or snapshot["created_at"]
    ends = period.get("until") or snapshot["created_at"]
    return (since is None or _moment(begins) >= _moment(since)) and (until is None or _moment(ends) <= _moment(until))


def _moment(value: Moment) -> datetime:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    elif not isinstance(value, datetime):
        value = datetime.combine(value, time())
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _iso(value: Moment | None) -> str | None:
    return (
        None
        if value is None
        else _moment(value).astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    )
