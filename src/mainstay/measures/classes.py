# SPDX-License-Identifier: Apache-2.0
"""Performance of a classifier of several classes against known truth.

In: the true class of each row, as its place among the classes, and the scores of all classes, shape (n, k). Out: figures with
95 % intervals, and paired tests of two classifiers on the same rows. What is said of a row is the class of the highest score, of
equal ones the first. Closed formulas, no resampling: the same rows always give the same answer.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mainstay.domain.errors import Invalid
from mainstay.measures import paired
from mainstay.measures.distributions import normal_quantile
from mainstay.measures.paired import PairedTest
from mainstay.measures.performance import Figure, lack_of_rows, mean_figure, share_figure

Floats = NDArray[np.float64]
Places = NDArray[np.intp]
# Up to so many rows on which two classifiers differ the binomial is summed; beyond, the normal is as good.
_EXACT = 1000
_Z95 = normal_quantile(0.975)


def read_classes(labels: ArrayLike, scores: ArrayLike) -> tuple[Places, Floats]:
    """Both as arrays. Raises Invalid: they do not fit each other, or a label is no place among the classes."""
    values = np.asarray(scores, dtype=np.float64)
    given = np.asarray(labels, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] < 2 or given.shape != values.shape[:1]:
        raise Invalid(
            f"scores have shape {values.shape} and labels {given.shape}; a score for each class of each row is expected."
        )
    if not np.isfinite(values).all():
        raise Invalid("scores hold values that are not finite; leave those rows out.")
    strange = (given != np.floor(given)) | (given < 0) | (given >= values.shape[1])
    if strange.any():
        raise Invalid(f"labels hold {given[strange][0]:g}; the place of one of {values.shape[1]} classes is expected.")
    return given.astype(np.intp), values


def evaluate_classes(labels: ArrayLike, scores: ArrayLike) -> dict[str, Figure]:
    """Accuracy, macro F1 and log loss."""
    truth, values = read_classes(labels, scores)
    said = values.argmax(axis=1)
    found = (accuracy_of(truth, said), macro_f1_of(truth, said, values.shape[1]), log_loss(truth, values))
    return {figure.name: figure for figure in found}


def evaluate_places(labels: ArrayLike, said: ArrayLike) -> dict[str, Figure]:
    """Accuracy and macro F1 where nothing is known but the place of the class that was said."""
    truth, places = np.asarray(labels, dtype=np.intp), np.asarray(said, dtype=np.intp)
    k = int(max(truth.max(initial=0), places.max(initial=0))) + 1
    return {figure.name: figure for figure in (accuracy_of(truth, places), macro_f1_of(truth, places, k))}


def accuracy_of(truth: Places, said: Places) -> Figure:
    """Share of right answers, with Wilson's interval."""
    return share_figure("accuracy", int((truth == said).sum()), len(truth))


def macro_f1_of(truth: Places, said: Places, k: int) -> Figure:
    """Mean over the classes of F1, each of the same weight; a class that is neither said nor true is left out.

    Source: Takahashi, Yamamoto, Kuchiba and Koyama, "Confidence interval for micro-averaged F1 and macro-averaged F1 scores",
    Applied Intelligence 52, 2022 (the delta method).

    >>> macro_f1_of(np.repeat([0, 1], 10), np.repeat([0, 1], 10), 2).value
    1.0
    """
    n = len(truth)
    if lack := lack_of_rows(n):
        return Figure(name="macro_f1", value=None, n=n, reason=lack)
    value, influence = _macro_f1(truth, said, k)
    half = _Z95 * math.sqrt(float(influence.var(ddof=1)) / n)
    return Figure(name="macro_f1", value=value, lo=max(0.0, value - half), hi=min(1.0, value + half), n=n)


def log_loss(truth: Places, scores: Floats) -> Figure:
    """Mean negative log-likelihood of the true class in nats, 0 best; None where the scores are no probabilities."""
    n = len(truth)
    lack = lack_of_rows(n) or _lack_of_probabilities(scores)
    if lack:
        return Figure(name="log_loss", value=None, n=n, reason=lack)
    return mean_figure("log_loss", _losses(truth, scores))


