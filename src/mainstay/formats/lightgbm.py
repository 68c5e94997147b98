# SPDX-License-Identifier: Apache-2.0
"""LightGBM, in its own text form.

In: a `Booster`, or one of the estimators with scikit-learn's face. Out: ``model.txt`` and ``facts.json``.
The text is data, but LightGBM's parser trusts it: a stranger's file belongs into `limited.check_in_child` first.
`inspect` sees truncation by the sizes the text states itself, because the parser would rather crash.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mainstay import formats
from mainstay.domain.errors import Invalid
from mainstay.formats import Array, Files, Table
from mainstay.formats.facts import Facts, Told

FILE = "model.txt"
_UNNAMED = re.compile(r"Column_\d+")


@formats.adapter("lightgbm")
class Lightgbm:
    """Saves boosters."""

    version = 1
    extra = "boost"
    libraries: tuple[str, ...] = ("lightgbm", "numpy")
    match: Literal["minor", "not_older"] = "not_older"
    runs_code = False
    memory_mb = formats.MEMORY_MB

    def recognises(self, model: object) -> bool:
        is_ours = type(model).__module__.split(".")[0] == "lightgbm"
        return is_ours and (hasattr(model, "model_to_string") or hasattr(model, "fit"))

    def save(self, model: Any) -> dict[str, bytes]:
        booster = getattr(model, "booster_", model)
        if getattr(booster, "pandas_categorical", None):
            raise Invalid(
                "this booster has columns of pandas's category type, coded by their order in the training frame;"
                " put an OrdinalEncoder before it, or use HistGradientBoosting, which keeps its own."
            )
        text: str = booster.model_to_string()
        return {FILE: text.encode(), **_facts(booster, model, text).to_files()}

    def inspect(self, files: Files) -> list[str]:
        if FILE not in files:
            return [f"it has no file {FILE!r}."]
        if not _is_whole(formats.read(files, FILE)):
            return [f"{FILE} is not a whole LightGBM model in text form."]
        return Facts.problems(files)

    def load(self, files: Files) -> Boosted:
        import lightgbm

        try:
            booster = lightgbm.Booster(model_str=formats.read(files, FILE).decode())
        except (lightgbm.basic.LightGBMError, ValueError) as error:
            raise Invalid(f"{FILE} is not a model that LightGBM can read; save it again.") from error
        return Boosted(booster=booster, facts=Facts.from_files(files), width=int(booster.num_feature()))


@dataclass(frozen=True, kw_only=True, eq=False)
class Boosted(Told):
    """A loaded booster. Its own lock lets several threads predict at once."""

    booster: Any
    facts: Facts
    width: int

    def predict(self, table: Table) -> Array:
        rows = self.facts.matrix(table, self.width)
        if not len(rows):
            return self.facts.empty()
        return np.asarray(self.booster.predict(rows, num_threads=1), dtype=np.float64)


def _facts(booster: Any, model: Any, text: str) -> Facts:
    names = tuple(booster.feature_name())
    labels = getattr(model, "classes_", None)
    return facts_of(
        text,
        columns=None if all(_UNNAMED.fullmatch(name) for name in names) else names,
        classes=None if labels is None else np.asarray(labels).tolist(),
    )


def facts_of(text: str, *, columns: tuple[str, ...] | None, classes: list[Any] | None) -> Facts:
    """What a model's text says, completed by what it does not: the names of its columns, a classifier's labels.

    Raises:
        Invalid: it is a classifier of an objective of its own.
    """
    found = re.search(r"^objective=(\S+)(.*)$", text, re.MULTILINE)
    objective, rest = (found[1], found[2]) if found else ("", "")
    if objective in ("binary", "cross_entropy"):
        return Facts(columns=columns, classes=[0, 1] if classes is None else classes, scores="probability")
    if objective in ("multiclass", "multiclassova"):
        count = re.search(r"num_class:(\d+)", rest)
        numbers = list(range(int(count[1]) if count else 0))
        return Facts(columns=columns, classes=numbers if classes is None else classes, scores="probability")
    if classes is not None:
        raise Invalid(
            "this classifier has an objective of its own, of which its file does not tell what the scores are."
        )
    return Facts(columns=columns, classes=None, scores="value")


def _is_whole(content: bytes) -> bool:
    """The header states the length of each tree; after the last comes a line that says so."""
    sizes = re.search(rb"^tree_sizes=([\d ]*)$", content[: 2**24], re.MULTILINE)
    start = content.find(b"Tree=0\n")
    if not content.startswith(b"tree\n") or not sizes or start < 0:
        return False
    end = start + sum(map(int, sizes[1].split()))
    return content[end:].startswith(b"end of trees") and content.endswith(b"\n")


_: formats.Format = Lightgbm()
