# SPDX-License-Identifier: Apache-2.0
"""The log, newest first: row by row and piece by piece, to its very beginning."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest
from live_house import LiveHouse, month

from mainstay.domain.errors import NotFound
from mainstay.lifecycle.serving import prediction_log


@pytest.fixture
def logged(house: LiveHouse) -> list[str]:
    """Ids of the log, the newest first, in more pieces than are looked at together."""
    made = [identity for n in range(23) for identity in house.predict(month(3), 1, 1 + n % 3)]
    return made[::-1]


@pytest.mark.parametrize("limit", [1, 7, 1_000])
def test_pages_of_predictions_go_back_to_the_first_one(house: LiveHouse, logged: list[str], limit: int) -> None:
    found: list[str] = []
    with house.store.view() as view:
        while page := prediction_log.newest(view, "flights", limit, found[-1] if found else None):
            found += [row["_id"] for row in page]

    assert found == logged


def test_pages_of_pieces_hold_every_prediction_and_tell_whose(house: LiveHouse, logged: list[str]) -> None:
    found: list[str] = []
    before = None
    with house.store.view() as view:
        while page := prediction_log.pieces(view, "flights", 4, before):
            for part, release in page:
                assert (release.id, release.model, release.version) == ("flights#1", "late", house.first.number)
                found += pq.read_table(view.blobs.path(part.blob))["_id"].to_pylist()[::-1]
            before = page[-1][0].last_id
        with pytest.raises(NotFound):
            prediction_log.pieces(view, "trains", 4)

    assert found == logged
