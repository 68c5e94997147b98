# SPDX-License-Identifier: Apache-2.0
"""Performance without labels: our isotonic is sklearn's, both forms agree, and the band is honest."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.isotonic import IsotonicRegression

from mainstay.domain.errors import Invalid
from mainstay.measures import estimates, performance
from mainstay.measures.profiles import infer_spec, profile


def draw(n: int, seed: int, move: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and miscalibrated scores: the truth is sigmoid(2z), the score sigmoid(z)."""
    random = np.random.default_rng(seed)
    z = random.standard_normal(n) + move
    return random.random(n) < 1 / (1 + np.exp(-2 * z)), 1 / (1 + np.exp(-z))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=100, max_size=300))
def test_isotonic_regression_equals_sklearn(rows: list[tuple[int, bool]]) -> None:
    scores, y = np.array([s / 30 for s, _ in rows]), np.array([label for _, label in rows])
    if y.all() or not y.any():
        with pytest.raises(Invalid, match="both classes"):
            estimates.fit_isotonic(y, scores)
        return

    ours = estimates.fit_isotonic(y, scores)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(scores, y)

    asked = np.linspace(-0.2, 1.2, 141)
    assert np.abs(ours.predict(asked) - theirs.predict(asked)).max() < 1e-12
    again = estimates.Isotonic.from_json(json.loads(json.dumps(ours.to_json())))
    assert np.array_equal(again.predict(asked), ours.predict(asked))


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(0.1, 9)), min_size=1, max_size=50))
def test_pooling_gives_the_projection_on_rising_sequences(pairs: list[tuple[float, float]]) -> None:
    values, weights = np.array(pairs).T

    found = estimates.pool_adjacent_violators(values, weights)

    assert (np.diff(found) >= -1e-9).all()
    assert np.dot(found, weights) == pytest.approx(np.dot(values, weights), abs=1e-6)
    assert np.dot((values - found) * weights, found) == pytest.approx(0, abs=1e-6)


def test_the_exact_estimate_is_the_definition_written_out() -> None:
    y, scores = draw(3000, 1)
    calibration = estimates.fit_isotonic(y, scores)
    _, window = draw(2000, 2, move=0.4)

    found = estimates.estimate(window, calibration)

    c, said = calibration.predict(window), window >= 0.5
    tp, fp, fn = c[said].sum(), (1 - c)[said].sum(), c[~said].sum()
    assert found["accuracy"].value == pytest.approx((tp + (1 - c)[~said].sum()) / 2000, rel=1e-12)
    assert found["precision"].value == pytest.approx(tp / (tp + fp), rel=1e-12)
    assert found["recall"].value == pytest.approx(tp / (tp + fn), rel=1e-12)
    assert found["f1"].value == pytest.approx(2 * tp / (2 * tp + fp + fn), rel=1e-12)
    order = np.argsort(-window)
    x, t = (np.concatenate([[0], np.cumsum(w[order])]) for w in (1 - c, c))
    assert found["auc"].value == pytest.approx(np.trapezoid(t / t[-1], x / x[-1]), rel=1e-12)


def test_the_mergeable_form_is_within_a_ten_thousandth_of_the_exact_one() -> None:
    y, scores = draw(300_000, 3)
    _, window = draw(300_000, 4, move=0.3)
    exact = estimates.estimate(window, estimates.fit_isotonic(y, scores))

    half = len(y) // 2
    cells = estimates.ScoreCells.of(y[:half], scores[:half]) + estimates.ScoreCells.of(y[half:], scores[half:])
    counts = estimates.ScoreCells.of(np.zeros(len(window)), window).n
    merged = estimates.estimate_cells(counts, estimates.calibrate_cells(cells))

    for name, figure in exact.items():
        assert merged[name].value == pytest.approx(figure.value, abs=1e-4)
        assert merged[name].hi == pytest.approx(figure.hi, abs=2e-4)


@pytest.mark.parametrize("move", [0.0, 0.7, -0.7])
def test_the_truth_lies_in_the_band_while_only_the_mix_of_rows_moves(move: float) -> None:
    inside = total = 0
    for seed in range(30):
        y, scores = draw(4000, 100 + seed)
        calibration = estimates.fit_isotonic(y, scores)
        truth, window = draw(2000, 200 + seed, move=move)
        found = estimates.estimate(window, calibration)
        realised = performance.evaluate_binary(truth, window)
        for name, figure in found.items():
            inside += figure.lo <= realised[name].value <= figure.hi
            total += 1

    assert inside / total >= 0.98


def test_concept_drift_stays_invisible_which_is_why_an_estimate_never_closes_an_alarm() -> None:
    y, scores = draw(20_000, 5)
    found = estimates.estimate(scores, estimates.fit_isotonic(y, scores))

    truth_now = np.random.default_rng(0).permutation(y)
    assert metrics.roc_auc_score(truth_now, scores) < 0.52
    assert found["auc"].lo > 0.8


def test_a_profile_holds_all_that_an_estimate_needs() -> None:
    import pyarrow as pa

    y, scores = draw(20_000, 6)
    spec = infer_spec(pa.table({"p": scores}), score="p")
    counted = profile(pa.table({"p": scores}), spec)
    cells = estimates.ScoreCells.of(y, scores)

    assert np.array_equal(estimates.count_scores(counted, spec), cells.n)
    found = estimates.estimate_cells(estimates.count_scores(counted, spec), estimates.calibrate_cells(cells))
    assert found["auc"].value == pytest.approx(cells.auc().value, abs=0.01)
    again = estimates.ScoreCells.from_json(json.loads(json.dumps(cells.to_json())))
    assert np.array_equal(again.n_pos, cells.n_pos)
    assert (cells - cells).n.sum() == 0
    with pytest.raises(Invalid, match="no score column"):
        estimates.count_scores(counted, infer_spec(pa.table({"p": scores})))


def test_nothing_decided_or_nothing_there_is_undefined_not_zero() -> None:
    y, scores = draw(1000, 7)
    calibration = estimates.fit_isotonic(y, scores)

    assert estimates.estimate([0.1, 0.2], calibration)["precision"].value is None
    empty = estimates.estimate([], calibration)
    assert all(figure.value is None and figure.reason for figure in empty.values())
    with pytest.raises(Invalid, match="at least 100"):
        estimates.calibrate_cells(estimates.ScoreCells.of([0, 1], [0.1, 0.9]))
