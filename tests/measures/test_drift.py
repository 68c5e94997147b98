# SPDX-License-Identifier: Apache-2.0
"""Verdicts on windows: what must be seen, what must not, and what must be called unknown."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from mainstay.domain.errors import Invalid
from mainstay.measures.drift import Calibration, ColumnDrift, benjamini_hochberg, escalate, judge_window, persist
from mainstay.measures.profiles import Profile, infer_spec, merge_all, profile

N = 4000


def judge(reference: Mapping[str, Any], window: Mapping[str, Any], **spec: Any) -> dict[str, ColumnDrift]:
    table = pa.table(dict(reference))
    cells = infer_spec(table, **spec)
    judged = judge_window(cells, profile(table, cells), profile(pa.table(dict(window)), cells))
    return {drift.column: drift for drift in judged}


def normal(seed: int, n: int = N) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(n)


def test_an_unchanged_column_is_ok_and_a_moved_one_is_watched() -> None:
    found = judge({"still": normal(1), "moved": normal(2)}, {"still": normal(3), "moved": normal(4) + 0.3})

    assert (found["still"].status, found["moved"].status) == ("ok", "watch")
    assert found["moved"].is_drifted
    assert found["moved"].ks == pytest.approx(0.12, abs=0.03)
    assert found["moved"].w1 == pytest.approx(0.3, abs=0.07)
    assert "mean" in found["moved"].reason
    assert "floor 0.05" in found["moved"].reason


def test_a_reliable_but_tiny_move_does_not_matter() -> None:
    found = judge({"x": normal(1, 400_000)}, {"x": normal(2, 400_000) + 0.03})["x"]

    assert found.status == "ok"
    assert found.p < 1e-6
    assert "too little to matter" in found.reason


def test_drift_that_persists_becomes_an_alert() -> None:
    today = list(judge({"x": normal(1)}, {"x": normal(2) + 0.5}).values())

    assert [d.status for d in escalate(today, {"x": [False, True, False]})] == ["alert"]
    assert [d.status for d in escalate(today, {"x": [True, False, False]})] == ["watch"]
    assert [d.status for d in escalate(today, {})] == ["watch"]
    assert not persist([])


def test_too_few_rows_are_unknown_never_ok() -> None:
    for n in (0, 1, 79):
        found = judge({"x": normal(1)}, {"x": normal(2, n)})["x"]
        assert found.status == "unknown"
        assert "insufficient data" in found.reason
        assert not found.is_drifted
    assert judge({"x": normal(1)}, {"x": normal(2, 80)})["x"].status == "ok"
    assert judge({"x": normal(1, 12)}, {"x": normal(2)})["x"].status == "unknown"


@pytest.mark.parametrize("kind", ["null", "nan"])
def test_a_jump_of_missing_values_alerts_at_once(kind: str) -> None:
    hole = None if kind == "null" else math.nan
    with_holes = pa.array([hole if i % 8 == 0 else float(v) for i, v in enumerate(normal(2))], pa.float64())

    found = judge({"x": normal(1)}, {"x": with_holes})["x"]

    assert found.status == "alert"
    assert [fault.kind for fault in found.faults] == ["null"]
    assert found.faults[0].lo < found.faults[0].window - found.faults[0].baseline < found.faults[0].hi
    assert "missing values 0.0% → 12.5%" in found.reason


def test_one_null_among_a_hundred_rows_is_no_fault() -> None:
    reference = pa.array([None if i % 1000 == 0 else float(v) for i, v in enumerate(normal(1, 20_000))])

    assert judge({"x": reference}, {"x": pa.array([None, *normal(2, 99)])})["x"].status == "ok"


def test_values_never_seen_alert_at_once_and_are_few_enough_to_name() -> None:
    reference = ["rome", "oslo"] * 1000

    found = judge({"c": reference}, {"c": ["rome", "oslo"] * 480 + ["bern"] * 40})["c"]

    assert found.status == "alert"
    assert [fault.kind for fault in found.faults] == ["new_category"]


def test_a_column_that_is_gone_or_of_another_type_alerts_at_any_size() -> None:
    found = judge({"x": normal(1), "y": normal(1)}, {"y": ["a word"] * 50, "z": normal(2, 50)})

    assert [fault.kind for fault in found["x"].faults] == ["absent"]
    assert [fault.kind for fault in found["y"].faults] == ["invalid"]
    assert found["x"].status == found["y"].status == "alert"
    assert "column is missing" in found["x"].reason


def test_a_renamed_column_is_a_column_that_is_gone() -> None:
    assert judge({"temp": normal(1)}, {"temperature": normal(2)})["temp"].status == "alert"


def test_a_prediction_that_no_longer_varies_alerts_at_once() -> None:
    scores = np.random.default_rng(0).random(N)

    found = judge({"p": scores}, {"p": np.full(100, 0.31)}, score="p")["p"]

    assert "constant" in [fault.kind for fault in found.faults]
    assert found.status == "alert"


def test_a_column_that_is_constant_by_nature_is_no_fault() -> None:
    table = pa.table({"month": np.repeat(np.arange(12.0), 200), "x": normal(1, 2400)})
    spec = infer_spec(table)
    windows = [profile(table.slice(i * 200, 200), spec) for i in range(12)]
    calibration = Calibration.from_windows(spec, windows)
    stuck = profile(pa.table({"month": np.full(200, 3.0), "x": np.full(200, 0.5)}), spec)

    found = {d.column: d for d in judge_window(spec, merge_all(spec, windows), stuck, calibration)}

    assert found["month"].status == "ok"
    assert [fault.kind for fault in found["x"].faults] == ["constant"]


def test_calibration_forgives_what_the_reference_does_by_itself() -> None:
    random = np.random.default_rng(8)
    wobbling = pa.table({"x": np.concatenate([normal(i, 2000) + 0.3 * random.standard_normal() for i in range(20)])})
    spec = infer_spec(wobbling)
    windows = [profile(wobbling.slice(i * 2000, 2000), spec) for i in range(20)]
    reference, calibration = merge_all(spec, windows), Calibration.from_windows(spec, windows)
    window = profile(pa.table({"x": normal(99, 2000) + 0.3}), spec)

    assert judge_window(spec, reference, window)[0].status == "watch"
    assert judge_window(spec, reference, window, calibration)[0].status == "ok"
    assert calibration.columns["x"].phi > 5
    assert Calibration.from_json(json.loads(json.dumps(calibration.to_json()))) == calibration


def test_each_reference_window_is_compared_with_the_others_only() -> None:
    """The factor is the 0.9 quantile of the leave-one-out statistics over chi-squared's, worked out here by scipy."""
    counts = np.array([[600, 400], [500, 500], [520, 480], [560, 440]])
    tables = [pa.table({"c": ["a"] * a + ["b"] * b}) for a, b in counts.tolist()]
    spec = infer_spec(pa.concat_tables(tables))

    learnt = Calibration.from_windows(spec, [profile(table, spec) for table in tables]).columns["c"]

    g = [
        stats.chi2_contingency([counts.sum(0) - row, row], correction=False, lambda_="log-likelihood")[0]
        for row in counts
    ]
    assert learnt.phi == pytest.approx(np.quantile(g, 0.9) / stats.chi2.isf(0.1, 1), rel=1e-9)


