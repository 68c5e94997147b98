# SPDX-License-Identifier: Apache-2.0
"""Kinds of answers: by which figures a model is judged, and by which paired tests two of them are compared.

In: the word for what a signature's output is. Out: a `Kind`: the figures that it measures, the tests by metric, and for which of
them less is better. A metric is asked of a kind that has it, or refused by name; nothing is measured that would mean nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mainstay.domain.errors import Invalid
from mainstay.measures import classes, paired, performance, regression
from mainstay.measures.paired import PairedTest
from mainstay.measures.performance import Figure

#: Of these less is better.
LOSSES = frozenset({"brier", "log_loss", "mae", "rmse"})


@dataclass(frozen=True, kw_only=True)
class Kind:
    """``says``: what such a model answers, in words. ``usual``: the metric that is meant where none is named."""

    name: str
    says: str
    figures: tuple[str, ...]
    usual: str
    paired: Mapping[str, Callable[..., PairedTest]]
    measure: Callable[[ArrayLike, ArrayLike], dict[str, Figure]]

    def lack_of(self, metric: str) -> str | None:
        """Why ``metric`` cannot be asked of such a model as a paired test; None if it can."""
        if metric in self.paired:
            return None
        there = ", ".join(self.paired)
        others = [kind.says for kind in KINDS.values() if metric in kind.paired]
        if not others:
            return f"there is no paired test for {metric!r}; those there are: {there}"
        return (
            f"{metric!r} is of models that answer {' or '.join(others)}; this one answers {self.says}: ask for {there}"
        )


def _of_two(paired: Callable[..., PairedTest]) -> Callable[..., PairedTest]:
    """A test of several classes for the probability of one of two."""

    def test(
        labels: ArrayLike, score_a: ArrayLike, score_b: ArrayLike, *, clusters: ArrayLike | None = None
    ) -> PairedTest:
        truth = performance.read_labels(labels)
        both = (performance.read_scores(scores, len(truth)) for scores in (score_a, score_b))
        a, b = (np.column_stack([1.0 - scores, scores]) for scores in both)
        return paired(truth, a, b, clusters=clusters)

    return test


def _binary(labels: ArrayLike, scores: ArrayLike) -> dict[str, Figure]:
    try:
        return performance.evaluate_binary(labels, scores)
    except Invalid:  # margins: they rank, and promise nothing
        return {"auc": performance.auc(labels, scores)}


BINARY = Kind(
    name="binary",
    says="the probability of one of two classes",
    figures=("auc", "brier", "log_loss", "accuracy", "base_rate"),
    usual="auc",
    paired={
        "auc": paired.auc,
        "brier": paired.brier,
        "log_loss": _of_two(classes.paired_log_loss),
        "accuracy": _of_two(classes.paired_accuracy),
    },
    measure=_binary,
)
MULTICLASS = Kind(
    name="multiclass",
    says="one of several classes",
    figures=("accuracy", "macro_f1", "log_loss"),
    usual="accuracy",
    paired={
        "accuracy": classes.paired_accuracy,
        "macro_f1": classes.paired_macro_f1,
        "log_loss": classes.paired_log_loss,
    },
    measure=classes.evaluate_classes,
)
REGRESSION = Kind(
    name="regression",
    says="a number",
    figures=("mae", "rmse", "r2", "bias"),
    usual="mae",
    paired={
        "mae": regression.paired_absolute_error,
        "rmse": regression.paired_root_mean_squared_error,
        "r2": regression.paired_r_squared,
    },
    measure=regression.evaluate_regression,
)
KINDS = {kind.name: kind for kind in (BINARY, MULTICLASS, REGRESSION)}
#: Every metric for which there is a paired test, of whatever kind.
METRICS = tuple(dict.fromkeys(metric for kind in KINDS.values() for metric in kind.paired))


def of_figure(name: str) -> list[Kind]:
    """The kinds that have a figure of this name."""
    return [kind for kind in KINDS.values() if name in kind.figures]
