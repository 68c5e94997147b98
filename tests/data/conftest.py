# SPDX-License-Identifier: Apache-2.0
"""A real store in a temporary folder, and one dataset of departures whose months differ as months do."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mainstay.client.inprocess import URL, InProcess
from mainstay.domain.data import Refused, Snapshot
from mainstay.lifecycle.data import datasets, snapshots
from mainstay.store import Store, open_store

ROWS = 2_000
CARRIERS = np.array(["AA", "B6", "DL", "EV", "UA"])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    moments = (datetime(2013, 1, 1, tzinfo=UTC) + timedelta(seconds=n) for n in range(10**9))
    opened = open_store(tmp_path / "workspace", clock=lambda: next(moments))
    with opened.change(actor="ana", reason="a source of departures") as change:
        datasets.create(change, name="flights", owner="ana")
    yield opened
    opened.close()


@pytest.fixture
def month() -> Callable[..., pa.Table]:
    def make(seed: int, rows: int = ROWS) -> pa.Table:
        dice = np.random.default_rng(seed)
        temp = dice.normal(50, 18, rows)
        return pa.table(
            {
                "flight": pa.array(dice.integers(1, 6_000, rows), pa.int16()),
                "carrier": pa.array(dice.choice(CARRIERS, rows)),
                "wind_speed": pa.array(np.round(dice.gamma(4, 2.5, rows), 1)),
                "distance": pa.array(dice.integers(80, 5_000, rows), pa.int32()),
                "temp": pa.array(temp, mask=dice.random(rows) < 0.01),
                "late": pa.array(dice.random(rows) < 0.2),
            }
        )

    return make


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


@pytest.fixture
def take(store: Store) -> Callable[..., Snapshot | Refused]:
    """Upload a table or bytes, and ask for a snapshot."""

    def ask(
        given: pa.Table | bytes, *, format: str = "parquet", dataset: str = "flights", **more: Any
    ) -> Snapshot | Refused:
        data = parquet(given) if isinstance(given, pa.Table) else given
        blob, _ = store.blobs.put(data)
        with store.change(actor="ana", reason="a month") as change:
            return snapshots.take(change, dataset=dataset, blob=blob, format=format, **more)

    return ask


@pytest.fixture
def accept(take: Callable[..., Snapshot | Refused]) -> Callable[..., Snapshot]:
    """`take` where a refusal would be a surprise."""

    def ask(*args: Any, **more: Any) -> Snapshot:
        taken = take(*args, **more)
        assert isinstance(taken, Snapshot), taken
        return taken

    return ask


@pytest.fixture
def refuse(take: Callable[..., Snapshot | Refused]) -> Callable[..., Refused]:
    """`take` where a snapshot would be a surprise."""

    def ask(*args: Any, **more: Any) -> Refused:
        taken = take(*args, **more)
        assert isinstance(taken, Refused), taken
        return taken

    return ask


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """The whole app in this process, asked over HTTP by its owner."""
    transport = InProcess(tmp_path_factory.mktemp("web") / "workspace", loops=False)
    headers = {"Authorization": f"Bearer {transport.token}"}
    with httpx.Client(base_url=f"{URL}/api", transport=transport, headers=headers) as client:
        yield client
