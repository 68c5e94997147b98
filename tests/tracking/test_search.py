# SPDX-License-Identifier: Apache-2.0
"""Finding runs."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mainstay.domain.errors import Invalid, NotFound
from mainstay.domain.tracking import Point
from mainstay.lifecycle.tracking import logs, runs
from mainstay.lifecycle.tracking.search import pages, tables
from mainstay.store import Store, open_store

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
        found = pages.find(view, **wanted)

    assert [four.index(run.id) for run in found.runs] == expected


def test_pages_are_neither_gapped_nor_repeated(store: Store, four: list[str]) -> None:
    with store.view() as view:
        first = pages.find(view, limit=2)
        rest = pages.find(view, limit=2, after=first.next)

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
        pages.find(view, filter=filter)


def test_an_experiment_that_is_not_there_is_named(store: Store) -> None:
    with pytest.raises(NotFound, match="no experiment 'none'"), store.view() as view:
        pages.find(view, experiment="none")


def test_a_condition_on_a_metric_and_an_order_by_one_go_together_where_many_match(
    store: Store, four: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "FEW", 0)

    with store.view() as view:
        found = pages.find(view, experiment="Default", filter="metrics.auc > 0.55", order_by="metrics.auc desc")

    assert [run.id for run in found.runs] == [four[2], four[1]]


# Walks and gathered searches must find the same; both are held against a search that reads everything and sorts in Python.

NAN = float("nan")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, list[dict[str, Any]]]]:
    """Sixty runs of two experiments, some put away; metrics, parameters and tags with ties, gaps, NaN and infinity."""
    opened = open_store(tmp_path_factory.mktemp("many") / "workspace")
    dice, known = random.Random(7), []
    for n in range(60):
        facts: dict[str, Any] = {
            "name": f"run {n % 7}",
            "experiment": "a" if n % 5 else "b",
            "metrics": {
                key: dice.choice([0.0, 0.5, -1.0, 2.0, NAN, float("inf")]) for key in "xy" if dice.random() < 0.8
            },
            "params": {"p": dice.choice([1, 2.5, "10", "big", "Big", "x" * 300, "x" * 200, True, None])}
            if dice.random() < 0.8
            else {},
            "tags": {"t": dice.choice(["a", "B", "b%", "x" * 250 + "y"])} if dice.random() < 0.7 else {},
            "started_at": AT + timedelta(seconds=dice.randrange(20)),
            "deleted": dice.random() < 0.1,
        }
        with opened.change(actor="ana") as change:
            told = {name: facts[name] for name in ("name", "experiment", "params", "tags", "started_at")}
            facts["id"] = runs.start(change, **told).id
        with opened.ingest() as ingest:
            logs.log(ingest, facts["id"], metrics=[Point(key=k, value=v, at=AT) for k, v in facts["metrics"].items()])
        if facts["deleted"]:
            with opened.change(actor="ana") as change:
                runs.delete(change, facts["id"])
        known.append(facts)
    yield opened, known
    opened.close()


FILTERS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "": lambda run: True,
    "metrics.x > 0.1": lambda run: run["metrics"].get("x", NAN) > 0.1,
    "metrics.x != 0.5": lambda run: "x" in run["metrics"] and run["metrics"]["x"] != 0.5,
    "metrics.x <= 2 and metrics.y >= 0": lambda run: (
        run["metrics"].get("x", NAN) <= 2 and run["metrics"].get("y", NAN) >= 0
    ),
    "metrics.y is null": lambda run: "y" not in run["metrics"],
    "params.p > 1.5": lambda run: run["params"].get("p") in (2.5, "10"),
    "params.p = 'big'": lambda run: run["params"].get("p") == "big",
    "params.p ilike 'BIG'": lambda run: run["params"].get("p") in ("big", "Big"),
    f"params.p = '{'x' * 300}'": lambda run: run["params"].get("p") == "x" * 300,
    f"params.p = '{'x' * 200}'": lambda run: run["params"].get("p") == "x" * 200,
    f"params.p like '{'x' * 250}%'": lambda run: run["params"].get("p") == "x" * 300,
    "params.p = true": lambda run: run["params"].get("p") is True,
    "tags.t in ('a', 'B')": lambda run: run["tags"].get("t") in ("a", "B"),
    "tags.t not in ('a')": lambda run: run["tags"].get("t", "a") != "a",
    "tags.t like 'b%'": lambda run: run["tags"].get("t") == "b%",
    "tags.t = 'a' and params.p < 11 and metrics.x >= 0": lambda run: (
        run["tags"].get("t") == "a" and run["params"].get("p") in (1, 2.5, "10") and run["metrics"].get("x", NAN) >= 0
    ),
    "tags.t is not null and name = 'run 3'": lambda run: bool(run["tags"]) and run["name"] == "run 3",
    "started_at >= '2013-01-01T00:00:10Z'": lambda run: run["started_at"] >= AT + timedelta(seconds=10),
}
ORDERS = [
    "", "metrics.x", "metrics.x desc", "metrics.x desc, metrics.y", "params.p", "params.p desc", "tags.t", "tags.t desc, name",
    "name desc", "started_at", "metrics.gone desc", "ended_at, metrics.y desc",
]  # fmt: skip


def sorted_by(order: str, found: list[dict[str, Any]]) -> list[str]:
    """Ids in an order, the slow way: by one term after the other, from the last, each time keeping what was equal."""
    found = sorted(found, key=lambda run: run["id"])
    found = sorted(found, key=lambda run: run["started_at"], reverse=True)
    for clause in reversed([clause.strip() for clause in order.split(",") if clause]):
        field, _, direction = clause.partition(" ")
        found = sorted(found, key=lambda run: value_of(run, field), reverse=direction == "desc")
        found = sorted(found, key=lambda run: rank_of(run, field))
    return [run["id"] for run in found]


def value_of(run: dict[str, Any], field: str) -> Any:
    kind, dot, key = field.partition(".")
    if not dot:
        return run["started_at"] if field == "started_at" else run["name"] if field == "name" else 0
    value = run[kind].get(key)
    if kind == "metrics":
        return 0.0 if value is None or value != value else value
    if kind == "params":
        number = number_of(value)
        shown = "" if key not in run[kind] else value if isinstance(value, str) else json.dumps(value)
        return (number, "") if number is not None else (0.0, shown[:200])  # a longer text is sorted by its beginning
    return value or ""


def rank_of(run: dict[str, Any], field: str) -> int:
    kind, dot, key = field.partition(".")
    if not dot:
        return 0
    if key not in run[kind]:
        return 2
    value = run[kind][key]
    return int(number_of(value) is None if kind == "params" else kind == "metrics" and value != value)


def number_of(value: Any) -> float | None:
    try:
        return None if isinstance(value, bool) or value is None else float(value)
    except ValueError:
        return None


@pytest.mark.parametrize(("few", "many_", "near"), [(-1, -1, 0), (-1, 100, 20), (100, 100, 0)])
@pytest.mark.parametrize("order", ORDERS)
def test_every_search_is_the_slow_search_page_by_page(
    many: tuple[Store, list[dict[str, Any]]],
    order: str,
    few: int,
    many_: int,
    near: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Walked to the end, walked a little and then gathered if need be, or gathered at once."""
    monkeypatch.setattr(tables, "FEW", few)
    monkeypatch.setattr(tables, "MANY", many_)
    monkeypatch.setattr(tables, "NEAR", near)
    store, known = many
    for text, holds in FILTERS.items():
        for experiment, deleted in (("a", False), (None, None)):
            found, place = [], None
            while True:
                with store.view() as view:
                    page = pages.find(
                        view, experiment=experiment, filter=text, order_by=order, deleted=deleted, after=place, limit=7
                    )
                found += [run.id for run in page.runs]
                place = page.next
                if place is None:
                    break
            wanted = [
                run
                for run in known
                if holds(run) and experiment in (None, run["experiment"]) and deleted in (None, run["deleted"])
            ]
            assert found == sorted_by(order, wanted), (text, experiment, deleted)


def test_the_token_of_another_order_is_refused(store: Store, four: list[str]) -> None:
    with store.view() as view:
        place = pages.find(view, order_by="metrics.auc", limit=1).next

    with pytest.raises(Invalid, match="belongs to another search"), store.view() as view:
        pages.find(view, after=place)


@pytest.mark.parametrize("order", ["metrics.", "auc", "metrics.auc up", "metrics.auc,", "datasets.name", "x" * 5_000])
def test_an_order_that_cannot_be_read_is_refused(store: Store, order: str) -> None:
    with pytest.raises(Invalid, match="the order"), store.view() as view:
        pages.find(view, order_by=order)
