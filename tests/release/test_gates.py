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
from mainstay.measures import kinds

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


@pytest.fixture(scope="module")
def of_kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A better candidate of each of the other kinds."""
    random = np.random.default_rng(11)
    folder, line = tmp_path_factory.mktemp("kinds"), np.array(["red", "blue"])[np.arange(600) % 2]
    y, noise = random.standard_normal(600) * 3, random.standard_normal((2, 600))
    place = random.integers(3, size=600)
    scores = [random.random((600, 3)) + weight * np.eye(3)[place] for weight in (0.6, 0.2)]
    rows = {
        "regression": (y, y + noise[0], y + 2 * noise[1]),
        "multiclass": (place.astype(float), *(list(each / each.sum(axis=1, keepdims=True)) for each in scores)),
    }
    for kind, (label, candidate, champion) in rows.items():
        columns = {"_label": label, "_candidate": candidate, "_champion": champion, "line": line}
        pq.write_table(pa.table(columns), folder / f"{kind}.parquet")
    return {kind: folder / f"{kind}.parquet" for kind in rows}


@pytest.mark.parametrize(
    ("kind", "gate", "verdict", "words"),
    [
        ("regression", "better('mae')", "pass", "mae -"),
        ("regression", "better('rmse', {'alpha': 0.001})", "pass", "rmse -"),
        ("regression", "better('r2', {'cluster': 'line'})", "insufficient", "2 clusters; at least 10 are needed"),
        ("regression", "not_worse('r2')", "pass", "r2 +"),
        ("regression", "r2 > 0.8 && mae < 1.0", "pass", "mae is 0."),
        ("regression", "slices(['line'], {'metric': 'mae', 'drop': 0.1, 'min_n': 100})", "pass", "2 slices"),
        ("regression", "slices(['line'])", "fail", "slices() of mae needs a drop, in the unit of the label"),
        ("regression", "better('accuracy')", "fail", "ask for mae, rmse, r2"),
        ("regression", "auc > 0.5", "fail", "this one answers a number, and has mae, rmse, r2, bias"),
        ("multiclass", "better('accuracy')", "pass", "accuracy +"),
        ("multiclass", "better('log_loss')", "pass", "log_loss -"),
        ("multiclass", "better('macro_f1') && macro_f1 > 0.5", "pass", "macro_f1 is 0."),
        ("multiclass", "slices(['line'], {'min_n': 100})", "pass", "0 lost more than 0.02 accuracy"),
        ("multiclass", "better('auc')", "fail", "ask for accuracy, macro_f1, log_loss"),
        ("multiclass", "rmse < 1.0", "fail", "rmse is a figure of models that answer a number"),
    ],
)
def test_each_kind_is_judged_by_its_own_figures(
    of_kinds: dict[str, Path], kind: str, gate: str, verdict: str, words: str
) -> None:
    result = gates._ask_one(gate, gates._read(of_kinds[kind], {}, {"metrics": {}}, kinds.KINDS[kind]))

    assert result.verdict == verdict, result
    assert words in result.sentence


def test_a_champion_that_cannot_be_asked_is_no_reason_to_pass(evidence: Path, tmp_path: Path) -> None:
    alone = pq.read_table(evidence, columns=["_label", "_candidate"])
    pq.write_table(alone, tmp_path / "alone.parquet")
    told = {"champion_error": "the champion knows classes 1, 2, the candidate 1, 2, 3."}

    judged = gates._read(tmp_path / "alone.parquet", told, {"metrics": {}})

    assert judged.facts["is_first"] is False
    for gate in ("better('auc')", "not_worse('brier')", "slices(['day'])"):
        result = gates._ask_one(gate, judged)
        assert (result.verdict, result.sentence) == ("insufficient", told["champion_error"].rstrip("."))
