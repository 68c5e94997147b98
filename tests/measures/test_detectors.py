# SPDX-License-Identifier: Apache-2.0
"""Every detector keeps the same promises; the classic ones equal scipy."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from mainstay.domain.errors import NotFound
from mainstay.measures import detectors, distances
from mainstay.measures.profiles import infer_spec, profile
from mainstay.measures.specs import FIRST, ColumnSpec

NUMERIC = infer_spec(pa.table({"x": np.random.default_rng(0).standard_normal(5000)})).columns[0]
CITIES = infer_spec(pa.table({"c": ["a"] * 5 + ["b"] * 3 + ["c"]})).columns[0]


def count(column: ColumnSpec, values: object) -> np.ndarray:
    table = pa.table({column.name: pa.array(values)})
    spec = infer_spec(table)
    object.__setattr__(spec, "columns", (column,))
    return profile(table, spec).columns[column.name].counts


def test_the_folder_registers_what_it_holds() -> None:
    assert set(detectors.names()) == {
        "g_test",
        "hellinger",
        "jensen_shannon",
        "ks",
        "linf",
        "missing",
        "new_category",
        "psi",
        "wasserstein",
    }
    with pytest.raises(NotFound, match="detectors are g_test"):
        detectors.get("kolmogorov")


@pytest.mark.parametrize("name", detectors.names())
@pytest.mark.parametrize("column", [NUMERIC, CITIES], ids=["numeric", "category"])
@settings(max_examples=30)
@given(data=st.data())
def test_any_counts_give_a_finite_number_or_a_reason(name: str, column: ColumnSpec, data: st.DataObject) -> None:
    cells = st.lists(st.sampled_from([0, 0, 1, 7, 10**9]), min_size=column.size, max_size=column.size)
    a, b = (np.array(data.draw(cells), np.int64) for _ in range(2))

    found = detectors.get(name).measure(a, b, column)

    if found.value is None:
        assert found.detail["reason"]
    else:
        assert math.isfinite(found.value)
        assert found.n <= b.sum()
        assert found.lo is None or found.lo <= found.value <= found.hi


@pytest.mark.parametrize("name", detectors.names())
@pytest.mark.parametrize("column", [NUMERIC, CITIES], ids=["numeric", "category"])
def test_equal_shares_measure_nothing(name: str, column: ColumnSpec) -> None:
    a = np.random.default_rng(1).integers(100, 1000, column.size)

    value = detectors.get(name).measure(a, a * 3, column).value

    assert value is None or abs(value) < 1e-3 if name == "psi" else value is None or abs(value) < 1e-7


def test_cell_distances_equal_scipy() -> None:
    a, b = np.array([30, 50, 20, 400]), np.array([10, 80, 30, 300])

    assert math.sqrt(distances.js_squared(a, b)) == pytest.approx(jensenshannon(a, b, base=2), abs=1e-14)
    g, _, df, _ = stats.chi2_contingency([a, b], correction=False, lambda_="log-likelihood")
    assert (distances.g_statistic(a, b), len(a) - 1) == (pytest.approx(g, rel=1e-12), df)
    hellinger = np.linalg.norm(np.sqrt(a / 500) - np.sqrt(b / 420)) / math.sqrt(2)
    assert distances.hellinger(a, b) == pytest.approx(hellinger, abs=1e-14)
    assert distances.largest_shift(a, b) == (pytest.approx(abs(50 / 500 - 80 / 420)), 1)


def test_ks_and_wasserstein_from_cells_are_near_those_of_the_rows() -> None:
    random = np.random.default_rng(2)
    x, y = random.standard_normal(5000), random.standard_normal(4000) * 1.1 + 0.3
    a, b = count(NUMERIC, x), count(NUMERIC, y)

    ks = detectors.get("ks").measure(a, b, NUMERIC)
    w1 = detectors.get("wasserstein").measure(a, b, NUMERIC)

    raw = stats.ks_2samp(x, y)
    assert raw.statistic - 0.01 < ks.value <= raw.statistic
    assert w1.value == pytest.approx(stats.wasserstein_distance(x, y) / NUMERIC.scale, abs=0.02)


def test_a_rise_of_missing_values_has_newcombes_interval() -> None:
    a, b = count(NUMERIC, [0.0] * 98 + [None] * 2), count(NUMERIC, [0.0] * 88 + [None] * 12)

    found = detectors.get("missing").measure(a, b, NUMERIC)

    assert found.value == pytest.approx(0.10)
    (la, ua), (lb, ub) = (stats.binomtest(k, 100).proportion_ci(method="wilson") for k in (2, 12))
    assert found.lo == pytest.approx(0.10 - math.hypot(0.12 - lb, ua - 0.02))
    assert found.hi == pytest.approx(0.10 + math.hypot(ub - 0.12, 0.02 - la))


def test_a_new_category_is_measured_and_a_number_has_none() -> None:
    a, b = count(CITIES, ["a", "b"] * 50), count(CITIES, ["a"] * 95 + ["x"] * 5)

    assert detectors.get("new_category").measure(a, b, CITIES).value == pytest.approx(0.05)
    assert detectors.get("new_category").measure(count(NUMERIC, [1.0]), count(NUMERIC, [1.0]), NUMERIC).value is None
    assert detectors.get("ks").measure(a, b, CITIES).detail["reason"] == "a category column has no order"
    assert detectors.get("linf").measure(a, b, CITIES).detail["cell"] == "b"


@settings(max_examples=100)
@given(st.integers(0, 30), st.integers(1, 400), st.integers(0, 9), st.integers(1, 300))
def test_a_rare_rise_has_fishers_exact_p(k_a: int, m: int, k_b: int, n: int) -> None:
    k_a, k_b = min(k_a, m), min(k_b, n)
    p = distances.rise_p(k_a, m, k_b, n)

    if k_b / n <= k_a / m:
        assert p == 1.0
    elif (k_a + k_b) * n / (m + n) < 10:
        exact = stats.fisher_exact([[k_b, n - k_b], [k_a, m - k_a]], alternative="greater").pvalue
        assert p == pytest.approx(exact, rel=1e-8, abs=1e-14)


def test_wilson_equals_scipy() -> None:
    for k, n in ((0, 7), (3, 10), (10, 10), (5000, 10**6)):
        low, high = stats.binomtest(k, n).proportion_ci(method="wilson")
        assert distances.wilson(k, n) == (pytest.approx(low, abs=1e-12), pytest.approx(high, abs=1e-12))


def test_joining_cells_loses_no_row_and_looks_at_the_baseline_only() -> None:
    random = np.random.default_rng(4)
    for column in (NUMERIC, CITIES):
        a, b = random.integers(0, 50, column.size), random.integers(0, 5, column.size)
        x, y = distances.comparable(a, b, column)
        assert (x.sum(), y.sum()) == (a.sum(), b.sum())
    wide = infer_spec(pa.table({"s": random.random(10_000)}), score="s")
    counts = profile(pa.table({"s": random.random(10_000)}), wide).columns["s"].counts
    x, _ = distances.comparable(counts, counts // 2, wide.columns[0])
    assert 20 <= len(x) <= 41
    assert counts[FIRST:].sum() == 10_000
