# SPDX-License-Identifier: Apache-2.0
"""Spans as they come: late, twice, out of order; and the trace that is drawn from them."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from mainstay.domain.errors import Invalid, NotFound, TooLarge
from mainstay.domain.traces import MOST_SPANS, Clues, Span
from mainstay.lifecycle.tracking import experiments
from mainstay.lifecycle.tracking.traces import spans, stories
from mainstay.store import Store

TRACE = "tr-" + "0" * 31 + "1"
MS = 1_000_000
AT = 1_700_000_000_000 * MS


def span(identity: str, parent: str | None = None, *, at: int = 0, took: int | None = 10, **facts: Any) -> Span:
    return Span(
        **{
            "trace": TRACE,
            "id": identity * 16,
            "parent": parent and parent * 16,
            "name": f"step {identity}",
            "started_ns": AT + at * MS,
            "ended_ns": None if took is None else AT + (at + took) * MS,
        }
        | facts
    )


@pytest.fixture
def home(store: Store) -> Store:
    """A store whose experiment 0 is there."""
    with store.change(actor="ana") as change:
        experiments.ensure_default(change)
    return store


def put(store: Store, *new: Span) -> None:
    with store.ingest() as ingest:
        spans.put(ingest, 0, new)


def drawn(store: Store) -> dict[str, Any]:
    with store.view() as view:
        trace = stories.get(view, TRACE)
        names = [node.span.name for node in spans.tree(spans.of(view, TRACE))]
        return {
            "state": trace.state,
            "at": int(trace.requested_at.timestamp() * 1000) * MS - AT,
            "took": trace.duration_ms,
            "name": trace.name,
            "request": trace.request_preview,
            "usage": trace.usage,
            "tags": dict(trace.tags),
            "session": trace.session,
            "tree": names,
        }


WHOLE = (
    span("a", at=0, took=100, inputs_in="in", attributes={"in": {"q": "x"}}, clues=Clues(tags={"team": "ops"})),
    span("b", "a", at=10, took=50, usage={"input_tokens": 3}),
    span("c", "b", at=20, took=30, usage={"input_tokens": 2}),
    span("d", "a", at=5, took=2, usage={"input_tokens": 4}, clues=Clues(session="s1")),
)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_order_in_which_spans_come_does_not_matter(home: Store, order: tuple[int, ...]) -> None:
    for n in order:
        put(home, WHOLE[n])

    assert drawn(home) == {
        "state": "ok",
        "at": 0,
        "took": 100,
        "name": "step a",
        "request": '{"q": "x"}',
        "usage": {"input_tokens": 7},
        "tags": {"team": "ops"},
        "session": "s1",
        "tree": ["step a", "step d", "step b", "step c"],
    }


def test_a_span_that_comes_twice_stands_once(home: Store) -> None:
    put(home, *WHOLE)
    before = drawn(home)
    put(home, *WHOLE, WHOLE[2])

    assert drawn(home) == before


def test_a_span_that_has_ended_is_not_opened_again(home: Store) -> None:
    put(home, span("a", took=None))
    assert (drawn(home)["state"], drawn(home)["took"]) == ("in_progress", None)

    put(home, span("a", state="error", message="no key"))
    put(home, span("a", took=None))
    put(home, span("a", took=None), span("b", "a"))

    with home.view() as view:
        assert [(each.state, each.message) for each in spans.of(view, TRACE)] == [("error", "no key"), ("unset", None)]
        assert stories.get(view, TRACE).state == "error"


def test_children_without_their_root_are_a_trace_that_goes_on(home: Store) -> None:
    put(home, span("c", "b", at=3), span("b", "a", at=1))

    assert (drawn(home)["state"], drawn(home)["tree"]) == ("in_progress", ["step b", "step c"])


def test_spans_that_are_each_others_parents_end(home: Store) -> None:
    put(home, span("a", "b", usage={"n": 1}), span("b", "a", usage={"n": 1}), span("c", usage={"n": 2}))

    assert drawn(home)["tree"] == ["step c"]


def test_attributes_come_back_as_they_were(home: Store) -> None:
    attributes = {
        "text": "ü\n",
        "json text": "[1]",
        "n": 3,
        "real": 0.5,
        "yes": True,
        "none": None,
        "deep": {"b": [1, {"a": {}}]},
    }
    put(home, span("a", attributes=attributes, details={"events": [{"name": "e", "at": 1}]}))

    with home.view() as view:
        [found] = spans.of(view, TRACE)
    assert (found.attributes, found.details) == (attributes, {"events": [{"name": "e", "at": 1}]})
    assert list(found.attributes["deep"]["b"][1]) == ["a"]


def test_spans_of_many_traces_may_come_at_once(home: Store) -> None:
    put(home, span("a"), span("a", trace="tr-2", started_ns=AT + 5 * MS))

    with home.view() as view:
        assert [trace.id for trace in stories.of_ids(view, ["tr-2", "none", TRACE])] == ["tr-2", TRACE]


def test_what_cannot_be_kept_is_refused_whole(home: Store) -> None:
    with pytest.raises(Invalid, match="trace id"):
        put(home, span("a"), span("b", trace="../etc"))
    with pytest.raises(Invalid, match="64 bits"):
        span("a", started_ns=1 << 63)
    with pytest.raises(TooLarge, match="spans"):
        put(home, *[span("a")] * (MOST_SPANS + 1))
    with pytest.raises(NotFound, match="no experiment"), home.ingest() as ingest:
        spans.put(ingest, 99, [span("a")])

    with pytest.raises(NotFound), home.view() as view:
        stories.get(view, TRACE)


def test_a_deep_trace_is_drawn_without_recursion(home: Store) -> None:
    chain = [replace(span("a", at=n), id=f"{n:016x}", parent=f"{n - 1:016x}" if n else None) for n in range(3_000)]

    assert [node.depth for node in spans.tree(chain)] == list(range(3_000))
