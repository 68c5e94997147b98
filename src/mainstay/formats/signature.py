# SPDX-License-Identifier: Apache-2.0
"""The signature: which columns a model version takes, and what it answers.

In: a training table and the model. Out: a `Signature`, pure data, from which the gateway compiles its validation and
monitoring takes its columns. Types, required columns, nulls and categories are rules; ``minimum`` and ``maximum`` are
only what training has seen: a value beyond them is flagged and logged, never refused.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from mainstay.domain.errors import Invalid
from mainstay.formats import Array

if TYPE_CHECKING:
    import pyarrow as pa

Type = Literal["float", "int", "str", "bool", "datetime"]
# "classification": some labels, which the model itself names when it is loaded.
Answer = Literal["binary", "multiclass", "classification", "regression"]

CATEGORIES_AT_MOST = 100  # more different texts than that are a text, not a category


@dataclass(frozen=True, kw_only=True)
class Column:
    """One input. ``categories``: the texts seen in training, sorted; a new one is a flag, too, not an error.

    ``minimum`` and ``maximum`` are numbers, or ISO 8601 texts for a datetime.
    """

    name: str
    type: Type
    required: bool = True
    nullable: bool = False
    categories: tuple[str, ...] | None = None
    minimum: float | str | None = None
    maximum: float | str | None = None

    def to_json(self) -> dict[str, Any]:
        """Without the parts that say nothing."""
        found: dict[str, Any] = {
            "name": self.name,
            "type": self.type,
            "required": self.required,
            "nullable": self.nullable,
        }
        if self.categories is not None:
            found["categories"] = list(self.categories)
        return found | {key: value for key in ("minimum", "maximum") if (value := getattr(self, key)) is not None}


@dataclass(frozen=True, kw_only=True)
class Output:
    """The answer. ``positive`` is the class that the one score of a binary classifier is about."""

    type: Answer
    classes: tuple[str | int | float | bool, ...] | None = None
    positive: str | int | float | bool | None = None

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {"type": self.type}
        if self.classes is not None:
            found["classes"] = list(self.classes)
        return found if self.positive is None else {**found, "positive": self.positive}

    def places(self, labels: pa.ChunkedArray) -> Array:
        """The place of each label among the classes, as float64; NaN where there is no label.

        Raises:
            Invalid: a label is none of the classes.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        known = {label: float(place) for place, label in enumerate(self.classes or ())}
        encoded = pc.dictionary_encode(labels)
        encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
        different = encoded.dictionary.to_pylist()
        if strangers := sorted(repr(each) for each in different if each is not None and each not in known):
            raise Invalid(
                f"there is label {strangers[0]}; the model knows {', '.join(map(repr, self.classes or ())) or 'none'}."
            )
        places = np.array([np.nan if each is None else known[each] for each in different] + [np.nan])
        found: Array = places[encoded.indices.fill_null(len(different)).to_numpy(zero_copy_only=False)]
        return found


