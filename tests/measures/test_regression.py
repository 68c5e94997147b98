# SPDX-License-Identifier: Apache-2.0
"""Models that answer numbers: R² as scikit-learn's, and paired tests that are wrong as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from mainstay.measures import regression

PAIRED = [
    regression.paired_absolute_error, regression.paired_root_mean_squared_error, regression.paired_r_squared,
]  # fmt: skip


def test_r_squared_equals_scikit_learns_and_its_interval_covers() -> None:
    random = np.random.default_rng(3)
    covered = 0
    for _ in range(300):
        truth = random.standard_normal(400)
        said = truth + random.standard_normal(400) / 2
        found = regression.r_squared(truth, said)
        covered += found.lo <= 0.75 <= found.hi

    assert found.value == pytest.approx(metrics.r2_score(truth, said))
    assert 0.92 <= covered / 300 <= 0.98


@pytest.mark.parametrize("test", PAIRED)
def test_equally_good_models_are_called_different_as_often_as_promised(test) -> None:
    random = np.random.default_rng(4)
    called = 0
    for _ in range(400):
        truth, noise = random.standard_normal(300), random.standard_normal((2, 300))
        called += test(truth, truth + noise[0], truth + noise[1]).p < 0.05

    assert 0.02 <= called / 400 <= 0.08


@pytest.mark.parametrize(("test", "sign"), list(zip(PAIRED, (-1, -1, 1), strict=True)))
def test_the_better_one_is_found_and_the_sign_says_which(test, sign: int) -> None:
    random = np.random.default_rng(5)
    truth = random.standard_normal(500) * 3
    good, poor = truth + random.standard_normal(500), truth + 2 * random.standard_normal(500)

    found = test(truth, good, poor)
    clustered = test(truth, good, poor, clusters=np.arange(500) % 25)

    assert np.sign(found.difference) == sign and found.p < 1e-6
    assert min(sign * found.lo, sign * found.hi) > 0
    assert clustered.difference == pytest.approx(found.difference) and clustered.clusters == 25


@pytest.mark.parametrize("test", PAIRED)
def test_few_rows_say_nothing_and_equal_models_are_equal(test) -> None:
    few, truth = np.arange(5.0), np.arange(30.0)

    assert test(few, few + 1, few + 2).is_insufficient
    assert test([], [], []).is_insufficient
    same = test(truth, truth + 1, truth + 1)
    assert (same.difference, same.p) == (0.0, 1.0)


def test_labels_that_do_not_differ_have_no_r_squared() -> None:
    truth = np.ones(50)

    assert "the same number" in (regression.r_squared(truth, truth + 1).reason or "")
    assert regression.paired_r_squared(truth, truth, truth + 1).is_insufficient
