# SPDX-License-Identifier: Apache-2.0
"""Will a flight from New York arrive more than a quarter of an hour late? Asked an hour before it is due to leave.

In: a table of scheduled departures with the weather at their origin (see the PROVENANCE.md beside the bundled file).
Out: a feature table, a fitted scikit-learn pipeline, its figures. The surprising thing: a row's features come from that
row alone, so that one request over HTTP and a whole month offline are prepared by the same code, to the same numbers.
"""

from __future__ import annotations

from datetime import date
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import mainstay as ms

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

YEAR = 2013
LATE_AFTER_MIN = 15

# All that features are made of; the label is made of ``arr_delay``.
SCHEDULE = (
    "month", "day", "sched_dep_time", "sched_arr_time", "carrier", "flight", "origin", "dest", "distance", "time_hour",
)  # fmt: skip
WEATHER = ("temp", "dewp", "humid", "wind_speed", "precip", "visib", "pressure")

CATEGORIES = ("carrier", "origin", "dest")
NUMBERS = ("minute_of_day", "weekday", "distance", "block_min", *WEATHER)
# The order of the model's input columns.
FEATURES = (*CATEGORIES, *NUMBERS)


def load(until: str, since: str | None = None, source: str | None = None) -> pa.Table:
    """The departures scheduled from day ``since`` (default: 1 January 2013) up to, not including, day ``until``.

    Days are ISO dates in New York. ``source`` is a Parquet file with the columns of the bundled one (the default).
    """
    table = pq.read_table(_bundled() if source is None else Path(source))
    day = pc.add(pc.multiply(pc.cast(table["month"], pa.int32()), 100), table["day"])
    wanted = pc.less(day, _day_number(until))
    if since is not None:
        wanted = pc.and_(wanted, pc.greater_equal(day, _day_number(since)))
    return table.filter(wanted)


@ms.step
def features(flights: pa.Table) -> pa.Table:
    """One row per departure, same order: ``key``, ``due`` (UTC), the columns of ``FEATURES`` and the label ``late``.

    ``late`` is 1 when the arrival delay exceeds 15 minutes, 0 when it does not, null when the flight never arrived
    (cancelled or diverted) or ``arr_delay`` is not known yet; such rows are predicted but not learnt from.
    ``minute_of_day`` and ``block_min`` follow the clocks on the wall at either end: a time zone between them stays in.
    """
    minute, arrival = _minutes(flights["sched_dep_time"]), _minutes(flights["sched_arr_time"])
    days = _days(flights)
    number = {
        "minute_of_day": pa.chunked_array([minute]),
        "weekday": pa.chunked_array([(days.astype(np.int64) + 3) % 7]),  # day 0 was a Thursday; Monday is 0
        "distance": flights["distance"],
        "block_min": pa.chunked_array([(arrival - minute) % (24 * 60)]),
        **{name: flights[name] for name in WEATHER},
    }
    columns: dict[str, Any] = {"key": _keys(flights, days), "due": _due(flights)}
    columns |= {name: flights[name] for name in CATEGORIES}
    columns |= {name: pc.cast(number[name], pa.float64()) for name in NUMBERS}
    return pa.table({**columns, "late": _late(flights)})


@ms.step
def join(tables: list[pa.Table]) -> pa.Table:
    """Several feature tables as one, in the order of departure."""
    return pa.concat_tables(tables).sort_by([("due", "ascending"), ("key", "ascending")])


@ms.step
def split(table: pa.Table, holdout_days: int = 14) -> tuple[pa.Table, pa.Table]:
    """The rows before, and the rows of, the last ``holdout_days`` times 24 hours that ``table`` covers.

    Every judged row is later than every row learnt from: rows of the same hour share their weather, and a random
    holdout would let the model recognise it.
    """
    cut = pc.subtract(pc.max(table["due"]), pa.scalar(holdout_days * 86_400, pa.duration("s")))
    judged = pc.greater(table["due"], cut)
    return table.filter(pc.invert(judged)), table.filter(judged)


