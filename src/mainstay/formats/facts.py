# SPDX-License-Identifier: Apache-2.0
"""``facts.json``: what a native model file does not say about itself.

In: columns, labels, what the scores are. Out: canonical JSON beside the model, and from it the rows that a numeric
model is given. Used by the formats whose libraries keep these things in a wrapper, not in the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np

from mainstay import formats
from mainstay.domain.errors import Invalid
from mainstay.formats import Array, Files, Scores, Table

FILE = "facts.json"
# In place of facts, where a library's own file comes from elsewhere and must be asked itself.
ASK_THE_MODEL = b"{}"


@dataclass(frozen=True, kw_only=True)
class Facts:
    columns: tuple[str, ...] | None
    classes: list[Any] | None
    scores: Scores

    def to_files(self) -> dict[str, bytes]:
        return {FILE: json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode()}

    @classmethod
    def from_files(cls, files: Files) -> Facts:
        """Raises Invalid: absent, or not what `to_files` writes."""
        found = cls.problems(files)
        if found:
            raise Invalid(" ".join(found), problems=found)
        data = json.loads(formats.read(files, FILE))
        columns = data["columns"]
        return cls(columns=None if columns is None else tuple(columns), classes=data["classes"], scores=data["scores"])

    @classmethod
    def problems(cls, files: Files) -> list[str]:
        if FILE not in files:
            return [f"it has no file {FILE!r}."]
        try:
            data = json.loads(formats.read(files, FILE))
        except (ValueError, RecursionError):
            return [f"{FILE} is not JSON."]
        return [] if _is_sound(data) else [f"{FILE} does not say columns, classes and scores as it should."]

    def matrix(self, table: Table, width: int) -> Array:
        """The rows of ``table`` as float64, columns in order. Raises Invalid: other columns than expected."""
        if not isinstance(table, Mapping):
            return _checked(table, width)
        arrays = formats.columns_in_order(table, self.columns)
        names = self.columns or tuple(table)
        texts = [name for name, array in zip(names, arrays, strict=True) if array.dtype.kind not in "fiub"]
        if texts:
            raise Invalid(f"column {', '.join(map(repr, texts))} holds no numbers, and the model reads nothing else.")
        rows = np.empty((formats.row_count(table), len(arrays)))
        for position, array in enumerate(arrays):
            rows[:, position] = array
        return _checked(rows, width)

    def empty(self) -> Array:
        """The scores of no rows."""
        many = self.classes is not None and len(self.classes) != 2
        return np.empty((0, len(self.classes or ())) if many else 0)


class Told:
    """The part of a loaded model that its ``facts`` tell."""

    facts: Facts
    takes_frame = False

    @property
    def columns(self) -> tuple[str, ...] | None:
        return self.facts.columns

    @property
    def classes(self) -> list[Any] | None:
        return self.facts.classes

    @property
    def scores(self) -> Scores:
        return self.facts.scores


def _checked(rows: Array, width: int) -> Array:
    found = rows.shape[1] if rows.ndim == 2 else 0
    if found != width:
        raise Invalid(f"the model expects rows of {width} columns; the table has {found}.")
    return rows


def _is_sound(data: Any) -> bool:
    if not isinstance(data, dict) or set(data) != {"columns", "classes", "scores"}:
        return False
    columns, classes = data["columns"], data["classes"]
    are_names = columns is None or (isinstance(columns, list) and all(isinstance(name, str) for name in columns))
    are_labels = classes is None or (
        isinstance(classes, list) and all(isinstance(one, str | int | float) for one in classes)
    )
    return are_names and are_labels and data["scores"] in get_args(Scores)
