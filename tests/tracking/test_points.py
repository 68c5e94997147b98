# SPDX-License-Identifier: Apache-2.0
"""Readings come back as they were sent, in order and each once, whatever the batches they came in."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from mainstay.domain.tracking import Point
from mainstay.lifecycle.tracking import logs, runs
from mainstay.lifecycle.tracking.metrics import points, series
from mainstay.lifecycle.tracking.metrics.points import Reading
from mainstay.store import Store, database, migrations, open_store
from mainstay.store.databases import Database
from mainstay.store.databases.postgres import Postgres

AT = datetime(2013, 1, 1, tzinfo=UTC)

values = st.none() | st.sampled_from([0.0, 1.5, -math.inf, math.inf]) | st.floats(allow_nan=False)
readings = st.lists(st.tuples(st.integers(-3, 3) | st.integers(-(2**63), 2**63 - 1), st.integers(0, 4), values))


def by_step(reading: Reading) -> tuple[Any, ...]:
    step, at, value = reading
    return step, at, value is not None, value or 0.0


def by_time(reading: Reading) -> tuple[Any, ...]:
    step, at, value = reading
    return at, step, value is not None, value or 0.0


@given(st.lists(readings, max_size=4))
def test_what_is_read_is_what_was_kept_sorted_and_each_once(batches: list[list[Reading]]) -> None:
    found = points.read(points.kept(batch) for batch in batches)

    sent = {reading for batch in batches for reading in batch}
    assert found.readings() == sorted(sent, key=by_step)
    assert points.by_time(found).readings() == sorted(sent, key=by_time)


@given(readings, st.tuples(st.integers(-3, 3), st.integers(0, 4), values))
def test_behind_a_place_is_what_is_sorted_behind_it(sent: list[Reading], place: Reading) -> None:
    found = points.read([points.kept(sent)])

    behind = found.some(points.behind(found, place)).readings()
    later = found.some(points.behind(found, place, by_time=True)).readings()

    assert behind == [each for each in sorted(set(sent), key=by_step) if by_step(each) > by_step(place)]
    assert later == [each for each in sorted(set(sent), key=by_step) if by_time(each) > by_time(place)]


def test_a_part_of_the_steps_is_exactly_that_part(store: Store, run: str) -> None:
    for first in (0, 50, 25, 75):  # batches whose steps overlap
        some = [Point(key="loss", value=float(step), step=step, at=AT) for step in range(first, first + 40)]
        with store.ingest() as ingest:
            logs.log(ingest, run, metrics=some)

    with store.view() as view:
        part = series.of(view, run, "loss", since=30, until=80)
        whole = series.of(view, run, "loss")

    assert part.steps.tolist() == list(range(30, 81))
    assert whole.steps.tolist() == list(range(115))


def test_the_digest_of_points_does_not_depend_on_how_they_came(store: Store) -> None:
    sent = [Point(key="loss", value=math.nan if n == 3 else n / 7, step=n, at=AT) for n in range(20)]
    found = set()
    for size in (1, 7, 20):
        with store.change(actor="ana") as change:
            run = runs.start(change, name="train").id
        for first in range(0, 20, size):
            with store.ingest() as ingest:
                logs.log(ingest, run, metrics=sent[first : first + size])
        with store.view() as view:
            found.add(runs.digests(view, run)["metrics"])

    assert len(found) == 1


def test_points_of_an_older_workspace_are_carried_over(tmp_path: Path) -> None:
    older = place_of(tmp_path)
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__path__[0])))
    config.attributes["engine"] = older.engine
    before = ScriptDirectory.from_config(config).get_revision("0011").down_revision
    assert isinstance(before, str)
    command.upgrade(config, before)
    with older.writing() as connection:
        for number, key in ((1, "loss"), (2, "none"), (3, "nan")):
            connection.execute(text(f"insert into run_metrics values ({number}, 'r', 0, '{key}', 1, 1, 0.5)"))
        for row in ("1, 2, 20, 0.25", "1, 1, 10, 0.5", "1, 1, 10, 0.5", "3, 0, 0, null"):
            connection.execute(text(f"insert into metric_points values ({row})"))
    command.upgrade(config, "0011")
    older.close()

    store = open_store(tmp_path)

    with store.view() as view:
        found = {key: series.of(view, "r", key).readings() for key in ("loss", "none", "nan")}
        kept = [row.points for row in view.rows(text("select points from run_metrics order by series"))]
    store.close()
    assert found == {"loss": [(1, 10, 0.5), (2, 20, 0.25)], "none": [], "nan": [(0, 0, None)]}
    assert kept == [3, 0, 1]


def place_of(folder: Path) -> Database:
    """A database for ``folder`` with no tables in it yet."""
    made = database._database_of(folder)
    if isinstance(made, Postgres):
        made.make_schema()
    return made
