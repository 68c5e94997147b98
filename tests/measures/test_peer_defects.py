# SPDX-License-Identifier: Apache-2.0
"""Six ways in which drift tools were measured to go wrong, each kept here so that we never do."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from mainstay.measures import detectors, distances
from mainstay.measures.drift import Calibration, judge_window
from mainstay.measures.profiles import ReferenceSpec, infer_spec, merge_all, profile
from mainstay.measures.specs import ColumnSpec


def measure(name: str, reference: np.ndarray, window: object) -> float:
    table = pa.table({"x": reference})
    spec = infer_spec(table)
    a, b = (profile(t, spec).columns["x"].counts for t in (table, pa.table({"x": window})))
    value = detectors.get(name).measure(a, b, spec.columns[0]).value
    assert value is not None
    return value


def draw_category(n: int, seed: int) -> pa.Table:
    p = 1 / np.arange(1, 1001) ** 0.8
    codes = np.random.default_rng(seed).choice(1000, n, p=p / p.sum())
    return pa.table({"x": pa.DictionaryArray.from_arrays(codes.astype(np.int32), [f"c{i:04d}" for i in range(1000)])})


@pytest.mark.parametrize("name", ["psi", "jensen_shannon", "hellinger", "ks", "wasserstein"])
def test_one_outlier_in_the_window_does_not_blind_a_distance(name: str) -> None:
    """Equal-width bins over both samples: one wild value and PSI fell from 0.98 to 0.03 on a shift of one sd."""
    random = np.random.default_rng(1)
    reference, window = random.standard_normal(100_000), random.standard_normal(100_000) + 1

    plain = measure(name, reference, window)

    assert plain > 0.3
    assert measure(name, reference, [*window[1:], 1e6]) == pytest.approx(plain, rel=1e-3)


def test_one_outlier_in_the_reference_does_not_blind_wasserstein() -> None:
    """Divided by the plain sd, a shift of one sd fell from 1.0 to 0.035."""
    random = np.random.default_rng(1)
    reference, window = random.standard_normal(100_000), random.standard_normal(100_000) + 1

    assert measure("wasserstein", np.append(reference, 1e4), window) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("n", [2_000, 10_000, 30_000])
def test_a_thousand_categories_without_drift_show_no_distance_at_any_size(n: int) -> None:
    """A fixed threshold on the raw distance ignores the sample size: JS 0.39 without drift at 2000 rows."""
    reference, window = draw_category(n, 1), draw_category(n, 2)
    spec = infer_spec(reference)

    found = judge_window(spec, profile(reference, spec), profile(window, spec))[0]

    assert found.status == "ok"
    assert found.js_corrected < 0.05
    assert found.psi < 0.2


@pytest.mark.parametrize(("m", "n"), [(10_000, 5_000), (3_000, 3_000)])
def test_the_luckiest_of_a_thousand_equal_categories_are_not_expected_to_stay_lucky(m: int, n: int) -> None:
    random = np.random.default_rng(4)
    reference, *windows = (pa.table({"x": [f"c{c}" for c in random.choice(1000, rows)]}) for rows in (m, *[n] * 10))
    spec = infer_spec(reference)
    counted = profile(reference, spec)

    verdicts = [judge_window(spec, counted, profile(window, spec))[0].status for window in windows]

    assert verdicts.count("ok") >= 9


def test_the_corrected_distance_takes_the_bias_out_and_leaves_the_drift() -> None:
    random, k = np.random.default_rng(3), 100
    p, q = np.full(k, 1 / k), np.repeat([1.3 / k, 0.7 / k], k // 2)
    a, b = (random.multinomial(3000, shares, size=100) for shares in (p, q))
    same = random.multinomial(3000, p, size=100)
    true = np.sqrt(distances.js_squared(p * 1e12, q * 1e12))

    assert np.median([distances.js_corrected(x, y) for x, y in zip(a, same, strict=True)]) < 0.02
    assert np.mean([distances.js_corrected(x, y) for x, y in zip(a, b, strict=True)]) == pytest.approx(true, rel=0.03)


def test_raw_distances_follow_the_theory_of_their_own_bias() -> None:
    random, k = np.random.default_rng(3), 100
    a, b = random.multinomial(5000, np.full(k, 1 / k), size=(2, 200))

    raw = [distances.js_squared(x, y) for x, y in zip(a, b, strict=True)]

    assert np.mean(raw) == pytest.approx(distances.js_bias(k, 5000, 5000), rel=0.03)


def test_a_column_of_many_categories_does_not_alarm_for_ever() -> None:
    """Thresholds learnt from windows against a reference that holds them: half of all later windows alarm."""
    table = draw_category(100_000, 5)
    spec = infer_spec(table)
    windows = [profile(table.slice(i * 10_000, 10_000), spec) for i in range(10)]
    reference, calibration = merge_all(spec, windows), Calibration.from_windows(spec, windows)

    later = [
        judge_window(spec, reference, profile(draw_category(10_000, 100 + i), spec), calibration)[0] for i in range(20)
    ]

    assert [drift.status for drift in later] == ["ok"] * 20


def test_the_same_rows_give_the_same_verdict_every_time_and_a_million_undrifted_rows_none() -> None:
    """A randomised sketch under an exact p-value: 9 of 14 undrifted columns drift at a million rows."""
    random = np.random.default_rng(6)
    tables = [pa.table({f"x{i}": random.standard_normal(1_000_000) for i in range(5)}) for _ in range(2)]
    spec = infer_spec(tables[0])

    first, second = (
        [d.to_json() for d in judge_window(spec, profile(tables[0], spec), profile(tables[1], spec))] for _ in range(2)
    )

    assert first == second
    assert [drift["status"] for drift in first] == ["ok"] * 5


def test_a_rise_of_missing_values_is_drift() -> None:
    """2 % to 12 % of nulls was missed by three of three tools: they drop the nulls and compare the rest."""
    random = np.random.default_rng(7)
    reference, window = (
        pa.table({"x": pa.array(random.standard_normal(20_000), mask=random.random(20_000) < share)})
        for share in (0.02, 0.12)
    )
    spec = infer_spec(reference)

    found = judge_window(spec, profile(reference, spec), profile(window, spec))[0]

    assert found.status == "alert"
    assert found.js_corrected == pytest.approx(0.17, abs=0.02)
    assert [fault.kind for fault in found.faults] == ["null"]


def test_the_six_planted_columns_are_found_and_no_other() -> None:
    random = np.random.default_rng(11)

    def draw(drifted: bool, n: int = 50_000) -> pa.Table:
        z = random.standard_normal((n, 8))
        columns: dict[str, object] = {f"n{i}": z[:, i] for i in range(8)}
        columns["n1"] = np.exp(z[:, 1])
        columns["n2"] = np.round(np.abs(z[:, 2]) * 7)
        codes, wide = random.choice(20, n), random.choice(1000, n)
        missing = random.random(n) < (0.12 if drifted else 0.02)
        if drifted:
            columns["n3"] = z[:, 3] + 0.5
            columns["n4"] = z[:, 4] * 1.5
            codes[random.random(n) < 0.10] = 7
            fresh = random.random(n) < 0.08
            wide[fresh] = 1000 + random.integers(0, 30, int(fresh.sum()))
        columns["n5"] = pa.array(z[:, 5], mask=missing)
        columns["few"] = [f"c{c}" for c in codes]
        columns["same"] = [f"c{c}" for c in random.choice(20, n)]
        columns["many"] = [f"c{c}" for c in wide]
        columns["many_same"] = [f"c{c}" for c in random.choice(1000, n)]
        columns["score"] = 1 / (1 + np.exp(-0.8 * z[:, 0] + 1 - (0.5 if drifted else 0)))
        return pa.table(columns)

    reference = draw(False)
    spec: ReferenceSpec = infer_spec(reference, score="score")
    judged = judge_window(spec, profile(reference, spec), profile(draw(True), spec))

    assert {drift.column for drift in judged if drift.status != "ok"} == {"n3", "n4", "n5", "few", "many", "score"}


def test_ties_do_not_break_the_test() -> None:
    """Quantile bins that assume equal masses gave wrong p-values when 70 % of the values were one number."""
    random = np.random.default_rng(12)

    def draw(share: float) -> np.ndarray:
        return np.where(random.random(5000) < share, 0.0, random.standard_normal(5000))

    reference = pa.table({"x": draw(0.7)})
    spec = infer_spec(reference)
    column: ColumnSpec = spec.columns[0]
    verdicts = [
        judge_window(spec, profile(reference, spec), profile(pa.table({"x": draw(share)}), spec))[0].status
        for share in [0.7] * 10 + [0.55] * 3
    ]

    assert verdicts == ["ok"] * 10 + ["watch"] * 3
    assert 0.0 in column.edges
