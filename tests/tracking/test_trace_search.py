# SPDX-License-Identifier: Apache-2.0
"""Traces told, assessed, linked, found and deleted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mainstay.domain.errors import Conflict, Invalid, NotFound
from mainstay.domain.search import Order
from mainstay.domain.traces import Assessment, Span, Trace
from mainstay.lifecycle.tracking import experiments, runs
from mainstay.lifecycle.tracking.traces import assessments, filters, search, spans, stories
from mainstay.store import Store

AT = datetime(2024, 1, 1, tzinfo=UTC)
AT_MS = int(AT.timestamp() * 1000)


def told(n: int, **facts: Any) -> Trace:
    return Trace(
        **{
            "id": f"tr-{n}",
            "experiment": 0,
            "name": f"ask {n}",
            "state": "error" if n == 3 else "ok",
            "requested_at": AT + timedelta(seconds=n),
            "duration_ms": 100 * n if n else None,
            "session": "s1" if n < 2 else None,
            "tags": {"team": "a" if n % 2 else "B", **({"late": "1"} if n == 2 else {})},
            "metadata": {"mlflow.x": f"v{n}"},
        }
        | facts
    )


def opinion(trace: str, name: str, value: Any, kind: str = "feedback", **facts: Any) -> Assessment:
    who = {"source_kind": "HUMAN", "source": "ana", "created_at": AT, "updated_at": AT}
    return Assessment(
        **{"id": f"a-{trace}-{name}", "trace": trace, "name": name, "kind": kind, "value": value} | who | facts
    )


@pytest.fixture
def run(store: Store) -> str:
    with store.change(actor="ana") as change:
        experiments.ensure_default(change)
        experiments.create(change, name="other")
        return runs.start(change, name="evaluate").id


@pytest.fixture
def four(store: Store, run: str) -> Store:
    """Traces 0 to 3: of team B, a, B, a; the last one failed; spans in 1 and 2; opinions on 0, 1 and 3."""
    with store.ingest() as ingest:
        for n in range(4):
            stories.tell(ingest, told(n, run=run if n == 3 else None))
        for n in (1, 2):
            facts = {"kind": "LLM" if n == 1 else "TOOL", "attributes": {"model": f"gpt-{n}", "in": {"q": "Ünter"}}}
            began = (AT_MS + n * 1000) * 1_000_000
            spans.put(
                ingest,
                0,
                [
                    Span(trace=f"tr-{n}", id="a" * 16, name="root", started_ns=began, ended_ns=began + 1),
                    Span(
                        trace=f"tr-{n}",
                        id="b" * 16,
                        name="call",
                        started_ns=began,
                        parent="a" * 16,
                        state="error",
                        **facts,
                    ),
                ],
            )
        stories.link_run(ingest, run, ["tr-0", "gone"])
        stories.link_prompts(ingest, "tr-2", ["greeting/2"])
        assessments.give(ingest, opinion("tr-0", "good", True))
        assessments.give(ingest, opinion("tr-1", "good", "yes"))
        assessments.give(ingest, opinion("tr-3", "score", 0.25))
        assessments.give(ingest, opinion("tr-3", "want", {"b": 1, "a": 2}, "expectation"))
        assessments.give(ingest, opinion("tr-1", "issue-9", "slow", "issue"))
    return store


def by(key: str, descending: bool = False, kind: str = filters.ATTRIBUTE) -> Order:
    return Order(kind, key, descending)


def found(store: Store, filter: str = "", order: Sequence[Order] = (), **wanted: Any) -> list[int]:
    with store.view() as view:
        traces = search.find(view, filter=filters.parse(filter), order=order, **wanted)
    return [int(trace.id[3:]) for trace in traces]


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ("", [3, 2, 1, 0]),
        ("state = 'error'", [3]),
        ("state != 'error' AND name LIKE 'ask%'", [2, 1, 0]),
        ("state IN ('error', 'in_progress')", [3]),
        ("id NOT IN ('tr-1','tr-2')", [3, 0]),
        ("name like 'ASK%'", []),
        ("name ilike 'ASK%'", [3, 2, 1, 0]),
        ("name RLIKE '^ask [12]$'", [2, 1]),
        (f"at > {AT_MS + 1000}", [3, 2]),
        (f"at <= {AT_MS + 1000} and at >= {AT_MS + 1000}.0", [1]),
        ("duration_ms >= 200", [3, 2]),
        (f"end = {AT_MS + 1100}", [1]),
        (f"end = {AT_MS}", [0]),
        ("at < 1e300", [3, 2, 1, 0]),
        ("at < -1e300", []),
        ("tags.team = 'a'", [3, 1]),
        ("tags.`team` != 'a'", [2, 0]),
        ("tags.late IS NULL", [3, 1, 0]),
        ('tags."late" is  not null', [2]),
        ("metadata.mlflow.x = 'v2'", [2]),
        ("metadata.`mlflow.x` LIKE 'v_' and tags.team='a'and duration_ms<250", [1]),
        ("session = 's1'", [1, 0]),
        ("session is null", [3, 2]),
        ("prompt = 'greeting/2'", [2]),
        ("span.name = 'call'", [2, 1]),
        ("span.name = 'root' and span.kind = 'LLM'", []),
        ("span.name = 'call' and span.kind = 'LLM'", [1]),
        ("span.state = 'error' and span.kind IN ('TOOL')", [2]),
        ("span.attributes.model = 'gpt-1'", [1]),
        ("span.attributes.model LIKE 'gpt%'", [2, 1]),
        ("span.attributes.model RLIKE 'gpt-[2-9]'", [2]),
        ("span.attributes.gone LIKE '%'", []),
        ("span.content LIKE '%Ünt%'", [2, 1]),
        ("text LIKE '%gpt-2%'", [2]),
        ("text LIKE '%GPT-2%'", []),
        ("text ILIKE '%GPT-2%'", [2]),
        # Trace 1 is of the session whose trace 0 … only what is said of the whole session covers both.
        ("feedback.good = 'true'", [0]),
        ("feedback.good = 'yes'", [1]),
        ("feedback.good != 'yes'", [0]),
        ("feedback.good is not null", [1, 0]),
        ("feedback.good is null", [3, 2]),
        ("feedback.score < 0.5", [3]),
        ("feedback.score = 0.25", [3]),
        ("feedback.score > 1", []),
        ("expectation.want LIKE '%\"b\": 1%'", [3]),
        ("issue.id = 'issue-9'", [1]),
    ],
)
def test_a_search_finds_exactly_what_it_says(four: Store, filter: str, expected: list[int]) -> None:
    assert found(four, filter) == expected


def test_a_run_has_the_traces_that_it_made_and_those_that_were_linked_to_it(four: Store, run: str) -> None:
    assert found(four, f"run = '{run}'") == [3, 0]
    with four.view() as view:
        assert stories.links(view, "tr-0") == {"run": [run], "prompt": []}


@pytest.mark.parametrize(
    "filter",
    [
        "state",
        "state = ",
        "state > 'ok'",
        "state = 3",
        "colour = 'red'",
        "tags = 'a'",
        "metrics.auc > 1",
        "at = 'noon'",
        "span.colour = 'red'",
        "span.content = 'x'",
        "span.attributes. = 'x'",
        "issue.name = 'x'",
        "feedback.good < 'yes'",
        "prompt = 'greeting'",
        "prompt LIKE 'g%'",
        "state = 'ok' or state = 'error'",
        "state = 'ok' and",
        "state = ('ok')",
        "state IN 'ok'",
        "name RLIKE '('",
        "name RLIKE '((a{999}){999}){999}'",
        "name RLIKE '" + "a" * 501 + "'",
        "name = 'unfinished",
        "state = 'ok'; drop table traces",
        "x" * 9_000,
    ],
)
def test_a_filter_that_cannot_be_answered_is_refused(four: Store, filter: str) -> None:
    with pytest.raises(Invalid):
        found(four, filter)


@pytest.mark.parametrize(
    "filter", ["a" * 7_999, "a." * 3_999, "'" * 7_999, "`" * 7_999, "tags." + "`a`" * 2_000, "x in (" + "'a'," * 1_900]
)
def test_a_filter_costs_no_more_than_its_length(filter: str) -> None:
    # Process time of this thread only, and a limit that a pattern which goes back and forth misses by years.
    began = time.thread_time()
    with pytest.raises(Invalid):
        filters.parse(filter)
    assert time.thread_time() - began < 5


def test_a_pattern_from_a_stranger_ends(four: Store) -> None:
    with four.ingest() as ingest:
        stories.tell(ingest, told(9, tags={"long": "a" * 8_000}))

    assert found(four, "tags.long RLIKE '(a+)+$b'") == []
    assert found(four, "tags.long RLIKE '^(a|a)*$'") == [9]


def test_what_is_said_of_a_session_stands_for_its_traces(four: Store) -> None:
    with four.ingest() as ingest:
        assessments.give(ingest, opinion("tr-1", "calm", True), session="s1")

    assert found(four, "feedback.calm = 'true'") == [1, 0]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ([by("duration_ms", True)], [3, 2, 1, 0]),
        ([by("duration_ms")], [1, 2, 3, 0]),
        ([by("state", True), by("at")], [0, 1, 2, 3]),
        ([by("late", True, "tags")], [2, 3, 1, 0]),
        ([by("team", False, "tags"), by("id")], [0, 2, 1, 3]),
        ([by("session"), by("end", True)], [1, 0, 3, 2]),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 10])
def test_pages_in_any_order_are_neither_gapped_nor_repeated(
    four: Store, order: list[Order], expected: list[int], size: int
) -> None:
    seen: list[int] = []
    while len(seen) <= 4 and (page := found(four, order=order, limit=size, after=f"tr-{seen[-1]}" if seen else None)):
        seen += page

    assert seen == expected


def test_a_page_behind_a_trace_that_is_gone_is_refused(four: Store) -> None:
    with pytest.raises(Invalid, match="which is gone"):
        found(four, after="tr-none")
    with pytest.raises(Invalid, match="ordered by"):
        found(four, order=[by("colour")])


def test_experiments_are_kept_apart(four: Store) -> None:
    with four.ingest() as ingest:
        stories.tell(ingest, told(7, experiment=1))

    assert (found(four, experiments=[1]), found(four, experiments=[]), found(four, experiments=[0, 1])) == (
        [7], [], [7, 3, 2, 1, 0],
    )  # fmt: skip


def test_what_is_told_has_precedence_over_what_spans_say_whichever_comes_first(store: Store, run: str) -> None:
    span = Span(trace="tr-5", id="a" * 16, name="root", started_ns=AT_MS * 1_000_000, ended_ns=AT_MS * 1_000_000 + 1)

    def tell(ingest: Any) -> None:
        stories.tell(ingest, told(5, duration_ms=77, name=None))

    results = []
    for acts in ([tell, None], [None, tell], [tell, None, tell]):
        with store.ingest() as ingest:
            for act in acts:
                act(ingest) if act else spans.put(ingest, 0, [span])
            results.append(stories.get(ingest, "tr-5"))
            stories.remove(ingest, 0, ["tr-5"])

    assert results[0] == results[1] == results[2]
    assert (results[0].duration_ms, results[0].name, results[0].requested_at) == (77, "root", AT + timedelta(seconds=5))


def test_an_override_makes_the_former_invalid_and_its_deletion_makes_it_valid_again(four: Store) -> None:
    with four.ingest() as ingest:
        assessments.give(ingest, opinion("tr-0", "good", False, id="a-2", overrides="a-tr-0-good"))
        assert [each.is_valid for each in assessments.of_traces(ingest, ["tr-0"])["tr-0"]] == [True, False]
    assert (found(four, "feedback.good = 'true'"), found(four, "feedback.good = 'false'")) == ([], [0])

    with four.ingest() as ingest:
        assessments.remove(ingest, "tr-0", "a-2")
        assessments.remove(ingest, "tr-0", "a-2")
    assert found(four, "feedback.good = 'true'") == [0]


def test_an_assessment_is_changed_where_it_is_said_otherwise(four: Store) -> None:
    with four.ingest() as ingest:
        after = assessments.change(ingest, "tr-3", "a-tr-3-score", rationale="better", metadata={"k": "v"}, value=0.75)
        assert assessments.get(ingest, "tr-3", "a-tr-3-score") == after

    assert (after.value, after.rationale, after.metadata, after.name) == (0.75, "better", {"k": "v"}, "score")
    assert after.updated_at != after.created_at == AT
    assert found(four, "feedback.score > 0.5") == [3]


def test_assessments_of_nothing_are_refused(four: Store) -> None:
    wrong: list[tuple[type[Exception], Assessment]] = [
        (NotFound, opinion("tr-none", "good", True)),
        (NotFound, opinion("tr-0", "better", True, overrides="a-none")),
        (NotFound, opinion("tr-1", "better", True, overrides="a-tr-0-good")),  # another trace's
        (Conflict, opinion("tr-0", "good", True)),
        (Invalid, opinion("tr-0", "x", True, "guess")),
        (Invalid, opinion("tr-0", " ", True)),
    ]
    for error, new in wrong:
        with pytest.raises(error), four.ingest() as ingest:
            assessments.give(ingest, new)
    with pytest.raises(NotFound), four.view() as view:
        assessments.get(view, "tr-0", "a-none")


def test_an_experiment_that_is_put_away_takes_no_traces(four: Store) -> None:
    with four.change(actor="ana") as change:
        experiments.delete(change, 1)
    span = Span(trace="tr-8", id="a" * 16, name="root", started_ns=AT_MS * 1_000_000)

    for act in (
        lambda ingest: stories.tell(ingest, told(8, experiment=1)),
        lambda ingest: spans.put(ingest, 1, [span]),
    ):
        with pytest.raises(Invalid, match="deleted"), four.ingest() as ingest:
            act(ingest)


def test_tags_are_set_and_taken_away(four: Store) -> None:
    with four.ingest() as ingest:
        stories.tag(ingest, "tr-0", {"team": "c", "new": "1"})
        stories.untag(ingest, "tr-0", "new")
        stories.rename(ingest, "tr-0", "other")

        assert (dict(stories.get(ingest, "tr-0").tags), stories.get(ingest, "tr-0").name) == ({"team": "c"}, "other")
        for act in (lambda: stories.tag(ingest, "no", {"a": "b"}), lambda: stories.untag(ingest, "tr-0", "new")):
            with pytest.raises(NotFound):
                act()


def test_deleting_takes_everything_of_a_trace_and_nothing_of_others(four: Store) -> None:
    with four.ingest() as ingest:
        assert stories.remove(ingest, 1, ["tr-1"]) == 0  # of another experiment
        assert stories.remove(ingest, 0, ["tr-1", "tr-none"]) == 1
        assert spans.of(ingest, "tr-1") == []
        assert len(spans.of(ingest, "tr-2")) == 2
        assert stories.remove_until(ingest, 0, AT + timedelta(seconds=2), most=1) == 1
    assert found(four) == [3, 2]
    with four.ingest() as ingest:
        assert stories.remove_until(ingest, 0, AT + timedelta(days=1)) == 2
