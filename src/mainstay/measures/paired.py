# SPDX-License-Identifier: Apache-2.0
"""Paired tests: is a better than b on the same rows, and how sure may we be?

In: labels and what two models say of each row; where rows hang together, each row's cluster. Out: a ``PairedTest``: a difference,
its 95 % interval, and p. Two predictions of one row share its luck, so a test of pairs sees what two intervals cannot. Closed
formulas, no bootstrap, so the same rows always give the same answer.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mainstay.domain.errors import Invalid
from mainstay.measures import performance
from mainstay.measures.distributions import normal_quantile, normal_sf, student_isf, student_sf

Floats = NDArray[np.float64]
#: Fewer clusters than this do not show how much clusters differ.
LEAST_CLUSTERS = 10
_Z95 = normal_quantile(0.975)


@dataclass(frozen=True, kw_only=True)
class PairedTest:
    """a minus b on the same rows: ``difference`` within ``lo``..``hi`` (95 %), two-sided ``p``.

    For AUC, accuracy and R² a positive difference speaks for a; for losses (Brier, absolute error) a negative one does.
    All four are None where the rows are too few, and ``reason`` says so. ``clusters``: among how many groups of rows that
    hang together it was judged; None where each row stands for itself.
    """

    name: str
    difference: float | None
    lo: float | None = None
    hi: float | None = None
    p: float | None = None
    n: int
    n_pos: int | None = None
    clusters: int | None = None
    reason: str | None = None

    @property
    def is_insufficient(self) -> bool:
        return self.difference is None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def auc(labels: ArrayLike, score_a: ArrayLike, score_b: ArrayLike, *, clusters: ArrayLike | None = None) -> PairedTest:
    """AUC of a minus AUC of b on the same rows: DeLong's paired test. Positive: a ranks better.

    Args:
        clusters: what rows hang together by, one value a row, such as the day. Rows of one cluster share their luck, so
        that many rows of few clusters are far less sure than they look; the interval is then that of Student's t with
        one degree of freedom less than there are clusters. Each row a cluster of its own gives DeLong's variance.

    Cost: three sorts a score. Source: as `performance.auc`; Obuchowski, "Nonparametric analysis of clustered ROC curve data",
    Biometrics 53(2), 1997.
    """
    truth = performance.read_labels(labels)
    a = performance.read_scores(score_a, len(truth), what="scores a")
    b = performance.read_scores(score_b, len(truth), what="scores b")
    n, n_pos = len(truth), int(truth.sum())
    at = read_clusters(clusters, n)
    lack = performance.lack_of_class(n_pos, n - n_pos) or _lack_of_clusters(at, truth)
    if lack:
        return PairedTest(name="auc", difference=None, n=n, n_pos=n_pos, reason=lack)
    (value_a, pos_a, neg_a), (value_b, pos_b, neg_b) = _placements(truth, a), _placements(truth, b)
    of_pos, of_neg = pos_a - pos_b, neg_a - neg_b
    if at is None:
        variance = float(np.var(of_pos, ddof=1)) / n_pos + float(np.var(of_neg, ddof=1)) / (n - n_pos)
        return _paired("auc", value_a - value_b, variance, n, n_pos)
    variance = _clustered(of_pos, of_neg, at[truth], at[~truth])
    return _paired("auc", value_a - value_b, variance, n, n_pos, clusters=_count(at))


def brier(
    labels: ArrayLike, score_a: ArrayLike, score_b: ArrayLike, *, clusters: ArrayLike | None = None
) -> PairedTest:
    """Brier score of a minus that of b on the same rows. Negative: a is better. A paired z-test of the row losses; of the
    clusters' sums of them where ``clusters`` says what rows hang together by, as in `auc`.
    """
    truth, a = performance.read_probabilities(labels, score_a, "scores a")
    _, b = performance.read_probabilities(labels, score_b, "scores b")
    at = read_clusters(clusters, len(truth))
    return losses("brier", (a - truth) ** 2, (b - truth) ** 2, n_pos=int(truth.sum()), at=at)


def losses(
    name: str, a: Floats, b: Floats, n_pos: int | None = None, *, at: NDArray[np.intp] | None = None
) -> PairedTest:
    if not len(a):
        return PairedTest(name=name, difference=None, n=0, n_pos=n_pos, reason=performance.lack_of_rows(0))
    d = a - b
    return by_influence(name, float(d.mean()), d - d.mean(), n_pos, at=at)


def by_influence(
    name: str, difference: float, influence: Floats, n_pos: int | None = None, *, at: NDArray[np.intp] | None = None
) -> PairedTest:
    """The test of a difference that is, to first order, the mean of what each row moves it by (the delta method).

    Args:
        influence: shape (n,), of mean 0. at: the number of each row's cluster, from `read_clusters`; the clusters' sums are then
            what varies.

    Source: Huber, "Robust Statistics", 1981, ch. 1 (influence functions); Liang and Zeger, Biometrika 73(1), 1986 (clusters).
    """
    n = len(influence)
    lack = performance.lack_of_rows(n) or _lack_of_clusters(at)
    if lack:
        return PairedTest(name=name, difference=None, n=n, n_pos=n_pos, reason=lack)
    if at is None:
        return _paired(name, difference, float(np.dot(influence, influence)) / (n - 1) / n, n, n_pos)
    sums, k = np.bincount(at, weights=influence) / n, _count(at)
    return _paired(name, difference, k / (k - 1) * float(np.dot(sums, sums)), n, n_pos, clusters=k)


def read_clusters(clusters: ArrayLike | None, n: int) -> NDArray[np.intp] | None:
    """Each row's cluster as a number from 0; None where each row stands for itself. Raises Invalid for another length."""
    if clusters is None:
        return None
    given = np.asarray(clusters)
    if given.shape != (n,):
        raise Invalid(f"clusters have shape {given.shape} and labels {n} rows; give one cluster for every row.")
    found: NDArray[np.intp] = np.unique(given, return_inverse=True)[1]
    return found


