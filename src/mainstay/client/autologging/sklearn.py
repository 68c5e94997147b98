# SPDX-License-Identifier: Apache-2.0
"""scikit-learn: every estimator that can predict, also those of XGBoost and LightGBM with its face.

Kept: parameters (of a pipeline's parts too), how well the model does on what it has just learnt, what a search found,
the curves of boosters that were given rows to watch, and the model.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

from mainstay.client import autologging, recording

MODULE = "sklearn.base"
MOST_ROWS = 1_000_000  # beyond, scoring the training rows once more would take longer than anybody wants


def patch(module: ModuleType) -> Sequence[autologging.Undo]:
    """Watch ``fit`` of the estimators that are there, and of those that are defined later."""
    top = module.BaseEstimator
    undo = [autologging.watch(kind, "fit", Fit, wanted=_predicts) for kind in _kinds(top) if _fits(kind)]
    before = top.__dict__.get("__init_subclass__")

    def define(kind: Any, /, **options: Any) -> None:
        super(top, kind).__init_subclass__(**options)
        if _fits(kind):
            undo.append(autologging.watch(kind, "fit", Fit, wanted=_predicts))

    if before is None:
        top.__init_subclass__ = classmethod(define)

    def restore() -> None:
        if before is None:
            del top.__init_subclass__
        for each in undo:
            each()

    return [restore]


class Fit:
    """One call of ``fit``."""

    name = "fit"

    def begin(self, call: inspect.BoundArguments) -> None:
        """Keep the parameters, as they are before the estimator learns anything."""
        self.call = call
        estimator = self._given("self")
        autologging.log_params({"estimator_class": type(estimator).__name__, **estimator.get_params()})

    def end(self, result: Any) -> None:
        """Keep what came of it, each thing by itself: one that fails takes no other with it."""
        estimator = self._given("self")
        with autologging.quietly("the training metrics"):
            autologging.log_metrics({f"training_{name}": value for name, value in self._scores(estimator)})
        with autologging.quietly("what a search found"):
            _log_search(estimator)
        with autologging.quietly("the curves of a booster"):
            _log_curves(estimator)
        with autologging.quietly("the model"):
            autologging.log_model(getattr(estimator, "best_estimator_", estimator))

    def _scores(self, estimator: Any) -> Iterator[tuple[str, float]]:
        from sklearn import base, metrics

        rows = next(iter(list(self.call.arguments.values())[1:2]), None)
        truth, weights = self._given("y"), self._given("sample_weight")
        if rows is None or truth is None or len(truth) > MOST_ROWS:
            return
        found = estimator.predict(rows)
        if base.is_classifier(estimator):
            weighted = {"average": "weighted", "zero_division": 0, "sample_weight": weights}
            yield "accuracy", metrics.accuracy_score(truth, found, sample_weight=weights)
            yield "precision", metrics.precision_score(truth, found, **weighted)
            yield "recall", metrics.recall_score(truth, found, **weighted)
            yield "f1", metrics.f1_score(truth, found, **weighted)
            if hasattr(estimator, "predict_proba"):
                chances = estimator.predict_proba(rows)
                yield "log_loss", metrics.log_loss(truth, chances, sample_weight=weights, labels=estimator.classes_)
                two = chances[:, 1] if chances.shape[1] == 2 else chances
                ranked = {"average": "weighted", "multi_class": "ovr", "sample_weight": weights}
                yield "roc_auc", metrics.roc_auc_score(truth, two, **ranked)
        elif base.is_regressor(estimator):
            yield "r2", metrics.r2_score(truth, found, sample_weight=weights)
            yield "rmse", metrics.root_mean_squared_error(truth, found, sample_weight=weights)
            yield "mae", metrics.mean_absolute_error(truth, found, sample_weight=weights)

    def _given(self, name: str) -> Any:
        return self.call.arguments.get(name, self.call.arguments.get("fit_params", {}).get(name))


def _log_search(estimator: Any) -> None:
    if not hasattr(estimator, "cv_results_"):
        return
    recording.log_table("cv_results.csv", _columns(estimator.cv_results_))
    if hasattr(estimator, "best_params_"):
        autologging.log_params({f"best_{name}": value for name, value in estimator.best_params_.items()})
        autologging.log_metrics({"best_cv_score": estimator.best_score_})


def _columns(results: Mapping[str, Any]) -> dict[str, list[Any]]:
    """A search's results as columns of plain values; each set of parameters stands in words."""
    columns = {name: list(values) for name, values in results.items() if not name.startswith("param_")}
    return {name: [str(each) for each in found] if name == "params" else found for name, found in columns.items()}


def _log_curves(estimator: Any) -> None:
    results: Any = None
    # Both libraries raise where there were no rows to watch.
    with contextlib.suppress(Exception):
        found = getattr(estimator, "evals_result_", None) or estimator.evals_result()
        results = found() if callable(found) else found
    for rows, curves in (results or {}).items():
        for name, values in curves.items():
            for step, value in enumerate(values):
                autologging.log_metrics({f"{rows}/{name}": value}, step)


def _fits(kind: type) -> bool:
    return inspect.isfunction(vars(kind).get("fit"))


def _predicts(estimator: Any, *_: Any, **__: Any) -> bool:
    # Asked of the object, not of the class that defines ``fit``: what only transforms is a part of some training.
    return hasattr(estimator, "predict")


def _kinds(top: type) -> Iterator[type]:
    seen: set[type] = set()
    waiting: list[type] = [top]
    while waiting:
        below: list[type] = type.__subclasses__(waiting.pop())
        for kind in below:
            if kind not in seen:
                seen.add(kind)
                waiting.append(kind)
                yield kind
