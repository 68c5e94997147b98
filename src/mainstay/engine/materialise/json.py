# SPDX-License-Identifier: Apache-2.0
"""Plain values as canonical JSON: scalars, lists, dicts, dates, enums, dataclasses, records, nested as they come.

What JSON has no word for is written as an object with one key that begins with ``$``; a dict that has such a key itself
is written as pairs. Classes are found again by name among the modules that are already imported: reading imports
nothing.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import json
import math
import sys
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from mainstay.domain.digests import canonical_json
from mainstay.domain.errors import Invalid
from mainstay.engine.materialise import Artifact, materialiser
from mainstay.engine.platform import Blobs


class Unplain(Exception):
    """Somewhere inside there is a value that JSON cannot carry; ``value`` is it."""

    def __init__(self, value: Any) -> None:
        super().__init__(type(value).__qualname__)
        self.value = value


@materialiser("json")
class Plain:
    """Reads back what was written, types included."""

    kinds = ("json",)

    def accepts(self, value: Any) -> bool:
        try:
            _encode(value)
        except Unplain:
            return False
        return True

    def write(self, value: Any, blobs: Blobs) -> Artifact:
        content = dumps(value)
        rows = len(value) if isinstance(value, (list, tuple)) and not hasattr(value, "_fields") else None
        return Artifact(kind="json", digest=blobs.put_blob(content), size=len(content), rows=rows)

    def read(self, artifact: Artifact, blobs: Blobs, wanted: Any) -> Any:
        return loads(blobs.get_blob(artifact.digest))


def dumps(value: Any) -> bytes:
    """Canonical bytes of ``value``.

    Raises:
        Unplain: it holds something that is not a plain value. Invalid: a text in it is no Unicode.

    >>> dumps({"when": date(2013, 1, 1), "share": 0.5})
    b'{"share":0.5,"when":{"$date":"2013-01-01"}}'
    """
    try:
        return canonical_json(_encode(value))
    except UnicodeEncodeError as error:
        text = "a text holds half a character, which cannot be stored; decode it from its bytes anew."
        raise Invalid(text) from error


def loads(content: bytes) -> Any:
    """The value of ``content``; raises Invalid where a class is not imported any more."""
    return decode(json.loads(content))


_TEXTS: dict[type, tuple[str, Callable[[Any], str], Callable[[str], Any]]] = {
    # datetime before date: it is one.
    datetime: ("$datetime", datetime.isoformat, datetime.fromisoformat),
    date: ("$date", date.isoformat, date.fromisoformat),
    time: ("$time", time.isoformat, time.fromisoformat),
    Decimal: ("$decimal", str, Decimal),
    UUID: ("$uuid", str, UUID),
    bytes: ("$bytes", lambda value: base64.b64encode(value).decode(), base64.b64decode),
}
_READERS: dict[str, Callable[[str], Any]] = {tag: read for tag, _, read in _TEXTS.values()}


def _encode(value: Any) -> Any:
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"$float": repr(value)}
    if type(value) is list:
        return [_encode(item) for item in value]
    if type(value) is dict:
        return _encode_dict(value)
    return _encode_rest(value)


def _encode_dict(value: dict[Any, Any]) -> Any:
    if all(type(key) is str and not key.startswith("$") for key in value):
        return {key: _encode(item) for key, item in value.items()}
    pairs = [[_encode(key), _encode(item)] for key, item in value.items()]
    return {"$dict": sorted(pairs, key=lambda pair: canonical_json(pair[0]))}


def _encode_rest(value: Any) -> Any:
    if isinstance(value, enum.Flag):
        return {"$flag": [class_name(type(value)), value.value]}
    if isinstance(value, enum.Enum):
        return {"$enum": [class_name(type(value)), value.name]}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: _encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"$dataclass": [class_name(type(value)), fields]}
    if (names := _field_names(value)) is not None:
        return {"$record": [class_name(type(value)), {name: _encode(getattr(value, name)) for name in names}]}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {"$named": [class_name(type(value)), [_encode(item) for item in value]]}
    if type(value) is tuple:
        return {"$tuple": [_encode(item) for item in value]}
    if type(value) in (set, frozenset):
        return {
            "$set" if type(value) is set else "$frozenset": sorted(
                (_encode(item) for item in value), key=canonical_json
            )
        }
    if type(value) is range:
        return {"$range": [value.start, value.stop, value.step]}
    if type(value) is complex:
        return {"$complex": [_encode(value.real), _encode(value.imag)]}
    if type(value) is timedelta:
        return {"$timedelta": [value.days, value.seconds, value.microseconds]}
    for kind, (tag, write, _) in _TEXTS.items():
        if type(value) is kind:
            return {tag: write(value)}
    # NumPy's scalars, without importing NumPy.
    if type(value).__module__ == "numpy" and hasattr(value, "item") and not hasattr(value, "__len__"):
        return _encode(value.item())
    raise Unplain(value)


def decode(value: Any) -> Any:
    """The value behind JSON as `dumps` writes it."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    tag = next(iter(value), "")
    if not tag.startswith("$"):
        return {key: decode(item) for key, item in value.items()}
    return _decode_tag(tag, value[tag])


