# SPDX-License-Identifier: Apache-2.0
"""Evaluation sets and scorers."""

from __future__ import annotations

import pytest

from mainstay.domain.errors import Invalid, NotFound
from mainstay.lifecycle.tracking import experiments
from mainstay.lifecycle.tracking.evaluation import scorers, sets
from mainstay.lifecycle.tracking.traces import filters
from mainstay.store import Store


@pytest.fixture
def home(store: Store) -> Store:
    """A store with experiments 0 and 1."""
    with store.change(actor="ana") as change:
        experiments.ensure_default(change)
        experiments.create(change, name="other")
    return store


def test_the_same_inputs_are_the_same_example(home: Store) -> None:
    with home.ingest() as ingest:
        made = sets.create(ingest, name="sums", experiments_of=[0], tags={"t": "1"}, by="ana")
        first = sets.merge(
            ingest,
            made.id,
            [
                {"inputs": {"b": 1, "a": 2}, "expectations": {"sum": 3}, "tags": {"x": "1"}},
                {"inputs": {"b": 5}, "outputs": "five"},
                {"inputs": {"a": 2, "b": 1}, "expectations": {"parity": "odd"}},
            ],
        )
        second = sets.merge(ingest, made.id, [{"inputs": {"b": 5}, "tags": {"y": "2"}, "by": "ben"}])

    assert (first, second) == ((2, 1), (0, 1))
    with home.view() as view:
        one, two = sets.examples(view, made.id)
        found = sets.get(view, made.id)
    assert (list(one.inputs), one.expectations, one.tags) == (["b", "a"], {"sum": 3, "parity": "odd"}, {"x": "1"})
    assert (two.outputs, two.tags, two.created_by, two.updated_by) == ("five", {"y": "2"}, None, "ben")
    assert (found.examples, found.tags, found.updated_by) == (2, {"t": "1"}, "ben")
    assert found.schema == {
        "inputs": {"b": "integer", "a": "integer"},
        "outputs": {},
        "expectations": {"sum": "integer", "parity": "string"},
    }


def test_examples_come_in_pages(home: Store) -> None:
    with home.ingest() as ingest:
        made = sets.create(ingest, name="many")
        sets.merge(ingest, made.id, [{"inputs": {"n": n}} for n in range(7)])
        seen: list[str] = []
        while len(seen) <= 7 and (page := sets.examples(ingest, made.id, after=seen[-1] if seen else None, limit=3)):
            seen += [example.id for example in page]

        assert len(seen) == len(set(seen)) == 7
        assert sets.remove_examples(ingest, made.id, [seen[0], "none"]) == 1
        with pytest.raises(NotFound):
            sets.examples(ingest, made.id, after=seen[0])


def test_sets_are_found_by_what_is_said_of_them(home: Store) -> None:
    with home.ingest() as ingest:
        a = sets.create(ingest, name="Alpha", experiments_of=[0], tags={"team": "x"}, by="ana").id
        b = sets.create(ingest, name="beta", experiments_of=[0, 1], by="ben").id

        def found(filter: str = "", **wanted: object) -> list[str]:
            return [each.id for each in sets.find(ingest, filter=filters.read(filter), **wanted)]  # type: ignore[arg-type]

        assert found() == [b, a]
        assert found(of_experiments=[1]) == [b]
        assert found("name = 'Alpha'") == found("name LIKE 'A%'") == found("name ILIKE 'alph%'") == [a]
        assert found("name LIKE 'a%'") == []
        assert found("name IN ('Alpha', 'beta') and created_by = 'ben'") == [b]
        assert found("tags.team = 'x'") == [a]
        assert found("created_at > 0") == [b, a]
        assert found(order=[("name", True)], offset=1, limit=1) == [b]
        for wrong in ("colour = 'x'", "name > 'a'", "created_at = 'x'", "span.name = 'x'", "created_by IN ('a')"):
            with pytest.raises(Invalid):
                found(wrong)
        with pytest.raises(Invalid):
            found(order=[("colour", True)])


def test_a_set_belongs_to_experiments_and_goes_with_all_it_has(home: Store) -> None:
    with home.ingest() as ingest:
        made = sets.create(ingest, name="x").id
        sets.add_to(ingest, made, [0, 1, 0])
        sets.add_to(ingest, made, [1])
        sets.remove_from(ingest, made, [0, 7])
        assert sets.experiments_of(ingest, made) == [1]
        sets.tag(ingest, made, {"a": "1", "b": "2"})
        sets.untag(ingest, made, "a")
        assert sets.get(ingest, made).tags == {"b": "2"}
        with pytest.raises(NotFound):
            sets.add_to(ingest, made, [9])
        with pytest.raises(Invalid):
            sets.create(ingest, name=" ")

        sets.remove(ingest, made)
        sets.remove(ingest, made)
        assert sets.experiments_of(ingest, made) == []
        for act in (sets.get, sets.examples):
            with pytest.raises(NotFound):
                act(ingest, made)


def test_scorers_are_numbered_by_experiment_and_name(home: Store) -> None:
    with home.ingest() as ingest:
        first = scorers.register(ingest, experiment=0, name="tone", content="{}")
        second = scorers.register(ingest, experiment=0, name="tone", content="{}")
        other = scorers.register(ingest, experiment=1, name="tone", content="{}")

        assert [first.version, second.version, other.version] == [1, 2, 1]
        assert first.id == second.id != other.id
        assert scorers.newest(ingest) == [second, other]
        assert scorers.newest(ingest, [1]) == [other]
        assert scorers.versions(ingest, experiment=0, name="tone") == [first, second]
        assert scorers.get(ingest, experiment=0, name="tone") == second
        assert scorers.get(ingest, experiment=0, name="tone", version=1) == first

        scorers.remove(ingest, experiment=0, name="tone", version=2)
        assert scorers.get(ingest, experiment=0, name="tone") == first
        scorers.remove(ingest, experiment=0, name="tone")
        for version in (None, 2):
            with pytest.raises(NotFound):
                scorers.get(ingest, experiment=0, name="tone", version=version)
        for act in (
            lambda: scorers.remove(ingest, experiment=1, name="x"),
            lambda: scorers.versions(ingest, experiment=9, name="x"),
        ):
            with pytest.raises(NotFound):
                act()