@dataclass(frozen=True, kw_only=True)
class Signature:
    """The inputs in the model's order, and the answer.

    ``views``: the versions of feature views that inputs were made by; such inputs are looked up, not asked for.
    ``transforms``: what is computed at the moment of asking, of the request and of what was looked up, in this order.
    ``sources``: features that other stores are asked for.
    """

    inputs: tuple[Column, ...]
    output: Output
    views: tuple[Mapping[str, Any], ...] = ()
    transforms: tuple[Mapping[str, Any], ...] = ()
    sources: tuple[Mapping[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain lists and mappings; `from_json` undoes it."""
        found = {"inputs": [column.to_json() for column in self.inputs], "output": self.output.to_json()}
        pins = {"views": self.views, "transforms": self.transforms, "sources": self.sources}
        return found | {name: [dict(each) for each in several] for name, several in pins.items() if several}

    @classmethod
    def from_json(cls, data: Any) -> Signature:
        """Raises Invalid: ``data`` is no signature; the message names the place."""
        parts = set(data) - {"views", "transforms", "sources"} if isinstance(data, Mapping) else None
        if parts != {"inputs", "output"} or not isinstance(data["inputs"], list):
            raise Invalid("a signature is an object with a list 'inputs' and an object 'output'.")
        inputs = tuple(_column(item, f"inputs[{place}]") for place, item in enumerate(data["inputs"]))
        names = [column.name for column in inputs]
        if len(set(names)) != len(names):
            raise Invalid(f"a signature names column {next(n for n in names if names.count(n) > 1)!r} twice.")
        transforms = _transforms(data.get("transforms", []))
        made_of = {each["name"] for one in transforms for each in one["inputs"]}
        views = _views(data.get("views", []), {*names, *made_of})
        sources = _sources(data.get("sources", []))
        output = _output(data["output"])
        return cls(inputs=inputs, output=output, views=views, transforms=transforms, sources=sources)

    def arrays(self, table: pa.Table) -> dict[str, Array]:
        """The inputs as `formats.Model.predict` takes them: numbers as float64 with NaN, texts as objects with None.

        Raises:
            Invalid: a required column is missing, or one cannot be read as its type.
        """
        found = {}
        for column in self.inputs:
            if column.name in table.column_names:
                found[column.name] = _as_array(table.column(column.name), column)
            elif column.required:
                raise Invalid(
                    f"column {column.name!r} is missing; the table has {', '.join(map(repr, table.column_names))}."
                )
            else:
                found[column.name] = _all_missing(table.num_rows, column)
        return found


def infer_signature(table: pa.Table, target: str | None, model: object | None = None) -> Signature:
    """The signature of ``model``, trained on ``table``.

    Args:
        table: the training table. target: its column of truth, which is no input.
        model: loaded or just fitted. Its columns, if it knows them, say which inputs there are and in which order; its
            classes say what it answers. Without one, every column but the target is an input.

    Raises:
        Invalid: the model knows a column that the table has not, or a column's type is none a signature has.
    """
    names = _model_columns(model) or tuple(name for name in table.column_names if name != target)
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise Invalid(
            f"the model was fitted on column {', '.join(map(repr, missing))}, which the table has not.", missing=missing
        )
    inputs = tuple(_inferred(name, table.column(name)) for name in names)
    return Signature(inputs=inputs, output=_answer(table, target, model))


def _inferred(name: str, values: pa.ChunkedArray) -> Column:
    import pyarrow.compute as pc

    kind = _type_of(name, values)
    present = values.drop_null()
    if kind == "float":
        present = present.cast("float64")
        present = present.filter(pc.is_finite(present))
    nullable = len(present) < len(values)
    if kind == "str":
        return Column(name=name, type=kind, nullable=nullable, categories=_categories(present))
    if kind == "bool" or not len(present):
        return Column(name=name, type=kind, nullable=nullable)
    ends = pc.min_max(present).as_py()
    return Column(name=name, type=kind, nullable=nullable, minimum=_end(ends["min"]), maximum=_end(ends["max"]))


def _type_of(name: str, values: pa.ChunkedArray) -> Type:
    import pyarrow.types as kinds

    kind = values.type.value_type if kinds.is_dictionary(values.type) else values.type
    if kinds.is_boolean(kind):
        return "bool"
    if kinds.is_integer(kind):
        return "int"
    if kinds.is_floating(kind) or kinds.is_decimal(kind) or kinds.is_null(kind):
        return "float"
    if kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind):
        return "str"
    if kinds.is_timestamp(kind) or kinds.is_date(kind):
        return "datetime"
    raise Invalid(
        f"column {name!r} is {kind}; a model takes {', '.join(get_args(Type))}. Derive such columns from it first."
    )


def _categories(present: pa.ChunkedArray) -> tuple[str, ...] | None:
    different = present.unique().to_pylist()
    return tuple(sorted(different)) if 0 < len(different) <= CATEGORIES_AT_MOST else None


def _end(value: Any) -> float | str:
    if isinstance(value, datetime.datetime | datetime.date):
        return value.isoformat()
    return value if isinstance(value, int) else float(value)


def _model_columns(model: object | None) -> tuple[str, ...] | None:
    columns = getattr(model, "columns", None)
    if columns is None:
        columns = getattr(model, "feature_names_in_", None)
    return None if columns is None else tuple(map(str, columns))


def _answer(table: pa.Table, target: str | None, model: object | None) -> Output:
    classes = getattr(model, "classes", None)
    if classes is None:
        classes = getattr(model, "classes_", None)
    if classes is None and model is None and target is not None:
        classes = _classes_of(target, table.column(target))
    if classes is None:
        return Output(type="regression")
    labels = tuple(np.asarray(classes).tolist())
    if len(labels) == 2:
        return Output(type="binary", classes=labels, positive=labels[1])
    return Output(type="multiclass", classes=labels)


def _classes_of(target: str, values: pa.ChunkedArray) -> list[Any] | None:
    """Without a model: texts and booleans are classes, and so are whole numbers if there are only two of them."""
    kind = _type_of(target, values)
    different = sorted(values.drop_null().unique().to_pylist()) if kind in ("str", "bool", "int") else []
    return different if kind in ("str", "bool") or len(different) == 2 else None


def _as_array(values: pa.ChunkedArray, column: Column) -> Array:
    import pyarrow as pa

    try:
        if column.type == "str":
            return np.array(values.cast(pa.string()).to_pylist(), dtype=object)
        if column.type == "datetime":
            moments: Array = values.cast(pa.timestamp("us")).to_numpy()
            return moments
        # A boolean goes by way of a small number: Arrow does not make a float of it at once.
        numbers: Array = (values.cast(pa.int8()) if column.type == "bool" else values).cast(pa.float64()).to_numpy()
        return numbers
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise Invalid(f"column {column.name!r} is {values.type}, and cannot be read as {column.type}.") from error


def _all_missing(rows: int, column: Column) -> Array:
    if column.type == "str":
        return np.full(rows, None, dtype=object)
    return np.full(rows, "NaT", dtype="datetime64[us]") if column.type == "datetime" else np.full(rows, np.nan)


def _column(item: Any, place: str) -> Column:
    known = {"name", "type", "required", "nullable", "categories", "minimum", "maximum"}
    if not isinstance(item, Mapping) or not {"name", "type"} <= set(item) <= known:
        raise Invalid(
            f"{place} of a signature has 'name' and 'type', and may have {', '.join(sorted(known - {'name', 'type'}))}."
        )
    categories = item.get("categories")
    is_sound = (
        isinstance(item["name"], str)
        and item["type"] in get_args(Type)
        and isinstance(item.get("required", True), bool)
        and isinstance(item.get("nullable", False), bool)
        and (categories is None or (isinstance(categories, list) and all(isinstance(one, str) for one in categories)))
        and all(_is_end(item.get(key), item["type"]) for key in ("minimum", "maximum"))
    )
    if not is_sound:
        raise Invalid(
            f"{place} of a signature has a part of the wrong type; its type is one of {', '.join(get_args(Type))}."
        )
    return Column(**{**item, "categories": None if categories is None else tuple(categories)})


_MOMENT = re.compile(r"\d{4}-\d\d-\d\d(T[\d:.]+([+-]\d\d:\d\d|Z)?)?")


def _is_end(value: Any, kind: str) -> bool:
    if value is None:
        return True
    if kind == "datetime":
        return isinstance(value, str) and _MOMENT.fullmatch(value) is not None
    return kind in ("float", "int") and isinstance(value, int | float) and not isinstance(value, bool)


def _transforms(items: Any) -> tuple[Mapping[str, Any], ...]:
    """Their shape only: whoever carries them out reads what they say."""
    parts = {"name": str, "type": str, "inputs": list, "moment": str | None, "expression": list}
    columns = {"name": str, "type": str}
    if not isinstance(items, list) or not all(
        _has(item, parts) and all(_has(each, columns) for each in item["inputs"]) for item in items
    ):
        raise Invalid(f"'transforms' of a signature is a list of objects with {', '.join(parts)}.")
    return tuple(items)


def _sources(items: Any) -> tuple[Mapping[str, Any], ...]:
    parts = {"source": str, "features": list, "entity": list, "columns": list}
    columns = {"name": str, "type": str}
    if not isinstance(items, list) or not all(
        _has(item, parts) and all(_has(each, columns) for each in (*item["entity"], *item["columns"])) for item in items
    ):
        raise Invalid(f"'sources' of a signature is a list of objects with {', '.join(parts)}.")
    return tuple(items)


def _has(item: Any, parts: Mapping[str, Any]) -> bool:
    return (
        isinstance(item, Mapping)
        and set(item) == set(parts)
        and all(isinstance(item[name], kind) for name, kind in parts.items())
    )


def _views(items: Any, inputs: Collection[str]) -> tuple[Mapping[str, Any], ...]:
    parts = {"view": str, "version": int, "digest": str, "entity": list, "columns": list, "definition": dict}
    if not isinstance(items, list) or not all(_has(item, parts) for item in items):
        raise Invalid(f"'views' of a signature is a list of objects with {', '.join(parts)}.")
    for item in items:
        if strange := [name for name in item["columns"] if name not in inputs]:
            raise Invalid(f"view {item['view']!r} of a signature makes {strange[0]!r}, which is no input of it.")
    return tuple(items)


def _output(item: Any) -> Output:
    if not isinstance(item, Mapping) or not {"type"} <= set(item) <= {"type", "classes", "positive"}:
        raise Invalid("'output' of a signature has 'type', and may have 'classes' and 'positive'.")
    classes, positive = item.get("classes"), item.get("positive")
    if item["type"] not in get_args(Answer) or (item["type"] in ("binary", "multiclass")) != (classes is not None):
        raise Invalid(f"'output' is one of {', '.join(get_args(Answer))}; binary and multiclass come with 'classes'.")
    if classes is not None and (
        not isinstance(classes, list) or not all(isinstance(one, str | int | float) for one in classes)
    ):
        raise Invalid("'classes' of a signature is a list of texts and numbers.")
    if positive is not None and positive not in (classes or ()):
        raise Invalid(f"'positive' is {positive!r}, which is not one of the classes.")
    return Output(type=item["type"], classes=None if classes is None else tuple(classes), positive=positive)