def _decode_tag(tag: str, body: Any) -> Any:
    if tag in _READERS:
        return _READERS[tag](body)
    if tag == "$float":
        return float(body)
    if tag == "$range":
        return range(*body)
    if tag == "$complex":
        return complex(*map(decode, body))
    if tag == "$timedelta":
        return timedelta(*body)
    if tag == "$flag":
        return class_of(body[0])(body[1])
    if tag == "$record":
        return _record(class_of(body[0]), decode(body[1]))
    if tag == "$enum":
        return class_of(body[0])[body[1]]
    if tag == "$dataclass":
        return restored(class_of(body[0]), decode(body[1]))
    if tag == "$named":
        return class_of(body[0])(*decode(body[1]))
    if tag == "$dict":
        return {decode(key): decode(item) for key, item in body}
    makers: dict[str, Callable[[Any], Any]] = {"$tuple": tuple, "$set": set, "$frozenset": frozenset}
    if tag in makers:
        return makers[tag](decode(body))
    raise Invalid(
        f"the stored value has a part marked {tag!r}, which this version of Mainstay does not know; upgrade it."
    )


def restored(kind: Any, fields: dict[str, Any]) -> Any:
    """An instance of a dataclass with these fields."""
    # Past __init__: a value that existed is restored as it was, whatever its constructor checks or computes today.
    made = object.__new__(kind)
    for name, value in fields.items():
        object.__setattr__(made, name, value)
    return made


def _field_names(value: Any) -> tuple[str, ...] | None:
    """Fields of a msgspec Struct or a pydantic model, without importing either."""
    kind = type(value)
    if isinstance(names := getattr(kind, "__struct_fields__", None), tuple):
        return names
    is_model = hasattr(kind, "model_construct") and isinstance(getattr(kind, "model_fields", None), dict)
    return tuple(kind.model_fields) if is_model else None


def _record(kind: Any, fields: dict[str, Any]) -> Any:
    # A model that existed is not validated again: what its rules are today is not what they were.
    return kind.model_construct(**fields) if hasattr(kind, "model_construct") else kind(**fields)


def class_name(kind: type) -> str:
    """How a class is written down, to be found again by ``class_of``.

    Raises:
        Invalid: it is made inside a function.
    """
    module = kind.__module__
    if module == "__main__":  # a script and an import of the same file write the same bytes
        module = Path(getattr(sys.modules["__main__"], "__file__", None) or "__main__").stem
    if "<locals>" in kind.__qualname__:
        raise Invalid(
            f"class {kind.__qualname__} is made inside a function and cannot be found again; move it to the module."
        )
    return f"{module}:{kind.__qualname__}"


def class_of(name: str) -> Any:
    """The class of that name, among the modules that are imported.

    Raises:
        Invalid: it is not, or is no class of data.
    """
    module, _, qualified = name.partition(":")
    found: Any = sys.modules.get(module)
    main = sys.modules.get("__main__")
    if found is None and main is not None and Path(getattr(main, "__file__", None) or "").stem == module:
        found = main
    for word in qualified.split("."):
        found = getattr(found, word, None)
    is_data = isinstance(found, type) and (
        issubclass(found, enum.Enum)
        or dataclasses.is_dataclass(found)
        or (issubclass(found, tuple) and hasattr(found, "_fields"))
        or hasattr(found, "__struct_fields__")
        or hasattr(found, "model_construct")
    )
    if not is_data:
        raise Invalid(
            f"the stored value is a {qualified} of {module!r}, which is not imported here; import it in the step."
        )
    return found
