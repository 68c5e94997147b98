# SPDX-License-Identifier: Apache-2.0
"""Figures against sklearn and scipy, their intervals against simulation, and honesty where rows are few."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from mainstay.domain.errors import Invalid
from mainstay.measures import performance, regression
from mainstay.measures.performance import PairedTest


def draw(n: int, seed: int, *, edge: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities that rank them with some skill; ties on purpose."""
    random = np.random.default_rng(seed)
    y = random.random(n) < 0.3
    z = random.standard_normal(n) + edge * y
    return y, np.round(1 / (1 + np.exp(-z)), 2)


def delong_slow(y: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """Difference of two AUCs, its variance, and the variance of the first, by comparing every pair of rows."""
    psi = [(s[y][:, None] > s[~y][None]) + 0.5 * (s[y][:, None] == s[~y][None]) for s in (a, b)]
    v10, v01 = np.array([p.mean(1) for p in psi]), np.array([p.mean(0) for p in psi])
    s = np.cov(v10) / y.sum() + np.cov(v01) / (~y).sum()
    return psi[0].mean() - psi[1].mean(), s[0, 0] + s[1, 1] - 2 * s[0, 1], s[0, 0]


@settings(max_examples=40, deadline=None)
@given(st.integers(40, 300), st.integers(0, 10**6))
def test_auc_equals_sklearn_and_delong_by_all_pairs(n: int, seed: int) -> None:
    y, a = draw(n, seed)
    _, b = draw(n, seed + 1)
    found, paired = performance.auc(y, a), performance.paired_auc(y, a, b)
    if min(y.sum(), (~y).sum()) < 10:
        assert found.is_insufficient and paired.is_insufficient
        return

    difference, variance, own = delong_slow(y, a, b)
    value = metrics.roc_auc_score(y, a)
    assert found.value == pytest.approx(value, abs=1e-12)
    half = 1.959963984540054 * math.sqrt(own) / (value * (1 - value))
    assert found.hi == pytest.approx(1 / (1 + math.exp(-math.log(value / (1 - value)) - half)), abs=1e-9)
    assert paired.difference == pytest.approx(difference, abs=1e-12)
    assert paired.p == pytest.approx(2 * stats.norm.sf(abs(difference) / math.sqrt(variance)), rel=1e-6)
    assert paired.hi - paired.lo == pytest.approx(2 * 1.959963984540054 * math.sqrt(variance), rel=1e-9)


def test_the_auc_interval_covers_the_truth_as_often_as_it_says() -> None:
    truth = stats.norm.cdf(1 / math.sqrt(2))
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(500):
        y = random.random(200) < 0.3
        figure = performance.auc(y, random.standard_normal(200) + y)
        covered += figure.lo <= truth <= figure.hi

    assert 0.93 <= covered / 500 <= 0.975


def test_the_paired_test_is_falsely_sure_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    p_values = []
    for _ in range(500):
        y = random.random(300) < 0.4
        signal = random.standard_normal(300) + y
        a, b = (signal + 0.5 * random.standard_normal(300) for _ in range(2))
        p_values.append(performance.paired_auc(y, a, b).p)

    assert 0.03 <= np.mean(np.array(p_values) < 0.05) <= 0.07


def draw_days(random: np.random.Generator, days: int = 40, a_day: int = 40) -> tuple[np.ndarray, ...]:
    """Rows of days that each have their own luck: of how many are positive, and of how well either model does."""
    day = np.repeat(np.arange(days), a_day)
    y = random.random(len(day)) < 1 / (1 + np.exp(1 - random.standard_normal(days)))[day]
    signal = y + random.standard_normal(len(day))
    a, b = (signal + random.standard_normal(days)[day] * 0.7 for _ in range(2))
    return day, y, a, b


def test_each_row_a_cluster_of_its_own_is_the_plain_paired_test() -> None:
    _, y, a, b = draw_days(np.random.default_rng(0))

    plain = performance.paired_auc(y, a, b)
    alone = performance.paired_auc(y, a, b, clusters=np.arange(len(y)))

    assert (alone.difference, alone.n, alone.clusters) == (plain.difference, plain.n, len(y))
    assert alone.hi - alone.lo == pytest.approx(plain.hi - plain.lo, rel=1e-3)  # Student's t with 1,599 degrees
    assert alone.p == pytest.approx(plain.p, rel=0.05)


@pytest.mark.parametrize("test", [performance.paired_auc, performance.paired_brier])
def test_the_clustered_interval_is_as_wide_as_drawing_whole_days_again_says(test: Callable[..., PairedTest]) -> None:
    random = np.random.default_rng(5)
    day, y, a, b = draw_days(random)
    a, b = (1 / (1 + np.exp(-score)) for score in (a, b))
    rows_of = [np.flatnonzero(day == each) for each in range(40)]

    drawn = []
    for _ in range(400):
        rows = np.concatenate([rows_of[each] for each in random.integers(0, 40, 40)])
        drawn.append(test(y[rows], a[rows], b[rows]).difference)
    found, plain = test(y, a, b, clusters=day), test(y, a, b)

    spread = (found.hi - found.lo) / (2 * 2.0227)  # Student's t with 39 degrees
    assert spread == pytest.approx(np.std(drawn), rel=0.15)
    assert found.hi - found.lo > 2 * (plain.hi - plain.lo)


def test_among_days_with_their_own_luck_only_the_clustered_test_is_as_sure_as_it_says() -> None:
    random = np.random.default_rng(6)
    plain, clustered = [], []
    for _ in range(300):
        day, y, a, b = draw_days(random, days=15, a_day=30)
        plain.append(performance.paired_auc(y, a, b).p)
        clustered.append(performance.paired_auc(y, a, b, clusters=day).p)

    assert np.mean(np.array(plain) < 0.05) > 0.3
    assert np.mean(np.array(clustered) < 0.05) < 0.1


def test_few_clusters_say_nothing() -> None:
    day, y, a, b = draw_days(np.random.default_rng(7), days=9)

    found = performance.paired_auc(y, a, b, clusters=day)

    assert found.is_insufficient
    assert found.reason == "9 clusters with positives and as many with negatives; at least 10 are needed"
    with pytest.raises(Invalid, match="one cluster for every row"):
        performance.paired_auc(y, a, b, clusters=day[:-1])


def test_a_better_ranking_is_found_better_and_the_same_one_is_not() -> None:
    y, good = draw(2000, 3, edge=2.0)
    _, bad = draw(2000, 4)

    assert performance.paired_auc(y, good, bad).lo > 0
    assert performance.paired_auc(y, bad, good).hi < 0
    same = performance.paired_auc(y, good, good)
    assert (same.difference, same.lo, same.hi, same.p) == (0.0, 0.0, 0.0, 1.0)
    assert (same.n, same.n_pos) == (2000, int(y.sum()))


def test_a_perfect_ranking_is_not_certain() -> None:
    y = np.arange(40) >= 20

    found = performance.auc(y, np.arange(40.0))

    assert found.value == 1.0
    assert found.hi == 1.0
    assert 0.8 < found.lo < 0.9
    assert performance.auc(y, -np.arange(40.0)).lo == 0.0


def test_auc_from_counts_is_that_of_the_rows() -> None:
    y, scores = draw(500, 5)
    values = np.unique(scores)
    pos, neg = ([(scores[mask] == v).sum() for v in values] for mask in (y, ~y))

    assert performance.auc_of_counts(pos, neg) == performance.auc(y, scores)


def test_losses_and_decisions_equal_sklearn() -> None:
    y, p = draw(1000, 6)
    p = np.clip(p, 0.01, 0.99)
    found = performance.evaluate_binary(y, p, threshold=0.6)

    said = p >= 0.6
    assert found["brier"].value == pytest.approx(metrics.brier_score_loss(y, p))
    assert found["log_loss"].value == pytest.approx(metrics.log_loss(y, p))
    assert found["accuracy"].value == pytest.approx(metrics.accuracy_score(y, said))
    assert found["precision"].value == pytest.approx(metrics.precision_score(y, said))
    assert found["recall"].value == pytest.approx(metrics.recall_score(y, said))
    assert found["f1"].value == pytest.approx(metrics.f1_score(y, said))
    tn, fp, fn, tp = metrics.confusion_matrix(y, said).ravel().tolist()
    assert performance.confusion(y, p, threshold=0.6) == performance.Confusion(tp=tp, fp=fp, fn=fn, tn=tn)
    assert all(f.lo is None or f.lo <= f.value <= f.hi for f in found.values())
    assert {f.n for f in (found["auc"], found["brier"], found["accuracy"])} == {1000}
    json.dumps({name: figure.to_json() for name, figure in found.items()}, allow_nan=False)


def test_log_loss_of_a_certain_error_is_finite_and_sklearns() -> None:
    y, p = np.arange(30) % 2 == 0, np.full(30, 0.0)

    assert performance.log_loss(y, p).value == pytest.approx(metrics.log_loss(y, p))


def test_the_brier_interval_is_the_means_and_pairs_are_sharper_than_two_intervals() -> None:
    y, p = draw(800, 7)
    losses = (p - y) ** 2
    figure = performance.brier(y, p)
    low, high = stats.norm.interval(0.95, losses.mean(), stats.sem(losses))
    assert (figure.lo, figure.hi) == (pytest.approx(low), pytest.approx(high))

    worse = np.clip(p + 0.05, 0, 1)
    paired = performance.paired_brier(y, p, worse)
    d = losses - (worse - y) ** 2
    assert paired.difference == pytest.approx(d.mean())
    assert paired.p == pytest.approx(2 * stats.norm.sf(abs(d.mean()) / stats.sem(d)), rel=1e-9)
    assert paired.hi - paired.lo < figure.hi - figure.lo


def test_a_calibrated_model_has_little_calibration_error_and_its_bins_hold_the_truth() -> None:
    random = np.random.default_rng(8)
    p = random.random(50_000)
    y = random.random(50_000) < p

    curve = performance.calibration_curve(y, p)
    assert sum(band.n for band in curve) == 50_000
    assert sum(band.lo <= band.promised <= band.hi for band in curve) >= 8
    assert performance.calibration_error(y, p).value < 0.01
    assert performance.calibration_error(y, p**2).value > 0.1
    assert performance.calibration_error(y, p).lo is None


def test_too_few_rows_give_none_and_a_reason_never_a_number() -> None:
    y, p = [1] * 9 + [0] * 500, np.linspace(0, 1, 509)

    assert performance.auc(y, p).value is None
    assert performance.auc(y, p).reason == "9 positives and 500 negatives; at least 10 of each are needed"
    assert performance.paired_auc(y, p, p).p is None
    few = performance.evaluate_binary([1, 0], [0.5, 0.5])
    assert all(figure.value is None and figure.reason for figure in few.values())
    assert performance.auc([], []).is_insufficient
    assert regression.mean_absolute_error([1.0], [2.0]).is_insufficient


@pytest.mark.parametrize(
    ("labels", "scores", "says"),
    [
        ([0, 2], [0.1, 0.2], "0 or 1 is expected"),
        ([0, None], [0.1, 0.2], "not finite"),
        (["a", "b"], [0.1, 0.2], "not numbers"),
        ([0, 1], [0.1], "1 rows"),
        ([0, 1], [0.1, math.nan], "1 values that are not finite"),
        ([0, 1], [0.1, 1.2], "probabilities in 0..1"),
        ([[0, 1]], [0.1, 1.0], "shape"),
    ],
)
def test_arrays_that_are_no_labels_or_scores_are_refused_in_words(labels: list, scores: list, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        performance.evaluate_binary(labels, scores)


def test_numbers_equal_sklearn_and_their_intervals_cover() -> None:
    random = np.random.default_rng(9)
    truth = random.standard_normal(400)
    covered = 0
    for _ in range(300):
        errors = random.standard_normal(400) * 2
        found = regression.evaluate_regression(truth, truth + errors)
        covered += found["rmse"].lo <= 2.0 <= found["rmse"].hi
    assert 0.92 <= covered / 300 <= 0.98
    assert found["mae"].value == pytest.approx(metrics.mean_absolute_error(truth, truth + errors))
    assert found["rmse"].value == pytest.approx(metrics.root_mean_squared_error(truth, truth + errors))
    assert found["bias"].value == pytest.approx(errors.mean())
    assert regression.paired_absolute_error(truth, truth + errors / 2, truth + errors).hi < 0


def test_slices_add_up_and_small_ones_are_named_without_a_number() -> None:
    y, p = draw(1000, 10)
    slices = np.where(np.arange(1000) < 30, "few", np.where(np.arange(1000) < 500, "east", "west")).astype(object)
    slices[0] = None

    found = performance.evaluate_slices(y, p, slices)

    assert list(found) == ["east", "few", "null", "west"]
    assert sum(figures["brier"].n for figures in found.values()) == 1000
    assert found["few"]["brier"].value is None
    assert "29 rows; at least 50" in found["few"]["brier"].reason
    rows = np.arange(1000) >= 500
    assert found["west"]["auc"].value == pytest.approx(metrics.roc_auc_score(y[rows], p[rows]))
