# SPDX-License-Identifier: Apache-2.0
"""The bundled year of flights is what its provenance says, and its pipeline learns from nothing it could not know."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timedelta
from importlib import resources
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.demo.data import build
from mainstay.demo.project import flights

DATA = Path(str(resources.files("mainstay.demo.data")))
PARQUET = DATA / "flights-2013.parquet"
DEPARTURES = [27_004, 24_951, 28_834, 28_330, 28_796, 28_243, 29_425, 29_327, 27_574, 28_889, 27_268, 28_135]
KNOWN_AFTER_DEPARTURE = {"dep_time", "dep_delay", "arr_time", "air_time", "arr_delay"}


@pytest.fixture(scope="module")
def year() -> pa.Table:
    return flights.load("2014-01-01")


@pytest.fixture(scope="module")
def fortnight() -> pa.Table:
    return flights.features(flights.load("2013-01-15"))


def test_every_departure_of_every_month_is_there(year: pa.Table) -> None:
    months = year["month"].to_numpy()

    assert year.num_rows == 336_776
    assert [int((months == month).sum()) for month in range(1, 13)] == DEPARTURES


def test_the_file_is_the_one_its_provenance_describes() -> None:
    told = (DATA / "PROVENANCE.md").read_text()
    digest = re.search(r"SHA-256 \| `([0-9a-f]{64})`", told)
    counts = re.search(r"\| departures \| (.*) \|", told)

    assert digest is not None and digest[1] == hashlib.sha256(PARQUET.read_bytes()).hexdigest()
    assert counts is not None and [int(n.replace(",", "")) for n in counts[1].split(" | ")] == DEPARTURES
    assert PARQUET.stat().st_size <= 6_000_000


def test_the_file_holds_nothing_known_only_after_departure_but_the_label() -> None:
    assert set(pq.read_schema(PARQUET).names) & KNOWN_AFTER_DEPARTURE == {"arr_delay"}


def test_the_model_reads_nothing_known_only_after_departure() -> None:
    reads = {*flights.FEATURES, *flights.SCHEDULE, *flights.WEATHER}

    assert not reads & (KNOWN_AFTER_DEPARTURE | {"late"})


def test_a_load_holds_its_first_day_and_not_its_last() -> None:
    table = flights.load("2013-03-03", since="2013-02-27")

    days = set(zip(table["month"].to_pylist(), table["day"].to_pylist(), strict=True))
    assert days == {(2, 27), (2, 28), (3, 1), (3, 2)}


def test_a_load_reads_the_file_it_is_given(tmp_path: Path) -> None:
    pq.write_table(flights.load("2013-01-03"), tmp_path / "few.parquet")

    table = flights.load("2014-01-01", source=str(tmp_path / "few.parquet"))

    assert table.num_rows == flights.load("2013-01-03").num_rows


@given(at=st.integers(0, 400), gaps=st.sets(st.integers(0, 400), max_size=395))
def test_a_flight_never_sees_weather_filed_less_than_two_hours_before_its_hour(at: int, gaps: set[int]) -> None:
    start = datetime(2013, 1, 1)
    hours = sorted(set(range(401)) - gaps)
    weather = pa.table(
        {
            "origin": ["JFK"] * len(hours),
            "time_hour": pa.array([start + timedelta(hours=h) for h in hours], pa.timestamp("s", "UTC")),
            **{name: pa.array([float(h) for h in hours]) for name in build.WEATHER},
        }
    )

    row = build.join_weather(_departure(start + timedelta(hours=at)), weather)

    old_enough = [h for h in hours if 2 <= at - h <= 6]
    assert row["temp"].to_pylist() == [float(old_enough[-1]) if old_enough else None]


def test_the_faulty_wind_filed_at_three_reaches_only_the_flights_of_five(year: pa.Table) -> None:
    """The one impossible observation (1,048 mph, EWR, 12 February 03:00) marks the join in the shipped file."""
    marked = year.filter(pc.greater(year["wind_speed"], 1000))

    assert marked.select(["month", "day", "origin"]).to_pylist() == [{"month": 2, "day": 12, "origin": "EWR"}] * 2
    assert [hour // 100 for hour in marked["sched_dep_time"].to_pylist()] == [5, 5]


def _departure(hour: datetime) -> pa.Table:
    numbers = dict.fromkeys([*build._INT8, *build._INT16], 1)
    texts = {"carrier": "B6", "origin": "JFK", "dest": "BOS"}
    columns = {name: [value] for name, value in {**numbers, **texts}.items()}
    return pa.table({**columns, "time_hour": pa.array([hour], pa.timestamp("s", "UTC"))})


def test_late_means_more_than_fifteen_minutes_and_a_flight_that_never_arrived_is_neither() -> None:
    four = flights.load("2013-01-02").slice(0, 4)
    delays = pa.array([15, 16, -30, None], pa.int16())
    four = four.set_column(four.column_names.index("arr_delay"), "arr_delay", delays)

    assert flights.features(four)["late"].to_pylist() == [0, 1, 0, None]


def test_features_can_be_made_before_any_arrival_is_known() -> None:
    day = flights.load("2013-01-02")

    before = flights.features(day.drop_columns(["arr_delay"]))

    assert before["late"].null_count == day.num_rows
    assert before.drop_columns(["late"]).equals(flights.features(day).drop_columns(["late"]))


def test_features_depend_on_their_declared_columns_only() -> None:
    day = flights.load("2013-01-02")
    declared = day.select([*flights.SCHEDULE, *flights.WEATHER, "arr_delay"])
    crowded = day.append_column("dep_delay", pa.array(range(day.num_rows))).append_column("late", day["arr_delay"])

    assert flights.features(crowded).equals(flights.features(declared))


@settings(max_examples=25)
@given(start=st.integers(0, 26_000), rows=st.integers(1, 500))
def test_a_row_has_the_same_features_whichever_rows_are_beside_it(year: pa.Table, start: int, rows: int) -> None:
    alone = flights.features(year.slice(start, rows))
    among = flights.features(year.slice(0, start + rows + 50)).slice(start, rows)

    assert alone.equals(among)


def test_features_read_clocks_and_calendars_right() -> None:
    first = flights.features(flights.load("2013-01-02")).slice(0, 1).to_pylist()[0]

    assert first["key"] == "UA-1545-EWR-2013-01-01"
    assert (first["minute_of_day"], first["weekday"]) == (315.0, 1.0)  # 05:15 on a Tuesday
    assert first["block_min"] == 184.0  # to 08:19 in Houston
    assert first["due"].isoformat() == "2013-01-01T10:15:00+00:00"


def test_every_departure_has_its_own_key(year: pa.Table) -> None:
    assert pc.count_distinct(flights.features(year)["key"]).as_py() == year.num_rows


def test_every_judged_row_is_later_than_every_row_learnt_from() -> None:
    table = flights.features(flights.load("2013-03-01"))

    learnt, judged = flights.split(table, holdout_days=14)

    assert learnt.num_rows + judged.num_rows == table.num_rows
    assert pc.max(learnt["due"]).as_py() < pc.min(judged["due"]).as_py()
    assert pc.max(judged["due"]).as_py() - pc.min(judged["due"]).as_py() < timedelta(days=14)


def test_training_twice_gives_the_same_predictions(fortnight: pa.Table) -> None:
    first, second = flights.train(fortnight), flights.train(fortnight)

    assert np.array_equal(flights.predict(first, fortnight), flights.predict(second, fortnight))


def test_the_model_beats_chance_on_later_days_and_its_figures_say_on_how_many(fortnight: pa.Table) -> None:
    learnt, judged = flights.split(fortnight, holdout_days=3)

    figures = flights.evaluate(flights.train(learnt), judged)

    known = judged["late"].drop_null().to_numpy()
    assert figures["n"] == len(known) < judged.num_rows  # the rest were cancelled
    assert figures["base_rate"] == pytest.approx(known.mean())
    assert figures["auc"] > 0.55
    assert set(figures) == {"auc", "brier", "log_loss", "base_rate", "n"}


def test_flights_that_never_arrived_are_predicted_too(fortnight: pa.Table) -> None:
    scores = flights.predict(flights.train(fortnight), fortnight)

    assert fortnight["late"].null_count > 0
    assert len(scores) == fortnight.num_rows
    assert np.isfinite(scores).all() and scores.min() >= 0 and scores.max() <= 1


def test_an_unknown_airport_and_missing_weather_still_get_a_prediction(fortnight: pa.Table) -> None:
    row = flights.inputs(fortnight.slice(0, 1))
    row[0, flights.FEATURES.index("dest")] = "ZZZ"
    row[0, flights.FEATURES.index("temp")] = float("nan")

    assert 0 < flights.train(fortnight).predict_proba(row)[0, 1] < 1


def test_a_model_survives_saving_without_pickle(fortnight: pa.Table) -> None:
    import skops.io

    model = flights.train(fortnight)
    saved = skops.io.dumps(model)
    # The one type that a scikit-learn minor's allow-list must name for these trees.
    trees = "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"

    restored = skops.io.loads(saved, trusted=[trees])

    assert np.array_equal(flights.predict(restored, fortnight), flights.predict(model, fortnight))