def _count(at: NDArray[np.intp]) -> int:
    return len(np.unique(at))


def _lack_of_clusters(at: NDArray[np.intp] | None, truth: NDArray[np.bool_] | None = None) -> str | None:
    if at is None:
        return None
    found = _count(at) if truth is None else min(_count(at[truth]), _count(at[~truth]))
    what = "clusters" if truth is None else "clusters with positives and as many with negatives"
    return None if found >= LEAST_CLUSTERS else f"{found} {what}; at least {LEAST_CLUSTERS} are needed"


def _clustered(of_pos: Floats, of_neg: Floats, pos_at: NDArray[np.intp], neg_at: NDArray[np.intp]) -> float:
    """Obuchowski's variance of the mean placement, from each row's placement and its cluster's number.

    Never negative: the factors of the two squares are at least that of the product.
    """
    k = int(max(pos_at.max(), neg_at.max())) + 1
    sum_pos = np.bincount(pos_at, weights=of_pos - of_pos.mean(), minlength=k) / len(of_pos)
    sum_neg = np.bincount(neg_at, weights=of_neg - of_neg.mean(), minlength=k) / len(of_neg)
    k_pos, k_neg = _count(pos_at), _count(neg_at)
    squares = k_pos / (k_pos - 1) * np.dot(sum_pos, sum_pos) + k_neg / (k_neg - 1) * np.dot(sum_neg, sum_neg)
    return float(squares + 2.0 * k / (k - 1) * np.dot(sum_pos, sum_neg))


def _placements(truth: NDArray[np.bool_], scores: Floats) -> tuple[float, Floats, Floats]:
    """AUC, and per positive the share of negatives below it, per negative the share of positives above it."""
    pos, neg = scores[truth], scores[~truth]
    of_pos = _share_below(np.sort(neg), pos)
    of_neg = 1.0 - _share_below(np.sort(pos), neg)
    return float(of_pos.mean()), of_pos, of_neg


def _share_below(ordered: Floats, values: Floats) -> Floats:
    left = np.searchsorted(ordered, values, side="left")
    right = np.searchsorted(ordered, values, side="right")
    found: Floats = (left + right) / (2.0 * len(ordered))
    return found


def _paired(
    name: str, difference: float, variance: float, n: int, n_pos: int | None, *, clusters: int | None = None
) -> PairedTest:
    """Interval and p, normal or, among clusters, Student's; with no variance the rows are alike (p 1) or differ
    everywhere alike (p 0).
    """
    spread = math.sqrt(max(0.0, variance))
    if spread < 1e-12:
        half, p = 0.0, 1.0 if abs(difference) < 1e-12 else 0.0
    elif clusters is None:
        half, p = _Z95 * spread, 2.0 * normal_sf(abs(difference) / spread)
    else:
        df = clusters - 1
        half, p = student_isf(0.025, df) * spread, 2.0 * student_sf(abs(difference) / spread, df)
    return PairedTest(
        name=name,
        difference=difference,
        lo=difference - half,
        hi=difference + half,
        p=min(1.0, p),
        n=n,
        n_pos=n_pos,
        clusters=clusters,
    )
