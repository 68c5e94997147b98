# SPDX-License-Identifier: Apache-2.0
"""Kinds of answers: what each is judged by, and how one that is asked for something else says so."""

from __future__ import annotations

import numpy as np
import pytest

from mainstay.measures import kinds
from mainstay.measures.kinds import BINARY, KINDS, LOSSES, METRICS, MULTICLASS, REGRESSION


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_kind_measures_the_figures_that_it_names_and_compares_by_its_metrics(kind: kinds.Kind) -> None:
    random = np.random.default_rng(2)
    truth = random.integers(2, size=80).astype(float)
    scores = random.random((80, 3)) if kind is MULTICLASS else random.random(80)
    if kind is MULTICLASS:
        scores /= scores.sum(axis=1, keepdims=True)

    figures = kind.measure(truth, scores)
    tests = {metric: paired(truth, scores, scores) for metric, paired in kind.paired.items()}

    assert set(kind.figures) <= set(figures) and kind.usual in kind.paired
    assert all(test.name == metric and test.difference == 0 for metric, test in tests.items())
    assert all(kind.lack_of(metric) is None for metric in kind.paired)


def test_a_metric_of_another_kind_is_refused_with_those_there_are() -> None:
    assert MULTICLASS.lack_of("rmse") == (
        "'rmse' is of models that answer a number; this one answers one of several classes: "
        "ask for accuracy, macro_f1, log_loss"
    )
    assert (
        BINARY.lack_of("aucc") == "there is no paired test for 'aucc'; those there are: auc, brier, log_loss, accuracy"
    )
    assert set(METRICS) > LOSSES and kinds.of_figure("r2") == [REGRESSION]


def test_margins_of_two_classes_are_ranked_and_promise_nothing() -> None:
    truth, margins = np.arange(60) % 2, np.linspace(-3, 3, 60)

    assert set(BINARY.measure(truth, margins)) == {"auc"}
