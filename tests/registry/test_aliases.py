# SPDX-License-Identifier: Apache-2.0
"""Aliases: movable, never across models, and of many who move one from the same belief exactly one succeeds."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainstay.domain.errors import Conflict, Invalid, NotFound
from mainstay.domain.registry import Version
from mainstay.lifecycle.registry import aliases, models
from mainstay.store import Store, ledger

Register = Callable[..., Version]


@pytest.fixture
def versions(register: Register) -> list[Version]:
    return [register(b"model %d" % n) for n in range(4)]


def move(store: Store, to: int, expected: int | None = None, alias: str = "champion") -> None:
    with store.change(actor="bo", reason="better") as change:
        aliases.move(change, model="late", alias=alias, to=to, expected=expected)


def standing(store: Store) -> dict[str, int]:
    with store.view() as view:
        return {alias.name: alias.version for alias in aliases.of(view, "late")}


def folded(store: Store) -> dict[str, int]:
    found: dict[str, int] = {}
    with store.view() as view:
        for event in ledger.search(view, kind="alias.moved", newest_first=False, limit=10_000):
            name, after = event.body["alias"], event.body["after"]
            assert found.get(name) == event.body["before"]
            if after is None:
                del found[name]
            else:
                found[name] = after
    return found


@pytest.mark.usefixtures("versions")
def test_of_64_racers_exactly_one_moves_the_alias(store: Store) -> None:
    move(store, 1)
    gate, outcomes = threading.Barrier(64), []

    def race(to: int) -> None:
        gate.wait()
        try:
            move(store, to, expected=1)
            outcomes.append(to)
        except Conflict:
            outcomes.append(0)

    threads = [threading.Thread(target=race, args=(2 + n % 3,)) for n in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    winners = [to for to in outcomes if to]
    assert (len(outcomes), len(winners)) == (64, 1)
    assert standing(store) == {"champion": winners[0]} == folded(store)


@pytest.mark.usefixtures("versions")
def test_expecting_no_alias_succeeds_once(store: Store) -> None:
    move(store, 1, expected=0)

    with pytest.raises(Conflict, match="names version 1, you expected no such alias"):
        move(store, 2, expected=0)
    with pytest.raises(Conflict, match="does not exist, you expected version 1"):
        move(store, 2, expected=1, alias="candidate")


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["champion", "canary"]), st.integers(0, 4), st.none() | st.integers(0, 4)), max_size=8
    )
)
def test_folding_the_events_gives_the_table(
    store: Store, versions: list[Version], steps: list[tuple[str, int, int | None]]
) -> None:
    for alias, to, expected in steps:
        try:
            if to:
                move(store, to, expected, alias)
            else:
                with store.change(actor="bo") as change:
                    aliases.take_away(change, model="late", alias=alias)
        except (Conflict, NotFound):
            pass

    assert folded(store) == standing(store)


@pytest.mark.usefixtures("versions")
def test_an_alias_never_points_across_models_or_into_the_void(store: Store) -> None:
    with store.change(actor="ana") as change:
        models.create(change, name="early", owner="ana")

    with pytest.raises(NotFound, match="'early' has no version 1"), store.change(actor="bo") as change:
        aliases.move(change, model="early", alias="champion", to=1)
    with pytest.raises(NotFound, match="no version 9"):
        move(store, 9)
    assert standing(store) == {}


@pytest.mark.usefixtures("versions")
@pytest.mark.parametrize("name", ["3", "v3", "V12", "latest", "a b", ""])
def test_an_alias_cannot_be_taken_for_a_version(store: Store, name: str) -> None:
    with pytest.raises(Invalid):
        move(store, 1, alias=name)
