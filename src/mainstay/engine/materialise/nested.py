# SPDX-License-Identifier: Apache-2.0
"""Lists, tuples, dicts, named tuples and dataclasses that hold tables, arrays, models or files somewhere inside.

Kept as one small JSON document; whatever is not plain is an artifact of its own, named in it by digest. What is plain
altogether is the ``json`` family's.
"""

from __future__ import annotations

import dataclasses
import json as text
from collections.abc import Mapping
from typing import Any

from mainstay.domain.digests import canonical_json
from mainstay.domain.errors import Invalid
from mainstay.engine import materialise
from mainstay.engine.materialise import Artifact, json, materialiser
from mainstay.engine.platform import Blobs

KIND = "nested"


@materialiser("nested")
class Nested:
    """Reads back what was written, containers and all."""

    kinds = (KIND,)

    def accepts(self, value: Any) -> bool:
        return _parts(value) is not None and all(_is_kept(part) for part in _parts(value) or ())

    def write(self, value: Any, blobs: Blobs) -> Artifact:
        content = canonical_json(_encode(value, blobs))
        rows = len(value) if isinstance(value, (list, tuple)) else None
        return Artifact(kind=KIND, digest=blobs.put_blob(content), size=len(content), rows=rows)

    def read(self, artifact: Artifact, blobs: Blobs, wanted: Any) -> Any:
        return _decode(text.loads(blobs.get_blob(artifact.digest)), blobs)


def _parts(value: Any) -> list[Any] | None:
    """What a container holds; None: it is no container of ours."""
    if type(value) in (list, tuple) or (isinstance(value, tuple) and hasattr(value, "_fields")):
        return list(value)
    if type(value) is dict:
        return list(value.values()) if all(isinstance(key, str) for key in value) else None
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name) for field in dataclasses.fields(value)]
    return None


def _is_kept(value: Any) -> bool:
    family = materialise.family_of(value)
    return family is not None


def _encode(value: Any, blobs: Blobs) -> list[Any]:
    family = materialise.family_of(value)
    if family is None:
        raise materialise.unsupported(value)
    if isinstance(family, json.Plain):
        return ["plain", text.loads(json.dumps(value))]
    if not isinstance(family, Nested):
        return ["artifact", dataclasses.asdict(family.write(value, blobs))]
    if type(value) is dict:
        return ["dict", {key: _encode(item, blobs) for key, item in value.items()}]
    if dataclasses.is_dataclass(value):
        fields = {each.name: _encode(getattr(value, each.name), blobs) for each in dataclasses.fields(value)}
        return ["dataclass", json.class_name(type(value)), fields]
    parts = [_encode(item, blobs) for item in value]
    if hasattr(value, "_fields"):
        return ["named", json.class_name(type(value)), parts]
    return [type(value).__name__, parts]


def _decode(told: list[Any], blobs: Blobs) -> Any:
    kind, *rest = told
    if kind == "plain":
        return json.decode(rest[0])
    if kind == "artifact":
        return materialise.read(Artifact(**rest[0]), blobs)
    if kind == "dict":
        return _decoded(rest[0], blobs)
    if kind == "dataclass":
        return json.restored(json.class_of(rest[0]), _decoded(rest[1], blobs))
    if kind in ("list", "tuple", "named"):
        parts = [_decode(item, blobs) for item in rest[-1]]
        return parts if kind == "list" else tuple(parts) if kind == "tuple" else json.class_of(rest[0])(*parts)
    raise Invalid(
        f"the stored value has a part marked {kind!r}, which this version of Mainstay does not know; upgrade it."
    )


def _decoded(items: Mapping[str, Any], blobs: Blobs) -> dict[str, Any]:
    return {key: _decode(item, blobs) for key, item in items.items()}