@ms.step
def train(table: pa.Table, depth: int = 6, seed: int = 0) -> Pipeline:
    """A fitted pipeline; its input is a 2-d object array of the columns ``FEATURES`` in that order (see ``inputs``)."""
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder
    from threadpoolctl import threadpool_limits

    known = table.filter(pc.is_valid(table["late"]))
    places = list(range(len(CATEGORIES)))
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    prepare = ColumnTransformer([("category", encoder, places)], remainder="passthrough")
    trees = HistGradientBoostingClassifier(
        learning_rate=0.05, max_iter=80, max_depth=depth, min_samples_leaf=200, early_stopping=False, random_state=seed
    )
    # One thread: the order in which several add up their sums differs from run to run, and with it the last bits.
    with threadpool_limits(limits=1, user_api="openmp"):
        return Pipeline([("prepare", prepare), ("trees", trees)]).fit(inputs(known), known["late"].to_numpy())


def inputs(table: pa.Table) -> np.ndarray[Any, np.dtype[np.object_]]:
    """The model's input, shape (rows, len(FEATURES)): str in the category columns, float elsewhere, NaN for null."""
    rows = np.empty((table.num_rows, len(FEATURES)), dtype=object)
    for place, name in enumerate(FEATURES):
        rows[:, place] = table[name].to_numpy()
    return rows


def predict(model: Pipeline, table: pa.Table) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The probability of being late, one per row of ``table``."""
    scores: np.ndarray[Any, np.dtype[np.float64]] = model.predict_proba(inputs(table))[:, 1]
    return scores


@ms.step
def evaluate(model: Pipeline, table: pa.Table) -> dict[str, float]:
    """Figures over the labelled rows of ``table``: ``auc``, ``brier``, ``log_loss``, ``base_rate`` and ``n``."""
    from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

    known = table.filter(pc.is_valid(table["late"]))
    label, score = known["late"].to_numpy(), predict(model, known)
    return {
        "auc": float(roc_auc_score(label, score)),
        "brier": float(brier_score_loss(label, score)),
        "log_loss": float(log_loss(label, score)),
        "base_rate": float(label.mean()),
        "n": float(len(label)),
    }


@ms.pipeline
def flights_late(until: str, months: int = 3, holdout_days: int = 14, depth: int = 6) -> None:
    """Train on the last ``months`` snapshots before ``until``, judge on their last ``holdout_days``, register.

    Each month's features are a step of their own, so that a month is prepared once however often it is trained on.
    """
    tables = [features(month) for month in ms.snapshots("flights", last=months, until=until)]
    learnt, judged = split(join(tables), holdout_days)
    model = train(learnt, depth)
    ms.register(
        "flights-late",
        model,
        metrics=evaluate(model, judged),
        holdout=judged,
        target="late",
        features=FEATURES,
        nullable=WEATHER,  # a station may be silent for an hour, even if it was not in the months learnt from
    )


def _bundled() -> Path:
    return Path(str(resources.files("mainstay.demo.data") / "flights-2013.parquet"))


def _day_number(text: str) -> int:
    day = date.fromisoformat(text)
    return (day.year - YEAR) * 10_000 + day.month * 100 + day.day


def _minutes(clock: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Minutes since midnight of a clock written as 1745."""
    hhmm = clock.to_numpy().astype(np.int64)
    minutes: np.ndarray[Any, np.dtype[np.int64]] = hhmm // 100 * 60 + hhmm % 100
    return minutes


def _days(flights: pa.Table) -> np.ndarray[Any, np.dtype[np.datetime64]]:
    month, day = (flights[name].to_numpy().astype(np.int64) for name in ("month", "day"))
    first = (np.datetime64(str(YEAR), "M") + (month - 1)).astype("M8[D]")
    days: np.ndarray[Any, np.dtype[np.datetime64]] = first + (day - 1)
    return days


def _keys(flights: pa.Table, days: np.ndarray[Any, np.dtype[np.datetime64]]) -> pa.ChunkedArray:
    """Such as ``UA-1545-EWR-2013-01-01``; no two departures share one."""
    number, day = pc.cast(flights["flight"], pa.string()), pa.chunked_array([days.astype(str)])
    return pc.binary_join_element_wise(flights["carrier"], number, flights["origin"], day, "-")


def _due(flights: pa.Table) -> pa.ChunkedArray:
    past_hour = pa.chunked_array([_minutes(flights["sched_dep_time"]) % 60 * 60])
    return pc.add(flights["time_hour"], pc.cast(past_hour, pa.duration("s")))


def _late(flights: pa.Table) -> Any:
    if "arr_delay" not in flights.column_names:
        return pa.nulls(flights.num_rows, pa.int8())
    return pc.cast(pc.greater(flights["arr_delay"], LATE_AFTER_MIN), pa.int8())
