# SPDX-License-Identifier: Apache-2.0
"""The gate `better`: by which rows it judges what hangs together, and what it refuses to guess."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mainstay.domain.release import GateResult
from mainstay.lifecycle.release import gates

DAYS, A_DAY = 30, 60


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A candidate that happened to do better on a few days, and no better by day."""
    random = np.random.default_rng(3)
    day = np.repeat(np.arange(DAYS), A_DAY)
    y = random.random(len(day)) < 0.3
    signal = y + random.standard_normal(len(day))
    luck = random.standard_normal((2, DAYS))
    first = datetime(2013, 3, 1, tzinfo=UTC)
    table = pa.table(
        {
            "_label": y.astype(np.int8),
            "_candidate": 1 / (1 + np.exp(-(signal + 0.5 * luck[0][day]))),
            "_champion": 1 / (1 + np.exp(-(signal + 0.9 * luck[1][day]))),
            "due": [first + timedelta(days=int(d), minutes=int(i % A_DAY)) for i, d in enumerate(day)],
            "day": [f"day {d}" for d in day],
        }
    )
    file = tmp_path_factory.mktemp("evidence") / "evidence.parquet"
    pq.write_table(table, file)
    return file


def ask(evidence: Path, gate: str) -> GateResult:
    return gates._ask_one(gate, gates._read(evidence, {}, {"metrics": {}}))


def test_what_is_sure_row_by_row_may_not_be_sure_day_by_day(evidence: Path) -> None:
    plain, by_day = ask(evidence, "better('auc')"), ask(evidence, "better('auc', {'cluster': 'day'})")

    assert (plain.verdict, by_day.verdict) == ("pass", "fail")
    assert by_day.numbers["auc_difference"] == plain.numbers["auc_difference"] > 0
    assert by_day.numbers["auc_clusters"] == DAYS
    assert f"among {DAYS} clusters by 'day'" in by_day.sentence
    assert "auc_clusters" not in plain.numbers


def test_times_hang_together_by_their_day(evidence: Path) -> None:
    assert (
        ask(evidence, "better('brier', {'cluster': 'due'})").numbers
        == ask(evidence, "better('brier', {'cluster': 'day'})").numbers
    )


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        ("better('auc', {'cluster': 'week'})", "the judged rows have no column 'week' to cluster by"),
        ("better('auc', {'clusters': 'day'})", "better() has no option 'clusters'; it has alpha and cluster"),
    ],
)
def test_a_cluster_that_is_not_there_never_passes(evidence: Path, gate: str, words: str) -> None:
    result = ask(evidence, gate)

    assert (result.verdict, result.sentence) == ("fail", words)


def test_where_nothing_is_live_there_is_nothing_to_cluster_and_the_gate_passes(evidence: Path, tmp_path: Path) -> None:
    alone = pq.read_table(evidence, columns=["_label", "_candidate"])
    pq.write_table(alone, tmp_path / "first.parquet")

    assert ask(tmp_path / "first.parquet", "better('auc', {'cluster': 'day'})").verdict == "pass"