def paired_accuracy(
    labels: ArrayLike, score_a: ArrayLike, score_b: ArrayLike, *, clusters: ArrayLike | None = None
) -> PairedTest:
    """Accuracy of a minus that of b on the same rows. Positive: a is better.

    p is that of McNemar's test, exact up to 1000 rows on which just one of them is right; with ``clusters``, that of the
    clusters' sums.

    Source: McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12(2), 1947.
    """
    truth, a = read_classes(labels, score_a)
    _, b = read_classes(labels, score_b)
    right_a, right_b = a.argmax(axis=1) == truth, b.argmax(axis=1) == truth
    d = right_a.astype(np.float64) - right_b
    mean = float(d.mean()) if len(d) else 0.0
    test = paired.by_influence("accuracy", mean, d - mean, at=paired.read_clusters(clusters, len(d)))
    only_a, only_b = int((d > 0).sum()), int((d < 0).sum())
    if test.is_insufficient or clusters is not None or only_a + only_b > _EXACT:
        return test
    return replace(test, p=_sign_test(only_a, only_b))


def paired_macro_f1(
    labels: ArrayLike, score_a: ArrayLike, score_b: ArrayLike, *, clusters: ArrayLike | None = None
) -> PairedTest:
    """Macro F1 of a minus that of b on the same rows, by the delta method as in `macro_f1_of`. Positive: a is better."""
    truth, a = read_classes(labels, score_a)
    _, b = read_classes(labels, score_b)
    k = a.shape[1]
    (value_a, of_a), (value_b, of_b) = (_macro_f1(truth, scores.argmax(axis=1), k) for scores in (a, b))
    return paired.by_influence(
        "macro_f1", value_a - value_b, of_a - of_b, at=paired.read_clusters(clusters, len(truth))
    )


def paired_log_loss(
    labels: ArrayLike, score_a: ArrayLike, score_b: ArrayLike, *, clusters: ArrayLike | None = None
) -> PairedTest:
    """Log loss of a minus that of b on the same rows: a paired z-test of the row losses. Negative: a is better."""
    truth, a = read_classes(labels, score_a)
    _, b = read_classes(labels, score_b)
    if lack := _lack_of_probabilities(a) or _lack_of_probabilities(b):
        return PairedTest(name="log_loss", difference=None, n=len(truth), reason=lack)
    return paired.losses(
        "log_loss", _losses(truth, a), _losses(truth, b), at=paired.read_clusters(clusters, len(truth))
    )


def _macro_f1(truth: Places, said: Places, k: int) -> tuple[float, Floats]:
    """Macro F1, and what each row moves it by: F1 of a class is twice its hits by the sum of true and said."""
    values: list[float] = []
    influence = np.zeros(len(truth))
    for place in range(k):
        is_true, is_said = truth == place, said == place
        both = float(is_true.mean() + is_said.mean()) if len(truth) else 0.0
        if not both:
            continue
        hits = is_true & is_said
        value = 2 * float(hits.mean()) / both
        values.append(value)
        influence += (2.0 * hits - value * (is_true.astype(np.float64) + is_said)) / both
    return (sum(values) / len(values), influence / len(values)) if values else (0.0, influence)


def _losses(truth: Places, scores: Floats) -> Floats:
    eps = float(np.finfo(np.float64).eps)
    losses: Floats = -np.log(np.clip(scores[np.arange(len(truth)), truth], eps, 1.0))
    return losses


def _lack_of_probabilities(scores: Floats) -> str | None:
    sums = scores.sum(axis=1)
    is_sound = bool((scores >= 0).all()) and bool(np.abs(sums - 1.0).max(initial=0.0) < 1e-3)
    return None if is_sound else "the scores are no probabilities: they do not sum to 1"


def _sign_test(more: int, less: int) -> float:
    """Two-sided exact binomial p of ``more`` against ``less``, either as likely as the other."""
    n = more + less
    tail = sum(math.comb(n, i) for i in range(min(more, less) + 1))
    return min(1.0, 2 * tail / 2**n) if n else 1.0
