# SPDX-License-Identifier: Apache-2.0
"""Figures against sklearn and scipy, their intervals against simulation, and honesty where rows are few."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from mainstay.domain.errors import Invalid
from mainstay.measures import paired, performance, regression

from .drawn import draw


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
    found, test = performance.auc(y, a), paired.auc(y, a, b)
    if min(y.sum(), (~y).sum()) < 10:
        assert found.is_insufficient and test.is_insufficient
        return

    difference, variance, own = delong_slow(y, a, b)
    value = metrics.roc_auc_score(y, a)
    assert found.value == pytest.approx(value, abs=1e-12)
    half = 1.959963984540054 * math.sqrt(own) / (value * (1 - value))
    assert found.hi == pytest.approx(1 / (1 + math.exp(-math.log(value / (1 - value)) - half)), abs=1e-9)
    assert test.difference == pytest.approx(difference, abs=1e-12)
    assert test.p == pytest.approx(2 * stats.norm.sf(abs(difference) / math.sqrt(variance)), rel=1e-6)
    assert test.hi - test.lo == pytest.approx(2 * 1.959963984540054 * math.sqrt(variance), rel=1e-9)


def test_the_auc_interval_covers_the_truth_as_often_as_it_says() -> None:
    truth = stats.norm.cdf(1 / math.sqrt(2))
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(500):
        y = random.random(200) < 0.3
        figure = performance.auc(y, random.standard_normal(200) + y)
        covered += figure.lo <= truth <= figure.hi

    assert 0.93 <= covered / 500 <= 0.975


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
    test = paired.brier(y, p, worse)
    d = losses - (worse - y) ** 2
    assert test.difference == pytest.approx(d.mean())
    assert test.p == pytest.approx(2 * stats.norm.sf(abs(d.mean()) / stats.sem(d)), rel=1e-9)
    assert test.hi - test.lo < figure.hi - figure.lo


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
    assert paired.auc(y, p, p).p is None
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
