# SPDX-License-Identifier: Apache-2.0
"""State tables: every state can be reached, every move leads to a state, every refusal says what would do."""

from __future__ import annotations

import pytest

from mainstay.domain import states
from mainstay.domain.errors import Conflict

# Where each noun may begin.
BEGINNINGS = {
    "RUN": {"running", "cached"},
    "VERSION": {"candidate"},
    "RELEASE": {"judging"},
    "ROLLOUT": {"running"},
    "ALERT": {"open"},
    "JOB": {"queued"},
}
TABLES = {name: table for name, table in vars(states).items() if name.isupper()}


def test_every_table_says_where_it_begins() -> None:
    assert set(TABLES) == set(BEGINNINGS)


@pytest.mark.parametrize("name", BEGINNINGS)
def test_every_move_leads_to_a_state_of_the_table(name: str) -> None:
    assert {after for moves in TABLES[name].values() for after in moves} <= set(TABLES[name])


@pytest.mark.parametrize("name", BEGINNINGS)
def test_every_state_can_be_reached(name: str) -> None:
    reached, fresh = set(BEGINNINGS[name]), set(BEGINNINGS[name])
    while fresh:
        fresh = {after for before in fresh for after in TABLES[name][before]} - reached
        reached |= fresh

    assert reached == set(TABLES[name])


@pytest.mark.parametrize("name", BEGINNINGS)
def test_no_state_moves_to_itself(name: str) -> None:
    assert not [state for state, moves in TABLES[name].items() if state in moves]


@pytest.mark.parametrize("name", BEGINNINGS)
def test_exactly_the_moves_of_the_table_are_allowed(name: str) -> None:
    for before, moves in TABLES[name].items():
        for after in TABLES[name]:
            if after in moves:
                assert states.check_move(TABLES[name], "thing:x", before, after) == after
            else:
                with pytest.raises(Conflict, match=f"thing:x is {before} and cannot become {after}"):
                    states.check_move(TABLES[name], "thing:x", before, after)


def test_a_refusal_names_what_would_be_allowed() -> None:
    with pytest.raises(Conflict, match="from waiting it can become approved, rejected"):
        states.check_move(states.RELEASE, "release:flights#7", "waiting", "live")
    with pytest.raises(Conflict, match="nothing: this is an end"):
        states.check_move(states.JOB, "job:1", "done", "queued")
