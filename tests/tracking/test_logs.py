# SPDX-License-Identifier: Apache-2.0
"""What a run says while it runs."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainstay.domain.errors import Conflict, Invalid, MainstayError, NotFound, TooLarge
from mainstay.domain.tracking import Artifact, Point
from mainstay.lifecycle.tracking import logs, runs
from mainstay.store import Store

AT = datetime(2013, 1, 1, tzinfo=UTC)


def log(store: Store, run: str, **what: Any) -> None:
    with store.ingest() as ingest:
        logs.log(ingest, run, **what)


def logged(store: Store, run: str) -> logs.Logged:
    with store.view() as view:
        return logs.of(view, run)


def test_a_parameter_said_again_is_fine_and_said_otherwise_is_not(store: Store, run: str) -> None:
    log(store, run, params={"depth": 6, "rate": 0.1, "on": True, "name": "x", "none": None, "list": [1, 2]})
    log(store, run, params={"depth": 6, "none": None, "list": [1, 2], "more": 1})

    for params in ({"depth": 7}, {"depth": "6"}, {"on": 1}, {"none": 0}, {"list": [2, 1]}, {"new": 1, "rate": 0.2}):
        with pytest.raises(Conflict, match="and cannot have"):
            log(store, run, params=params)

    kept = {"depth": 6, "rate": 0.1, "on": True, "name": "x", "none": None, "list": [1, 2], "more": 1}
    assert logged(store, run).params == kept


def test_a_tag_takes_the_newer_value(store: Store, run: str) -> None:
    log(store, run, tags={"a": "1", "b": "2"})
    log(store, run, tags={"a": "3"})

    assert logged(store, run).tags == {"a": "3", "b": "2"}


# Few values, so that ties happen.
points = st.lists(
    st.builds(
        Point,
        key=st.sampled_from(["auc", "loss"]),
        value=st.sampled_from([-1.0, 0.0, 0.5, 1e300]),
        step=st.integers(-1, 2),
        at=st.sampled_from([AT, AT + timedelta(microseconds=1)]),
    ),
    max_size=12,
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(points, max_size=3))
def test_the_latest_is_the_greatest_by_step_time_and_value_and_history_is_a_set(
    store: Store, batches: list[list[Point]]
) -> None:
    with store.change(actor="ana") as change:
        run = runs.start(change, name="train").id
    for batch in batches:
        log(store, run, metrics=batch)

    everything = {(p.key, p.step, p.at, p.value) for batch in batches for p in batch}
    for key in ("auc", "loss"):
        mine = sorted((step, at, value) for k, step, at, value in everything if k == key)
        with store.view() as view:
            history = [(p.step, p.at, p.value) for p in logs.history(view, run, key)]
        assert history == mine
        assert logged(store, run).metrics.get(key) == (mine[-1][2] if mine else None)


def test_history_pages_without_gap_or_repetition(store: Store, run: str) -> None:
    sent = [Point(key="loss", value=float(n % 3), step=n // 4, at=AT) for n in range(23)]
    log(store, run, metrics=sent)

    found: list[Point] = []
    place = None
    while True:
        with store.view() as view:
            page = logs.history(view, run, "loss", after=place, limit=4)
        found += page
        if len(page) < 4:
            break
        place = (page[-1].step, page[-1].at, page[-1].value)

    with store.view() as view:
        assert found == logs.history(view, run, "loss")


def test_what_is_not_finite_is_kept_as_it_is(store: Store, run: str) -> None:
    values = [0.5, math.nan, math.inf, -math.inf]
    log(store, run, metrics=[Point(key="loss", value=value, step=n, at=AT) for n, value in enumerate(values)])
    log(store, run, metrics=[Point(key="nan", value=math.nan, at=AT)] * 2)

    with store.view() as view:
        history = [point.value for point in logs.history(view, run, "loss")]
        repeated = logs.history(view, run, "nan")
    assert [repr(value) for value in history] == [repr(value) for value in values]
    assert len(repeated) == 1
    assert logged(store, run).metrics["loss"] == -math.inf
    assert math.isnan(logged(store, run).metrics["nan"])


def test_among_equal_times_a_number_is_later_than_none(store: Store, run: str) -> None:
    log(store, run, metrics=[Point(key="loss", value=-1.0, at=AT), Point(key="loss", value=math.nan, at=AT)])
    log(store, run, metrics=[Point(key="loss", value=math.nan, at=AT)])

    assert logged(store, run).metrics == {"loss": -1.0}


@pytest.mark.parametrize(
    "what",
    [
        {"params": {"a": math.nan}},
        {"params": {"": 1}},
        {"params": {"a//b": 1}},
        {"params": {"a/../b": 1}},
        {"params": {"a\nb": 1}},
        {"params": {"x" * 251: 1}},
        {"params": {"a": "x" * 6_001}},
        {"params": {f"p{n}": n for n in range(101)}},
        {"tags": {"a": "x" * 8_001}},
        {"tags": {f"t{n}": "" for n in range(101)}},
        {"metrics": [Point(key="a", value=1.0, step=2**63, at=AT)]},
        {"metrics": [Point(key="a;b", value=1.0, at=AT)]},
        {"metrics": [Point(key="a", value=1.0, at=AT)] * 1_001},
    ],
)
def test_what_breaks_a_limit_is_refused_whole(store: Store, run: str, what: dict[str, Any]) -> None:
    with pytest.raises((Invalid, TooLarge)):
        log(store, run, **({"tags": {"b": "c"}} | what))

    assert logged(store, run) == ({}, {}, {})


@pytest.mark.parametrize("key", ["a", "val/auc", "lr 0.1", "a.b-c_d:e", "größe"])
def test_ordinary_keys_are_usable(store: Store, run: str, key: str) -> None:
    log(store, run, params={key: 1}, metrics=[Point(key=key, value=1.0, at=AT)], tags={key: "x"})

    assert logged(store, run) == ({key: 1}, {key: 1.0}, {key: "x"})


def test_a_run_that_is_not_there_is_named(store: Store) -> None:
    for what in ({"params": {"a": 1}}, {"tags": {"a": "b"}}, {}):
        with pytest.raises(NotFound, match="there is no run"):
            log(store, "0" * 32, **what)
    with pytest.raises(NotFound), store.view() as view:
        logs.history(view, "0" * 32, "auc")


def test_an_artifact_names_bytes_that_are_here(store: Store, run: str) -> None:
    first, second = store.blobs.put(b"one")[0], store.blobs.put(b"two!")[0]

    def add(digest: str, size: int, path: str = "plots/roc.png") -> None:
        with store.ingest() as ingest:
            logs.add_artifact(ingest, run, Artifact(path=path, digest=digest, size=size, media_type="image/png"))

    add(first, 3)
    add(second, 4)
    with pytest.raises(NotFound, match="upload it first"):
        add("0" * 64, 3)
    with pytest.raises(Invalid, match="said to have 9 bytes; its blob has 3"):
        add(first, 9)
    for path in ("", "/etc/passwd", "../x", "a//b", "a\\b", "a/./b", "x" * 1_001, "a\x00b"):
        with pytest.raises(MainstayError):
            add(first, 3, path)

    with store.view() as view:
        assert [(artifact.path, artifact.digest) for artifact in logs.artifacts_of(view, run)] == [
            ("plots/roc.png", second)
        ]
