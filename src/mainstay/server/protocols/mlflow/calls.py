# SPDX-License-Identifier: Apache-2.0
"""Calls: plain functions become MLflow endpoints. Read the request, call one verb inside one transaction, shape the answer.

A call declares its permission, or it cannot be made, and its twins (``/ajax-api``, another version) are the same endpoint behind
the same check. Unlike our own routes it passes over fields it does not know, takes a read's fields from the query, and answers
errors in MLflow's words. What is logged to a run that has ended amends its record: MLflow's clients do so as a matter of course.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_origin, get_type_hints

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from mainstay.lifecycle.tracking import logs, runs
from mainstay.server.principals import Principal
from mainstay.server.protocols import Mount
from mainstay.server.protocols.mlflow import wire
from mainstay.server.routes import Repeated, permitted, read_body, repeatable, transacted
from mainstay.store import Store, requests


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call as declared; ``style`` is get, ingest, post or raw, as of our own routes, or own: it opens what it needs."""

    style: str
    method: str
    paths: tuple[str, ...]
    permission: str | None
    function: Callable[..., Any]


@dataclass
class Calls:
    """The calls of one part of the protocol."""

    all: list[Call] = field(default_factory=list)

    def get(self, path: str, *, method: str = "GET", versions: Sequence[str] = ("2.0",)) -> Callable[..., Any]:
        """A read: the function takes a `View` and, where it has one, its request as ``body``."""
        return self._add("get", method, path, "read", versions)

    def ingest(self, method: str, path: str, *, versions: Sequence[str] = ("2.0",)) -> Callable[..., Any]:
        """A write of telemetry: the function takes an `Ingest`."""
        return self._add("ingest", method, path, "write", versions)

    def post(
        self, method: str, path: str, *, permission: str = "write", versions: Sequence[str] = ("2.0",)
    ) -> Callable[..., Any]:
        """A governed write: the function takes a `Change`."""
        return self._add("post", method, path, permission, versions)

    def own(
        self, method: str, path: str, *, permission: str = "write", versions: Sequence[str] = ("2.0",)
    ) -> Callable[..., Any]:
        """A call that cannot tell beforehand whether it changes what is governed: the function takes ``store`` and ``actor``."""
        return self._add("own", method, path, permission, versions)

    def raw(
        self, method: str, *paths: str, permission: str | None, versions: Sequence[str] = ("2.0",)
    ) -> Callable[..., Any]:
        """A stream or an answer that is no JSON: the function is async, takes ``request``, ``store`` and ``actor``."""

        def declare(function: Callable[..., Any]) -> Callable[..., Any]:
            every = [each for path in paths for each in _twins(path, versions)]
            self.all.append(
                Call(style="raw", method=method, paths=tuple(every), permission=permission, function=function)
            )
            return function

        return declare

    def _add(self, style: str, method: str, path: str, permission: str, versions: Sequence[str]) -> Callable[..., Any]:
        def declare(function: Callable[..., Any]) -> Callable[..., Any]:
            paths = tuple(_twins(path, versions))
            self.all.append(Call(style=style, method=method, paths=paths, permission=permission, function=function))
            return function

        return declare


def mount(call: Call, store: Store) -> Iterator[Mount]:
    """The addresses of a call, each with the same endpoint."""
    endpoint = _answered(_raw(call, store) if call.style == "raw" else _shaped(call, store))
    for path in call.paths:
        yield Mount(call.method, path, call.permission, endpoint)


def _twins(path: str, versions: Sequence[str]) -> Iterator[str]:
    """``runs/get`` below ``mlflow`` of every version, for clients and for MLflow's own page; a path with ``/`` as it stands."""
    if path.startswith("/"):
        yield path
        return
    below = path if path.startswith("mlflow-artifacts/") else f"mlflow/{path}"
    for version in versions:
        yield f"/api/{version}/{below}"
        yield f"/ajax-api/{version}/{below}"


def _answered(endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def answered(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Exception as error:
            return wire.answer(error)

    return answered


def _raw(call: Call, store: Store) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request, principal: Principal | None) -> Response:
        response: Response = await call.function(request=request, store=store, actor=principal)
        return response

    if call.permission is None:
        return lambda request: answer(request, None)
    return permitted(f"{call.method} {call.paths[0]}", call.permission, store, answer)


def _shaped(call: Call, store: Store) -> Callable[[Request], Awaitable[Response]]:
    assert call.permission is not None
    hints = get_type_hints(call.function)
    kind: type[wire.Request] | None = hints.get("body")
    in_path = set(re.findall(r"{(\w+)", call.paths[0]))
    repeated = _repeated(kind)
    wants_actor = "actor" in hints

    async def answer(request: Request, principal: Principal) -> Response:
        arguments = {name: request.path_params[name] for name in in_path}
        data = b"" if call.method == "GET" else await read_body(request)
        if kind is not None:
            from_query = call.method == "GET" or not data
            arguments["body"] = wire.convert(kind, _query(request, repeated)) if from_query else wire.read(kind, data)
        if wants_actor:
            arguments["actor"] = principal.actor
        content = await run_in_threadpool(_carry_out, call, store, request, principal, arguments, data)
        return Response(content, media_type="application/json")

    return permitted(f"{call.method} {call.paths[0]}", call.permission, store, answer)


def _carry_out(
    call: Call, store: Store, request: Request, principal: Principal, arguments: dict[str, Any], data: bytes
) -> bytes:
    if call.style == "own":
        return wire.encode(call.function(store, **arguments))
    seen = repeatable(request, principal, data) if call.style != "get" else None

    def work(handle: Any) -> bytes:
        if seen and (before := requests.recall(handle, seen)):
            raise Repeated(before)
        content = wire.encode(call.function(handle, **arguments))
        if seen:
            requests.remember(handle, seen, requests.Answer(200, content))
        return content

    if call.style == "ingest":
        return amending(store, principal.actor, lambda: transacted(call.style, store, principal, work))
    return transacted(call.style, store, principal, work)


T = TypeVar("T")


def amending(store: Store, actor: str, work: Callable[[], T]) -> T:
    """Carry out ``work``; if it meets a run whose record is closed, the record is amended first."""
    try:
        return work()
    except logs.Closed as closed:
        with store.change(actor=actor, reason="something was logged after the end") as change:
            runs.amend(change, closed.facts["run"])
        return work()


def _repeated(kind: type[wire.Request] | None) -> frozenset[str]:
    if kind is None:
        return frozenset()
    return frozenset(each.encode_name for each in msgspec.structs.fields(kind) if get_origin(each.type) is list)


def _query(request: Request, repeated: frozenset[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        if name in repeated:
            found.setdefault(name, []).append(value)
        else:
            found[name] = value
    return found
