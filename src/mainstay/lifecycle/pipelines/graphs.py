# SPDX-License-Identifier: Apache-2.0
"""Graphs: a pipeline's run as nodes and edges, for whoever draws it, also while it goes on.

In: what the run means to do (its outline), what is under way, and the steps on record. Out: each node once, in the
order of work, with its newest state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from mainstay.domain.errors import Invalid, NotFound
from mainstay.domain.pipelines import Graph, GraphEdge, GraphNode, Step
from mainstay.lifecycle.data import snapshots
from mainstay.lifecycle.pipelines import leases, tables
from mainstay.lifecycle.tracking import runs
from mainstay.store import View

_VERBS = ("snapshot", "register")
EXISTING = "existing"  # a snapshot that is only read: there is nothing to wait for


def of(view: View, run_id: str) -> Graph:
    """The graph of one run.

    Raises:
        NotFound: no such run. Invalid: it is not that of a pipeline.
    """
    run = runs.get(view, run_id)
    if run.kind != "pipeline":
        raise Invalid(f"run {run_id} is a {run.kind} and has no graph; the run of a pipeline has one.")
    lease = leases.find(view, run_id)
    steps = {step.name: step for step in tables.steps_of(view, run_id)}  # of two with one name, the newer one
    planned = {str(each["name"]): each for each in (lease.outline if lease else ())}
    under_way = set(lease.running) if lease and run.state == "running" else set()
    planned = {name: each for name, each in planned.items() if not _has_grown(each, steps)}
    names = [*planned, *(name for name in steps if name not in planned)]
    there = {name: _rows_of(view, name) for name, each in planned.items() if each["kind"] == EXISTING}
    return Graph(
        run_id=run_id,
        pipeline=run.name,
        state=run.state,
        executor=lease.executor if lease else None,
        nodes=tuple(
            GraphNode(name=name, kind=EXISTING, state="succeeded", rows=there[name])
            if name in there
            else _node(name, planned.get(name), steps.get(name), name in under_way)
            for name in names
        ),
        edges=tuple(_edges(names, planned, steps, there)),
    )


def _has_grown(planned: Mapping[str, Any], steps: Mapping[str, Step]) -> bool:
    """Whether a map's calls are on record: then they are drawn, and the map is not."""
    lead = f"{str(planned['name']).removesuffix(' (map)')} ["
    return planned["kind"] == "map" and any(name.startswith(lead) for name in steps)


def _node(name: str, planned: Mapping[str, Any] | None, step: Step | None, is_under_way: bool) -> GraphNode:
    kind = str(planned["kind"]) if planned else _kind_of(name)
    # A step that failed before the run was resumed is under way again.
    if step is None or (is_under_way and step.state == "failed"):
        return GraphNode(name=name, kind=kind, state="running" if is_under_way else "waiting")
    return GraphNode(
        name=name,
        kind=kind,
        state=step.state,
        run_id=step.run_id,
        why=step.why,
        hit_of=step.hit_of,
        key=step.key,
        started_at=step.at - timedelta(seconds=step.seconds),
        seconds=step.seconds,
        error=step.error,
        rows=_rows(step),
        outputs=step.outputs,
    )


def _edges(
    names: Sequence[str], planned: Mapping[str, Any], steps: Mapping[str, Step], there: Mapping[str, int | None]
) -> list[GraphEdge]:
    found = []
    for name in names:
        step = steps.get(name)
        sources = step.upstream if step else planned[name].get("upstream", ())
        for source in sources:
            rows = there[source] if source in there else _passed(steps.get(source), step)
            found.append(GraphEdge(source=source, target=name, rows=rows))
    return found


def _passed(maker: Step | None, taker: Step | None) -> int | None:
    """Rows of what went from one to the other: of several results, the one that the other was given."""
    if maker is None:
        return None
    given = {ref for each in taker.inputs for ref in (each.digest, each.ref)} if taker else set()
    tables = [each for each in maker.outputs if each.rows is not None]
    passed = [each.rows for each in tables if each.digest in given or each.name in given]
    if passed:
        return passed[0]
    return tables[0].rows if len(tables) == 1 else None


def _rows_of(view: View, snapshot: str) -> int | None:
    try:
        return snapshots.named(view, snapshot).rows
    except (NotFound, Invalid):
        return None


def _rows(step: Step) -> int | None:
    return next((each.rows for each in step.outputs if each.rows is not None), None)


def _kind_of(name: str) -> str:
    verb = name.partition(" ")[0]
    return verb if verb in _VERBS else "step"
