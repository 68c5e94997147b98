# SPDX-License-Identifier: Apache-2.0
"""Finding runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mainstay.domain.errors import Invalid, NotFound
from mainstay.domain.tracking import Point
from mainstay.lifecycle.tracking import logs, runs, search, tables
from mainstay.store import Store

AT = datetime(2013, 1, 1, tzinfo=UTC)


@pytest.fixture
def four(store: Store) -> list[str]:
    """Runs 0 to 3: auc 0.5 … 0.8, depth 4 … 7, the last one of another kind, experiment, team and end."""
    made = []
    for n in range(4):
        last = n == 3
        with store.change(actor="ana") as change:
            run = runs.start(
                change,
                name=f"run {n}",
                kind="pipeline" if last else "run",
                experiment="other" if last else "Default",
                params={"depth": 4 + n, "loss": "log loss", "fast": n == 0, "word": str(4 + n), "real": 4.0 + n},
                tags={"team": "b" if last else "a"},
            ).id
        with store.ingest() as ingest:
            logs.log(ingest, run, metrics=[Point(key="auc", value=0.5 + n / 10, at=AT)])
        if last:
            with store.change(actor="ana") as change:
                runs.finish(change, run, state="failed")
        made.append(run)
    return made


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, [3, 2, 1, 0]),
        ({"kind": "pipeline"}, [3]),
        ({"experiment": "Default"}, [2, 1, 0]),
        ({"state": "running"}, [2, 1, 0]),
        ({"filter": "metrics.auc > 0.55"}, [3, 2, 1]),
        ({"filter": "metrics.auc >= 0.6 and metrics.auc < 0.75"}, [2, 1]),
        ({"filter": "params.depth = 6"}, [2]),
        ({"filter": 'params.depth = "6"'}, [2]),
        ({"filter": "params.depth != 6 AND tags.team = 'a'"}, [1, 0]),
        ({"filter": "params.loss = 'log loss'"}, [3, 2, 1, 0]),
        ({"filter": "params.fast = true"}, [0]),
        ({"filter": "params.word = 6"}, [2]),
        ({"filter": "params.real = 6"}, [2]),
        ({"filter": "state = failed"}, [3]),
        ({"filter": "name = 'run 1'"}, [1]),
        ({"filter": "metrics.`auc` = 0.5"}, [0]),
        ({"filter": "metrics.gone != 1"}, []),
        ({"filter": "params.gone != 1"}, []),
        ({"filter": "tags.team = 'a' and metrics.auc > 0.9"}, []),
    ],
)
def test_a_search_finds_exactly_what_it_says(
    store: Store, four: list[str], wanted: dict[str, Any], expected: list[int]
) -> None:
    with store.view() as view:
        found = search.find(view, **wanted)

    assert [four.index(run.id) for run in found.runs] == expected


def test_pages_are_neither_gapped_nor_repeated(store: Store, four: list[str]) -> None:
    with store.view() as view:
        first = search.find(view, limit=2)
        rest = search.find(view, limit=2, after=first.next)

    assert [run.id for run in first.runs + rest.runs] == four[::-1]
    assert rest.next is None


@pytest.mark.parametrize(
    "filter",
    [
        "auc",
        "metrics.auc >",
        "metrics.auc > 'high'",
        "metrics.auc > true",
        "params.loss > 'a'",
        "password = 'x'",
        "metrics.auc > 0.5 or metrics.auc < 0.1",
        "metrics.auc > 0.5 and",
        "tags.team = 'a'; drop table runs",
        "tags.team = 'unfinished",
        "x" * 5_000,
    ],
)
def test_a_filter_that_cannot_be_read_is_refused(store: Store, filter: str) -> None:
    with pytest.raises(Invalid, match="the filter"), store.view() as view:
        search.find(view, filter=filter)


def test_an_experiment_that_is_not_there_is_named(store: Store) -> None:
    with pytest.raises(NotFound, match="no experiment 'none'"), store.view() as view:
        search.find(view, experiment="none")


def test_a_condition_on_a_metric_and_an_order_by_one_go_together_where_many_match(
    store: Store, four: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "FEW", 0)

    with store.view() as view:
        found = search.find(view, experiment="Default", filter="metrics.auc > 0.55", order_by="metrics.auc desc")

    assert [run.id for run in found.runs] == [four[2], four[1]]