def test_windows_alike_leave_the_calibration_at_one() -> None:
    table = pa.table({"x": normal(1, 40_000), "c": np.random.default_rng(1).choice(list("abcdef"), 40_000)})
    spec = infer_spec(table)
    learnt = Calibration.from_windows(spec, [profile(table.slice(i * 2000, 2000), spec) for i in range(20)])

    assert all(1.0 <= column.phi < 1.5 and 1.0 <= column.s < 1.3 for column in learnt.columns.values())
    assert Calibration.from_windows(spec, [profile(table.slice(0, 50), spec)]).columns["x"].phi == 1.0


def test_time_moves_on_without_drifting_but_its_nulls_are_judged() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    times = [start + timedelta(hours=i) for i in range(500)]
    later = [t + timedelta(days=400) for t in times]

    assert judge({"t": times}, {"t": later})["t"].status == "ok"
    assert judge({"t": times}, {"t": [None, *later[1:250], *[None] * 250]})["t"].status == "alert"


def test_category_shift_names_the_category_that_moved() -> None:
    reference, window = ["a"] * 500 + ["b"] * 500, ["a"] * 350 + ["b"] * 650
    found = judge({"c": reference}, {"c": window})["c"]

    assert found.status == "watch"
    assert found.ks is None
    assert "'a' 50.0% → 35.0%" in found.reason


def test_text_is_judged_by_its_length() -> None:
    random = np.random.default_rng(0)
    short = ["word " * int(k) + str(i) for i, k in enumerate(random.integers(5, 15, 2000))]
    long = ["word " * int(k) + str(i) for i, k in enumerate(random.integers(15, 40, 2000))]

    assert judge({"t": short}, {"t": short[::2]})["t"].status == "ok"
    assert judge({"t": short}, {"t": long})["t"].status == "watch"


def test_all_null_constant_and_infinite_columns_are_judged_without_trouble() -> None:
    nulls = pa.array([None] * 200, pa.float64())
    full = [1.0] * 200
    with_inf = pa.array([1.0] * 150 + [math.inf] * 50)

    assert judge({"x": nulls}, {"x": nulls})["x"].status == "ok"
    assert judge({"x": nulls}, {"x": full})["x"].status == "watch"
    assert judge({"x": full}, {"x": nulls})["x"].status == "alert"
    assert judge({"x": full}, {"x": full})["x"].status == "ok"
    assert judge({"x": full}, {"x": [2.0] * 200})["x"].status == "watch"
    assert [fault.kind for fault in judge({"x": full}, {"x": with_inf})["x"].faults] == ["infinite"]


def test_verdicts_are_plain_json_and_foreign_profiles_are_refused() -> None:
    found = judge({"x": normal(1)}, {"x": pa.array([None] * N, pa.float64())})
    json.dumps([drift.to_json() for drift in found.values()], allow_nan=False)

    spec, other = infer_spec(pa.table({"x": normal(1)})), infer_spec(pa.table({"x": normal(2)}))
    with pytest.raises(Invalid, match="window profile was counted by spec"):
        judge_window(spec, Profile.empty(spec), Profile.empty(other))


def test_benjamini_hochberg_equals_scipy() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        p = random.random(20) ** 4
        assert benjamini_hochberg(p.tolist(), 0.05) == (stats.false_discovery_control(p) <= 0.05).tolist()
