# SPDX-License-Identifier: Apache-2.0
"""Performance of a model that answers numbers against known truth.

In: what came and what was predicted, one number a row. Out: figures with 95 % intervals, and paired tests of two models on the
same rows. Closed formulas, no resampling: the same rows always give the same answer.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mainstay.measures import paired, performance
from mainstay.measures.distributions import normal_quantile
from mainstay.measures.paired import PairedTest
from mainstay.measures.performance import Figure

Floats = NDArray[np.float64]
_Z95 = normal_quantile(0.975)


def mean_absolute_error(truth: ArrayLike, predicted: ArrayLike) -> Figure:
    """Mean |truth - predicted|, with a normal interval."""
    return performance.mean_figure("mae", np.abs(_residuals(truth, predicted)))


def root_mean_squared_error(truth: ArrayLike, predicted: ArrayLike) -> Figure:
    """Root of the mean squared error; the interval is the mean's, through the root."""
    squared = performance.mean_figure("rmse", _residuals(truth, predicted) ** 2)
    if squared.value is None or squared.lo is None or squared.hi is None:
        return squared
    value, lo, hi = (math.sqrt(x) for x in (squared.value, squared.lo, squared.hi))
    return Figure(name="rmse", value=value, lo=lo, hi=hi, n=squared.n)


def bias(truth: ArrayLike, predicted: ArrayLike) -> Figure:
    """Mean of predicted minus truth: positive when the model says too much."""
    errors = -_residuals(truth, predicted)
    lack = performance.lack_of_rows(len(errors))
    if lack:
        return Figure(name="bias", value=None, n=len(errors), reason=lack)
    value, half = float(errors.mean()), _Z95 * math.sqrt(float(errors.var(ddof=1)) / len(errors))
    return Figure(name="bias", value=value, lo=value - half, hi=value + half, n=len(errors))


def r_squared(truth: ArrayLike, predicted: ArrayLike) -> Figure:
    """Share of the truth's variance that the predictions explain: 1 best, 0 as good as its mean, below 0 worse.

    The interval is normal, by the delta method.
    """
    squared = _residuals(truth, predicted) ** 2
    lack = performance.lack_of_rows(len(squared)) or _lack_of_spread(truth)
    if lack:
        return Figure(name="r2", value=None, n=len(squared), reason=lack)
    value, influence = _r_squared(performance.read_numbers(truth, "labels"), squared)
    half = _Z95 * math.sqrt(float(influence.var(ddof=1)) / len(influence))
    return Figure(name="r2", value=value, lo=value - half, hi=min(1.0, value + half), n=len(influence))


def _r_squared(truth: Floats, squared: Floats) -> tuple[float, Floats]:
    """1 - mean squared error / variance, and what each row moves it by."""
    spread = (truth - truth.mean()) ** 2
    ratio = float(squared.mean() / spread.mean())
    return 1.0 - ratio, (ratio * spread - squared) / float(spread.mean())


def _lack_of_spread(truth: ArrayLike) -> str | None:
    return None if np.ptp(np.asarray(truth, dtype=np.float64)) > 0 else "all labels are the same number"


def paired_absolute_error(
    truth: ArrayLike, predicted_a: ArrayLike, predicted_b: ArrayLike, *, clusters: ArrayLike | None = None
) -> PairedTest:
    """Mean absolute error of a minus that of b on the same rows. Negative: a is better. Clusters as in `paired.auc`."""
    a, b = np.abs(_residuals(truth, predicted_a)), np.abs(_residuals(truth, predicted_b))
    return paired.losses("mae", a, b, at=paired.read_clusters(clusters, len(a)))


def paired_root_mean_squared_error(
    truth: ArrayLike, predicted_a: ArrayLike, predicted_b: ArrayLike, *, clusters: ArrayLike | None = None
) -> PairedTest:
    """Root mean squared error of a minus that of b on the same rows, by the delta method. Negative: a is better."""
    roots, influences = [], []
    for squared in (_residuals(truth, predicted_a) ** 2, _residuals(truth, predicted_b) ** 2):
        root = math.sqrt(float(squared.mean())) if len(squared) else 0.0
        roots.append(root)
        influences.append((squared - root**2) / (2 * root) if root > 0 else np.zeros(len(squared)))
    at = paired.read_clusters(clusters, len(influences[0]))
    return paired.by_influence("rmse", roots[0] - roots[1], influences[0] - influences[1], at=at)


def paired_r_squared(
    truth: ArrayLike, predicted_a: ArrayLike, predicted_b: ArrayLike, *, clusters: ArrayLike | None = None
) -> PairedTest:
    """R² of a minus R² of b on the same rows, by the delta method. Positive: a is better."""
    values = performance.read_numbers(truth, "labels")
    squares = [_residuals(truth, predicted) ** 2 for predicted in (predicted_a, predicted_b)]
    lack = performance.lack_of_rows(len(values)) or _lack_of_spread(values)
    if lack:
        return PairedTest(name="r2", difference=None, n=len(values), reason=lack)
    (a, of_a), (b, of_b) = (_r_squared(values, squared) for squared in squares)
    return paired.by_influence("r2", a - b, of_a - of_b, at=paired.read_clusters(clusters, len(values)))


def evaluate_regression(truth: ArrayLike, predicted: ArrayLike) -> dict[str, Figure]:
    """All figures of a model that predicts numbers."""
    found = (mean_absolute_error, root_mean_squared_error, bias, r_squared)
    return {figure.name: figure for figure in (measure(truth, predicted) for measure in found)}


def _residuals(truth: ArrayLike, predicted: ArrayLike) -> Floats:
    values = performance.read_numbers(truth, "labels")
    return values - performance.read_scores(predicted, len(values), what="predictions")
