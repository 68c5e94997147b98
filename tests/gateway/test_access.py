# SPDX-License-Identifier: Apache-2.0
"""Who may ask, and for how long an answer of the control plane counts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mainstay.domain.errors import Forbidden, Unauthenticated, Unavailable
from mainstay.gateway.access import Doorkeeper


class House:
    """A control plane that knows some tokens, can be away, and counts how often it is asked; and a clock."""

    def __init__(self, tmp_path: Path, **roles: list[str]) -> None:
        self.roles, self.is_away, self.asked, self.now = roles, False, 0, 1000.0
        self.token_file = tmp_path / "token"
        self.door = Doorkeeper(self.who, self.token_file, clock=lambda: self.now)

    def who(self, token: str) -> dict[str, Any] | None:
        self.asked += 1
        if self.is_away:
            raise Unavailable("away.")
        return {"actor": token, "roles": self.roles[token]} if token in self.roles else None

    def ask(self, *tokens: str) -> list[Any]:
        async def all_at_once() -> list[Any]:
            asked = (self.door.identify(token) for token in tokens)
            return await asyncio.gather(*asked, return_exceptions=True)

        return asyncio.run(all_at_once())


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, ana=["contributor"], view=["viewer"], odd=["a-role-of-tomorrow"])


def test_many_requests_with_one_token_ask_once_a_minute(house: House) -> None:
    house.ask(*["ana"] * 20)
    assert house.asked == 1

    house.now += 59
    house.ask("ana")
    assert house.asked == 1

    house.now += 2
    house.ask("ana")
    assert house.asked == 2


def test_a_revoked_token_is_refused_within_a_minute(house: House) -> None:
    house.ask("ana")
    del house.roles["ana"]
    house.now += 61

    assert isinstance(house.ask("ana")[0], Unauthenticated)


def test_an_unknown_token_is_refused_and_not_asked_about_again_at_once(house: House) -> None:
    answers = [house.ask("eve")[0] for _ in range(5)]

    assert all(isinstance(answer, Unauthenticated) for answer in answers)
    assert house.asked == 1


@pytest.mark.parametrize(("token", "may"), [("ana", True), ("view", False), ("odd", False)])
def test_only_a_role_that_grants_it_may_predict(house: House, token: str, may: bool) -> None:
    asker = house.ask(token)[0]

    if may:
        asker.require("predict")
    else:
        with pytest.raises(Forbidden, match="may not predict"):
            asker.require("predict")


def test_while_the_control_plane_is_away_known_tokens_count_for_a_day_and_new_ones_do_not(house: House) -> None:
    house.ask("ana")
    house.is_away = True
    house.now += 3600

    assert house.ask("ana")[0].actor == "ana"
    assert isinstance(house.ask("view")[0], Unavailable)

    house.now += 86_400
    assert isinstance(house.ask("ana")[0], Unavailable)


def test_while_the_control_plane_is_away_the_workspaces_own_token_counts(house: House) -> None:
    house.is_away = True
    assert isinstance(house.ask("own")[0], Unavailable)

    house.token_file.write_text("own\n")
    house.ask("own")[0].require("predict")
    assert isinstance(house.ask("ow")[0], Unavailable)


def test_the_workspaces_own_token_is_worth_nothing_once_the_control_plane_denies_it(house: House) -> None:
    house.token_file.write_text("own")

    assert isinstance(house.ask("own")[0], Unauthenticated)
