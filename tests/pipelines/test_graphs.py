# SPDX-License-Identifier: Apache-2.0
"""A run as nodes and edges: what it means to do, what is under way, what is on record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from mainstay.domain.digests import digest_of
from mainstay.domain.errors import Invalid
from mainstay.domain.pipelines import Input, Step
from mainstay.lifecycle.pipelines import graphs, leases
from mainstay.store import Store

OUTLINE = [
    {"name": "load", "kind": "step", "upstream": []},
    {"name": "features", "kind": "step", "upstream": ["load"]},
    {"name": "fit (map)", "kind": "map", "upstream": ["features"]},
]


def test_a_run_under_way_shows_what_waits_runs_and_is_done(store: Store, begin: Callable[..., str], commit) -> None:
    run = begin(lease={"worker": "w", "seconds": 30.0, "executor": "processes", "params": {}})
    with store.ingest() as ingest:
        leases.renew(ingest, run, worker="w", seconds=30, running=["features"], outline=OUTLINE)
    commit(pipeline_run=run, name="load")

    with store.view() as view:
        graph = graphs.of(view, run)

    assert [(node.name, node.kind, node.state) for node in graph.nodes] == [
        ("load", "step", "succeeded"),
        ("features", "step", "running"),
        ("fit (map)", "map", "waiting"),
    ]
    assert [(edge.source, edge.target, edge.rows) for edge in graph.edges] == [
        ("load", "features", 2),
        ("features", "fit (map)", None),
    ]
    assert (graph.state, graph.executor, graph.nodes[0].seconds) == ("running", "processes", 1.5)


def test_the_calls_of_a_map_are_drawn_in_its_place(store: Store, begin: Callable[..., str], commit) -> None:
    run = begin(lease={"worker": "w", "seconds": 30.0, "executor": "inline", "params": {}, "outline": OUTLINE})
    for name in ("load", "features", "fit [0]", "fit [1]"):
        commit(pipeline_run=run, name=name, upstream=["features"] if name.startswith("fit") else [])

    with store.view() as view:
        names = [node.name for node in graphs.of(view, run).nodes]

    assert names == ["load", "features", "fit [0]", "fit [1]"]


def test_a_step_that_was_tried_again_after_a_resume_is_one_node(store: Store, run: str, commit) -> None:
    commit(state="failed", error="bad", outputs=[], cacheable=False)
    made: Step = commit()

    with store.view() as view:
        (node,) = graphs.of(view, run).nodes

    assert (node.state, node.run_id, node.error) == ("succeeded", made.run_id, None)


def test_a_snapshot_that_is_only_read_is_there_with_its_rows(store: Store, begin: Callable[..., str], commit) -> None:
    outline = [
        {"name": "flights@1", "kind": "existing", "upstream": []},
        {"name": "features", "kind": "step", "upstream": ["flights@1"]},
    ]
    run = begin(lease={"worker": "w", "seconds": 30.0, "executor": "inline", "params": {}, "outline": outline})

    with store.view() as view:
        graph = graphs.of(view, run)

    assert [(node.name, node.state, node.rows) for node in graph.nodes] == [
        ("flights@1", "succeeded", 2),
        ("features", "waiting", None),
    ]
    assert [edge.rows for edge in graph.edges] == [2]


def test_an_edge_shows_the_rows_of_the_result_that_passes(store: Store, run: str, commit, output) -> None:
    train, test = replace(output(b"train", "train"), rows=8), replace(output(b"test", "test"), rows=3)
    commit(name="split", outputs=[train, test])
    given = Input(kind="artifact", ref=test.digest, name="table", digest=test.digest)
    commit(name="judge", key=digest_of("judge"), upstream=["split"], inputs=[given], outputs=[])
    commit(name="both", key=digest_of("both"), upstream=["split"], outputs=[])

    with store.view() as view:
        edges = graphs.of(view, run).edges

    assert [(edge.target, edge.rows) for edge in edges] == [("judge", 3), ("both", None)]


def test_a_step_s_own_run_has_no_graph(store: Store, commit) -> None:
    made = commit()

    with store.view() as view, pytest.raises(Invalid, match="has no graph"):
        graphs.of(view, made.run_id)
