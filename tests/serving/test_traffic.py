# SPDX-License-Identifier: Apache-2.0
"""Whose turn it is: the judge's loop and whoever asks by hand may look at one rollout at the same moment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mainstay.domain.errors import Conflict
from mainstay.domain.release import Rollout, RolloutConfig
from mainstay.lifecycle.release import tables
from mainstay.lifecycle.serving import traffic
from mainstay.store import Store, open_store

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "workspace")
    yield opened
    opened.close()


def test_a_rollout_that_was_moved_since_somebody_read_it_is_not_moved_again(store: Store) -> None:
    seen = Rollout(
        id="0" * 32, deployment="flights", release=2, champion=1, kind="canary", state="running", config=RolloutConfig(),
        step=0, share_bp=1000, started_at=NOW, step_started_at=NOW, ended_at=None, evidence=(), marks={"n": 1}, reason="",
    )  # fmt: skip
    with store.ingest() as ingest:
        tables.put_rollout(ingest, replace(seen, step=1, share_bp=5000))  # type: ignore[arg-type]

    with pytest.raises(Conflict, match="moved meanwhile"), store.change(actor="system") as change:
        traffic.advance(change, seen)

    with store.view() as view:
        assert tables.rollout(view, seen.id) == replace(seen, step=1, share_bp=5000)
