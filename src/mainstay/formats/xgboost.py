# SPDX-License-Identifier: Apache-2.0
"""XGBoost, in its own binary JSON (UBJ), which every later version can read.

In: a `Booster`, or one of the estimators with scikit-learn's face. Out: ``model.ubj`` and ``facts.json`` (what UBJ does
not say: labels, columns, what the scores are; a file that XGBoost itself wrote may come without). Only the booster is kept;
the estimator's face is not needed to predict. The file is data, but a C++ parser reads it: a stranger's file belongs into
`limited.check_in_child` first.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mainstay import formats
from mainstay.domain.errors import Invalid
from mainstay.formats import Array, Files, Table, facts
from mainstay.formats.facts import Facts, Told

FILE = "model.ubj"


@formats.adapter("xgboost")
class Xgboost:
    """Saves boosters."""

    version = 1
    extra = "boost"
    libraries: tuple[str, ...] = ("xgboost", "numpy")
    match: Literal["minor", "not_older"] = "not_older"
    runs_code = False
    memory_mb = formats.MEMORY_MB

    def recognises(self, model: object) -> bool:
        return type(model).__module__.split(".")[0] == "xgboost" and hasattr(model, "save_model")

    def save(self, model: Any) -> dict[str, bytes]:
        booster = model.get_booster() if hasattr(model, "get_booster") else model
        if booster.feature_types and "c" in booster.feature_types:
            raise Invalid(
                "this booster has columns of pandas's category type, whose coding it does not carry across versions;"
                " put an OrdinalEncoder before it, or use HistGradientBoosting, which keeps its own."
            )
        return {FILE: bytes(booster.save_raw(raw_format="ubj")), **_facts(booster, model).to_files()}

    def inspect(self, files: Files) -> list[str]:
        if FILE not in files:
            return [f"it has no file {FILE!r}."]
        content = formats.read(files, FILE)
        if content[:1] != b"{" or content[-1:] != b"}" or b"learner" not in content[:64]:
            return [f"{FILE} is not a whole XGBoost model in UBJ or JSON."]
        return [] if _tells_itself(files) else Facts.problems(files)

    def load(self, files: Files) -> Boosted:
        import xgboost

        booster = xgboost.Booster()
        try:
            booster.load_model(bytearray(formats.read(files, FILE)))
        except (xgboost.core.XGBoostError, ValueError) as error:
            raise Invalid(f"{FILE} is not a model that XGBoost can read; save it again.") from error
        booster.set_param({"nthread": 1})  # a small batch is done before other threads have woken up
        # XGBoost's own estimator accepts no labels but 0, 1, 2 …, so the number of classes is all there is to know.
        told = _facts(booster, booster) if _tells_itself(files) else Facts.from_files(files)
        if told.scores == "probability" and len(told.classes or ()) > 2:
            booster.set_param({"objective": "multi:softprob"})  # softmax gives labels only
        best = booster.attr("best_iteration")
        return Boosted(
            booster=booster, facts=told, rounds=(0, int(best) + 1 if best else 0), width=int(booster.num_features())
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Boosted(Told):
    """A loaded booster."""

    booster: Any
    facts: Facts
    rounds: tuple[int, int]  # (0, 0): all of them
    width: int

    def predict(self, table: Table) -> Array:
        rows = self.facts.matrix(table, self.width)
        if not len(rows):
            return self.facts.empty()
        # inplace_predict, unlike predict, may be called from several threads at once.
        found = self.booster.inplace_predict(rows, iteration_range=self.rounds, missing=np.nan, validate_features=False)
        return np.asarray(found, dtype=np.float64)


def _facts(booster: Any, model: Any) -> Facts:
    objective = json.loads(booster.save_config())["learner"]["objective"]
    name = objective["name"]
    columns = tuple(booster.feature_names) if booster.feature_names else None
    if name == "binary:hinge":
        raise Invalid("objective 'binary:hinge' gives labels but no scores; train with 'binary:logistic'.")
    if name in ("binary:logistic", "reg:logistic") and (name == "binary:logistic" or hasattr(model, "classes_")):
        return Facts(columns=columns, classes=_labels(model, 2), scores="probability")
    if name == "binary:logitraw":
        return Facts(columns=columns, classes=_labels(model, 2), scores="margin")
    if name.startswith("multi:"):
        count = int(objective["softmax_multiclass_param"]["num_class"])
        return Facts(columns=columns, classes=_labels(model, count), scores="probability")
    return Facts(columns=columns, classes=None, scores="value")


def _tells_itself(files: Files) -> bool:
    return facts.FILE in files and formats.read(files, facts.FILE) == facts.ASK_THE_MODEL


def _labels(model: Any, count: int) -> list[Any]:
    labels = getattr(model, "classes_", None)
    return list(range(count)) if labels is None else np.asarray(labels).tolist()


_: formats.Format = Xgboost()
