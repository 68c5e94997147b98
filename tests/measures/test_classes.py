# SPDX-License-Identifier: Apache-2.0
"""Classifiers of several classes: figures as scikit-learn's, intervals that cover, paired tests wrong as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from mainstay.domain.errors import Invalid
from mainstay.measures import classes


def answers(random: np.random.Generator, truth: np.ndarray, strength: float = 1.5, k: int = 3) -> np.ndarray:
    """Probabilities of a classifier that sees the truth through noise."""
    logits = random.standard_normal((len(truth), k)) + strength * np.eye(k)[truth]
    weights = np.exp(logits)
    return weights / weights.sum(axis=1, keepdims=True)


def test_figures_equal_scikit_learns_and_their_intervals_cover() -> None:
    random = np.random.default_rng(5)
    many = random.integers(3, size=200_000)
    whole = classes.evaluate_classes(many, answers(random, many))
    covered = dict.fromkeys(whole, 0)
    for _ in range(300):
        truth = random.integers(3, size=250)
        found = classes.evaluate_classes(truth, answers(random, truth))
        for name, figure in found.items():
            covered[name] += figure.lo <= whole[name].value <= figure.hi
    scores = answers(random, truth)
    found, said = classes.evaluate_classes(truth, scores), scores.argmax(axis=1)

    assert found["accuracy"].value == pytest.approx(metrics.accuracy_score(truth, said))
    assert found["macro_f1"].value == pytest.approx(metrics.f1_score(truth, said, average="macro"))
    assert found["log_loss"].value == pytest.approx(metrics.log_loss(truth, scores, labels=[0, 1, 2]))
    assert all(0.92 <= count / 300 <= 0.98 for count in covered.values()), covered


@pytest.mark.parametrize("test", [classes.paired_accuracy, classes.paired_macro_f1, classes.paired_log_loss])
def test_equally_good_classifiers_are_called_different_as_often_as_promised(test) -> None:
    random = np.random.default_rng(6)
    called = 0
    for _ in range(400):
        truth = random.integers(3, size=300)
        called += test(truth, answers(random, truth), answers(random, truth)).p < 0.05

    assert 0.02 <= called / 400 <= 0.085


def test_the_better_one_is_found_and_the_sign_says_which() -> None:
    random = np.random.default_rng(7)
    truth = random.integers(3, size=600)
    good, poor = answers(random, truth, 2.5), answers(random, truth, 1.0)

    accuracy, loss = classes.paired_accuracy(truth, good, poor), classes.paired_log_loss(truth, good, poor)
    f1 = classes.paired_macro_f1(truth, good, poor)

    assert accuracy.lo > 0 and f1.lo > 0 and loss.hi < 0 and max(accuracy.p, f1.p, loss.p) < 1e-6
    only = [int(((good.argmax(1) == truth) & (poor.argmax(1) != truth)).sum()), 0]
    only[1] = int(((good.argmax(1) != truth) & (poor.argmax(1) == truth)).sum())
    assert accuracy.p == pytest.approx(stats.binomtest(only[0], sum(only)).pvalue)


def test_rows_that_hang_together_are_far_less_sure() -> None:
    random = np.random.default_rng(8)
    truth = np.repeat(random.integers(3, size=20), 30)
    luck = np.repeat(np.eye(3)[random.integers(3, size=20)], 30, axis=0)
    a, b = answers(random, truth, 1.5), (answers(random, truth, 1.5) + luck) / 2
    day = np.repeat(np.arange(20), 30)

    plain, by_day = (classes.paired_log_loss(truth, a, b, clusters=at) for at in (None, day))

    assert plain.difference == by_day.difference and by_day.p > plain.p and by_day.clusters == 20


@pytest.mark.parametrize(
    ("labels", "scores", "says"),
    [
        ([0, 3], [[0.5, 0.5], [0.5, 0.5]], "labels hold 3; the place of one of 2 classes"),
        ([0, 0.5], [[0.5, 0.5], [0.5, 0.5]], "labels hold 0.5"),
        ([0], [[0.5, 0.5], [0.5, 0.5]], "a score for each class of each row"),
        ([0, 1], [0.5, 0.5], "a score for each class of each row"),
        ([0, 1], [[0.5, np.nan], [0.5, 0.5]], "not finite"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_in_words(labels, scores, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        classes.evaluate_classes(labels, scores)


def test_margins_have_no_log_loss_and_few_rows_have_nothing() -> None:
    random = np.random.default_rng(9)
    truth = random.integers(3, size=50)
    margins = random.standard_normal((50, 3))

    found = classes.evaluate_classes(truth, margins)

    assert found["accuracy"].value is not None
    assert found["log_loss"].value is None and "no probabilities" in found["log_loss"].reason
    assert classes.paired_log_loss(truth, margins, margins).is_insufficient
    assert classes.paired_accuracy(truth[:5], margins[:5], margins[:5]).is_insufficient
    assert all(figure.is_insufficient for figure in classes.evaluate_classes(truth[:5], margins[:5]).values())
