# SPDX-License-Identifier: Apache-2.0
"""The API's own description, drawn from the same types that check the requests, so that it cannot say something else."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import msgspec

from mainstay.server.faults import STATUS_BY_KIND
from mainstay.server.routes import READS, Body, Route, Signature, signature_of

_REF = "#/components/schemas/{name}"

_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["kind", "message", "facts", "request_id"],
            "properties": {
                "kind": {"type": "string"},
                "message": {"type": "string"},
                "facts": {"type": "object"},
                "request_id": {"type": "string"},
            },
        }
    },
}

_ACCOMPANY = {
    "reason": {"type": "string", "description": "Why, in words; kept in the ledger."},
    "because": {"type": ["integer", "null"], "description": "The event (seq) that caused this."},
}


class Described:
    """All routes' schemas, collected once."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.signatures = {route.name: signature_of(route) for route in routes if route.style != "raw"}
        wanted = [s.body for s in self.signatures.values() if s.body] + [s.result for s in self.signatures.values()]
        schemas, self.components = msgspec.json.schema_components(wanted, schema_hook=_other, ref_template=_REF)
        bodies = sum(1 for s in self.signatures.values() if s.body)
        named = iter(schemas[:bodies])
        self.body_of = {name: next(named) for name, s in self.signatures.items() if s.body}
        self.result_of = dict(zip(self.signatures, schemas[bodies:], strict=True))
        for signature in self.signatures.values():
            self._let_accompany(signature)
        self.components["Error"] = _ERROR

    def extra(self, route: Route) -> dict[str, Any]:
        """What OpenAPI says of one route beyond its path and method."""
        errors = _errors(route)
        said: dict[str, Any] = {"x-permission": route.permission}
        signature = self.signatures.get(route.name)
        if signature is None:
            said["responses"] = {"2XX": {"description": "Done; bytes or JSON, as described above."}} | errors
            return said | {"parameters": [_in_path(name, str) for name in _path_names(route.path)]}
        said["responses"] = {
            str(route.status): {"description": "Done", "content": _json(self.result_of[route.name])}
        } | errors
        said["parameters"] = _parameters(signature)
        if route.style not in READS:
            said["parameters"].append(_IDEMPOTENCY)
        if route.name in self.body_of:
            said["requestBody"] = {"required": True, "content": _json(self.body_of[route.name])}
        elif route.style == "post":
            said["requestBody"] = {"required": False, "content": _json({"type": "object", "properties": _ACCOMPANY})}
        return said

    def _let_accompany(self, signature: Signature) -> None:
        kind = signature.body
        if inspect.isclass(kind) and issubclass(kind, Body) and kind.__name__ in self.components:
            self.components[kind.__name__].setdefault("properties", {}).update(_ACCOMPANY)


_IDEMPOTENCY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Repeat the request with the same key and it happens once.",
    "schema": {"type": "string", "maxLength": 200},
}


def _errors(route: Route) -> dict[str, Any]:
    """Every status that an error of this route can have. A read has no body to be too large and needs no room."""
    kinds = [kind for kind in STATUS_BY_KIND if route.method != "GET" or kind not in {"too_large", "storage_full"}]
    said: dict[str, list[str]] = {}
    for kind in kinds:
        said.setdefault(str(STATUS_BY_KIND[kind]), []).append(kind)
    content = _json({"$ref": "#/components/schemas/Error"})
    return {status: {"description": " or ".join(names), "content": content} for status, names in sorted(said.items())}


def _parameters(signature: Signature) -> list[dict[str, Any]]:
    found = [_in_path(name, kind) for name, kind in signature.path.items()]
    for name, (kind, default) in signature.query.items():
        required = default is inspect.Parameter.empty
        found.append({"name": name, "in": "query", "required": required, "schema": _schema(kind)})
    return found


def _in_path(name: str, kind: Any) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": _schema(kind)}


def _path_names(path: str) -> list[str]:
    return [part[1:-1].partition(":")[0] for part in path.split("/") if part.startswith("{")]


def _schema(kind: Any) -> dict[str, Any]:
    return msgspec.json.schema(kind, schema_hook=_other)


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _other(kind: type) -> dict[str, Any]:
    return {"type": "object"}
