# SPDX-License-Identifier: Apache-2.0
"""scikit-learn, as one canonical skops archive.

In: a fitted estimator or pipeline of scikit-learn's own parts. Out: ``model.skops``, loadable by plain skops too.
The types a file may hold are a closed list (`sklearn_types`), its bytes are canonical (`skops_archive`), and what
compiled code will follow blindly is measured after loading (`sklearn_bounds`).

The recommended shape for tables with categories needs no pandas at prediction and meets the unknown calmly::

    HistGradientBoostingClassifier(categorical_features=[0, 3]).fit(rows, y)   # rows: an object array, or a DataFrame

HistGradientBoosting then keeps an encoder of its own, in which a category never seen and a missing one are both
"missing", a case that the trees have learned to place. (More than 255 categories: put
``OrdinalEncoder(max_categories=255, handle_unknown="use_encoded_value", unknown_value=nan)`` before it.)
``categorical_features="from_dtype"`` on a DataFrame gives the same thing. Any other estimator: a `ColumnTransformer`
over column *positions*, with an encoder that has `handle_unknown` set, fitted on an object array.
A `ColumnTransformer` fitted by column names on a DataFrame works as well: it is turned to positions when loaded.
Only a `FunctionTransformer`, a `MissingIndicator` or `set_output` among the parts costs a DataFrame for each call.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mainstay import formats
from mainstay.domain.errors import Invalid, MainstayError, Unavailable
from mainstay.formats import Array, Files, Scores, Table, sklearn_bounds, sklearn_types, skops_archive

FILE = "model.skops"
SMALL_BATCH_ROWS = 10_000  # from here on threads pay

# Fitted on a frame, these hand it to a function or look at the types of its columns; so they get a frame again.
_NEEDS_FRAME = ("FunctionTransformer", "MissingIndicator")


@formats.adapter("sklearn")
class Sklearn:
    """Saves fitted estimators with skops."""

    version = 1
    extra = "sklearn"
    libraries: tuple[str, ...] = ("scikit-learn", "skops", "numpy", "scipy")
    match: Literal["minor", "not_older"] = "minor"
    runs_code = False
    memory_mb = formats.MEMORY_MB

    def recognises(self, model: object) -> bool:
        kinds = type(model).__mro__
        is_ours = any(kind.__module__ == "sklearn.base" and kind.__name__ == "BaseEstimator" for kind in kinds)
        return is_ours and kinds[0].__module__.split(".")[0] not in ("xgboost", "lightgbm")

    def save(self, model: Any) -> dict[str, bytes]:
        from sklearn.utils.validation import check_is_fitted
        from skops import io as skops_io

        _check_predicts(model)
        try:
            check_is_fitted(model)
            archive = skops_io.dumps(model)
        # Its walk calls __reduce__ and __getstate__ of whatever the model holds, which may raise anything.
        except Exception as error:
            raise Invalid(f"this {type(model).__name__} cannot be saved: {_first_line(error)}") from error
        return {FILE: skops_archive.canonical(archive, global_random_state=id(np.random.mtrand._rand))}

    def inspect(self, files: Files) -> list[str]:
        allowed = sklearn_types.allowed()
        if FILE not in files:
            return [f"it has no file {FILE!r}."]
        return skops_archive.problems(formats.read(files, FILE), types=allowed.types, functions=allowed.functions)

    def load(self, files: Files) -> Served:
        return _read(formats.read(files, FILE))


def _read(archive: bytes) -> Served:
    from skops import io as skops_io

    try:
        # skops copies the list for every node: all of it would make a forest load four times as slowly.
        trusted = sorted(skops_archive.names(archive) & sklearn_types.allowed().trusted)
        estimator = skops_io.load(io.BytesIO(archive), trusted=trusted)
        sklearn_bounds.check(estimator)
        return serve(estimator)
    except (MemoryError, MainstayError):
        raise
    # A stranger's bytes, read by code that assumes its own: any error at all means that they are not a model.
    except Exception as error:
        raise Invalid(f"{FILE} is not a model that skops can read: {_first_line(error)}") from error


@dataclass(frozen=True, kw_only=True, eq=False)
class Served:
    """A loaded estimator, made ready to answer."""

    estimator: Any
    columns: tuple[str, ...] | None
    classes: list[Any] | None
    takes_frame: bool
    scores: Scores
    width: int | None  # None: it reads texts, one a row, and has no columns
    threads: Any  # what holds OpenMP back during a small batch; None where the model uses none
    missing: Any  # what stands for a missing category: None or NaN, as the encoder has learned it

    def predict(self, table: Table) -> Array:
        if formats.row_count(table) == 0:
            many = self.classes is not None and len(self.classes) != 2
            return np.empty((0, len(self.classes or [])) if many else 0)
        rows = self._rows(table)
        is_small = self.threads is not None and formats.row_count(table) < SMALL_BATCH_ROWS
        try:
            with self.threads.limit(limits=1) if is_small else contextlib.nullcontext():
                return self._score(rows)
        # Values it cannot take: infinity, text for a number, a category it was told to refuse. Or the model is damaged
        # in a way that no bounds tell, such as labels that are fewer than the votes for them.
        except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError) as error:
            raise Invalid(f"the model cannot score these rows: {_first_line(error)}") from error

    def _score(self, rows: Any) -> Array:
        if self.scores == "probability":
            found = self.estimator.predict_proba(rows)
            return np.ascontiguousarray(found[:, 1]) if found.shape[1] == 2 else found
        found = self.estimator.decision_function(rows) if self.scores == "margin" else self.estimator.predict(rows)
        return np.asarray(found)

    def _rows(self, table: Table) -> Any:
        if self.width is None:
            return self._texts(table)
        if not isinstance(table, Mapping):
            self._check_width(table.shape[1] if table.ndim == 2 else -1)
            return _frame(list(table.T), self.columns or (), self.missing) if self.takes_frame else table
        arrays = formats.columns_in_order(table, self.columns)
        self._check_width(len(arrays))
        return _frame(arrays, self.columns or (), self.missing) if self.takes_frame else _matrix(arrays, self.missing)

    def _texts(self, table: Table) -> Array:
        column = next(iter(table.values())) if isinstance(table, Mapping) and len(table) == 1 else table
        if isinstance(column, Mapping) or (column.ndim == 2 and column.shape[1] != 1):
            raise Invalid("the model reads one column of texts; the table has another number of columns.")
        return formats.filled(column, "").ravel()

    def _check_width(self, found: int) -> None:
        if found != self.width:
            raise Invalid(f"the model expects rows of {self.width} columns; the table has {max(found, 0)}.")


def serve(estimator: Any) -> Served:
    """Make a loaded estimator predictable: arrays where it takes them, and no threads of its own for a small batch."""
    _check_predicts(estimator)
    columns = getattr(estimator, "feature_names_in_", None)
    width = int(estimator.n_features_in_) if hasattr(estimator, "n_features_in_") else None
    parts = [part for part in sklearn_bounds.members(estimator) if type(part).__module__.startswith("sklearn.")]
    # HistGradientBoosting's own preprocessor selects by mask, and takes arrays of any kind.
    inner = {id(part) for whole in parts for part in sklearn_bounds.members(getattr(whole, "_preprocessor", None))}
    takes_frame = columns is not None and any(_needs_frame(part) for part in parts if id(part) not in inner)
    if takes_frame and importlib.util.find_spec("pandas") is None:
        raise Unavailable("this model was fitted on a pandas frame and needs one to predict; `pip install pandas`.")
    for part in parts:
        state = getattr(part, "__dict__", {})
        if "n_jobs" in state:
            state["n_jobs"] = None  # starting threads costs more than a small batch does
        if not takes_frame:
            _forget_names(state)
    labels = getattr(estimator, "classes_", None) if _is_classifier(estimator) else None
    return Served(
        estimator=estimator,
        columns=None if columns is None else tuple(map(str, columns)),
        classes=None if labels is None else labels.tolist(),
        takes_frame=takes_frame,
        scores=_scores(estimator),
        width=width,
        threads=_threads(parts),
        missing=None if any(map(_learned_none, parts)) else np.nan,
    )


def _threads(parts: list[Any]) -> Any:
    """HistGradientBoosting starts a parallel section for each tree: on a busy machine 20 ms a row in place of 0.7."""
    if not any("_predictors" in getattr(part, "__dict__", {}) for part in parts):
        return None
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="openmp")


def _is_classifier(estimator: Any) -> bool:
    from sklearn.base import is_classifier

    return bool(is_classifier(estimator))


def _scores(estimator: Any) -> Scores:
    if not _is_classifier(estimator):
        return "value"
    return "probability" if hasattr(estimator, "predict_proba") else "margin"


def _check_predicts(estimator: Any) -> None:
    name = type(estimator).__name__
    if not hasattr(estimator, "predict"):
        raise Invalid(f"a {name} does not predict; put it into a pipeline that ends in a classifier or a regressor.")
    if isinstance(getattr(estimator, "classes_", None), list):
        raise Invalid(f"this {name} predicts several targets; save one model for each target.")
    if (
        _is_classifier(estimator)
        and not hasattr(estimator, "predict_proba")
        and not hasattr(estimator, "decision_function")
    ):
        raise Invalid(f"this {name} gives labels but no scores; wrap it in a CalibratedClassifierCV.")


def _needs_frame(part: Any) -> bool:
    state = getattr(part, "__dict__", {})
    if "_sklearn_output_config" in state and state["_sklearn_output_config"].get("transform", "default") != "default":
        return True
    is_passthrough = state.get("func", part) is None
    return type(part).__name__ in _NEEDS_FRAME and "feature_names_in_" in state and not is_passthrough


def _forget_names(state: dict[str, Any]) -> None:
    """Turn a part that was fitted with names into what it would be, had it been fitted without.

    Otherwise every array is met with a warning, and a ColumnTransformer that selects by name refuses it. A frame would
    do, too, at three times the cost of the whole prediction. The positions are those that it has found itself.
    """
    state.pop("feature_names_in_", None)
    if "transformers_" in state and "_transformer_to_input_indices" in state:
        positions = state["_transformer_to_input_indices"]
        state["transformers_"] = [
            (name, part, positions[name][0] if isinstance(columns, str) else positions[name])
            for name, part, columns in state["transformers_"]
        ]


def _learned_none(part: Any) -> bool:
    categories = getattr(part, "__dict__", {}).get("categories_", ())
    return any(None in list(values) for values in categories if np.asarray(values).dtype.kind == "O")


def _matrix(arrays: list[Array], missing: Any) -> Array:
    """One array of all columns: float64 if all are numbers, else objects with ``missing`` for None."""
    are_numbers = all(array.dtype.kind in "fiub" for array in arrays)
    rows = np.empty((len(arrays[0]), len(arrays)), dtype=np.float64 if are_numbers else object)
    for position, array in enumerate(arrays):
        rows[:, position] = array if are_numbers else formats.filled(array, missing)
    return rows


def _frame(arrays: list[Array], columns: tuple[str, ...], missing: Any) -> Any:
    import pandas as pd

    return pd.DataFrame(
        {
            name: pd.Series(formats.filled(array, missing), dtype=array.dtype, copy=False)
            for name, array in zip(columns, arrays, strict=True)
        },
        copy=False,
    )


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:300]


_: formats.Format = Sklearn()
