# SPDX-License-Identifier: Apache-2.0
"""Plain functions become endpoints: read the request, call one verb inside one transaction, shape the answer.

A route declares its permission, or it cannot be made. A POST may carry ``Idempotency-Key``: its answer is remembered in the
same transaction as its change, and a repetition gets that answer. Bodies are strict JSON, checked against a `Body` type;
``reason`` and ``because`` may accompany any body and become the change's own. The same types describe the route in OpenAPI.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar, get_type_hints

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.convertors import IntegerConvertor, PathConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response

from mainstay.domain import strict_json
from mainstay.domain.errors import Forbidden, Invalid, Malformed, TooLarge
from mainstay.server.principals import Principal
from mainstay.server.refusals import Refusals
from mainstay.store import Store, requests

MOST_BODY_BYTES = 8 << 20
LONGEST_REASON = 4000
READS = ("get", "ask")
_INT64 = 1 << 63

T = TypeVar("T")


class WholeNumber(IntegerConvertor):
    """``{number:int}`` in a path: no more digits than the database can hold; anything else is an unknown path."""

    regex = "[0-9]{1,18}"


class PagePath(PathConvertor):
    """``{path:page}``: whatever is not below ``/api``, so that an unknown API path is unknown for every method."""

    regex = "(?!api(?:/|$)).*"


register_url_convertor("whole", WholeNumber())
register_url_convertor("page", PagePath())


class Body(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a request may contain; a field that is not declared is refused."""


class Reply(NamedTuple):
    """An answer with a status of its own. The transaction commits all the same: what it recorded is true."""

    status: int
    body: Any


@dataclass(frozen=True, kw_only=True)
class Route:
    """One endpoint as declared; ``style`` is get, ask, post, ingest or raw."""

    style: str
    method: str
    path: str
    permission: str
    status: int
    function: Callable[..., Any]
    tag: str
    remembers: bool = True

    @property
    def name(self) -> str:
        return f"{self.tag}.{self.function.__name__}"


@dataclass
class Routes:
    """The routes of one room."""

    tag: str
    all: list[Route] = field(default_factory=list)

    def get(self, path: str, *, permission: str) -> Callable[..., Any]:
        """A read: the function takes a `View`; its further parameters come from the path or the query."""
        return self._add("get", "GET", path, permission, 200)

    def ask(self, path: str, *, permission: str) -> Callable[..., Any]:
        """A read whose question is too long for a query: as `get`, with a body. Nothing is written, nothing remembered."""
        return self._add("ask", "POST", path, permission, 200)

    def post(self, path: str, *, permission: str, status: int = 200, remembers: bool = True) -> Callable[..., Any]:
        """A governed write: the function takes a `Change`. One that answers with a secret must not be remembered."""
        return self._add("post", "POST", path, permission, status, remembers)

    def ingest(self, path: str, *, permission: str, status: int = 200) -> Callable[..., Any]:
        """A write of telemetry: the function takes an `Ingest`, and shares its transaction with other requests'."""
        return self._add("ingest", "POST", path, permission, status)

    def raw(self, method: str, path: str, *, permission: str) -> Callable[..., Any]:
        """A stream: the function is async, takes ``request``, ``store`` and ``actor``, and answers a Response."""
        return self._add("raw", method, path, permission, 200)

    def _add(
        self, style: str, method: str, path: str, permission: str, status: int, remembers: bool = True
    ) -> Callable[..., Any]:
        def declare(function: Callable[..., Any]) -> Callable[..., Any]:
            self.all.append(
                Route(
                    style=style,
                    method=method,
                    path=path,
                    permission=permission,
                    status=status,
                    function=function,
                    tag=self.tag,
                    remembers=remembers,
                )
            )
            return function

        return declare


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What a route's function wants: its body type, and its path and query parameters with their types and defaults."""

    body: Any
    path: Mapping[str, Any]
    query: Mapping[str, tuple[Any, Any]]
    result: Any


def signature_of(route: Route) -> Signature:
    """Read a function's annotations once, when the app is made."""
    hints = get_type_hints(route.function)
    in_path = set(re.findall(r"{(\w+)", route.path))
    path: dict[str, Any] = {}
    query: dict[str, tuple[Any, Any]] = {}
    body = None
    for name, parameter in list(inspect.signature(route.function).parameters.items())[1:]:
        if name in in_path:
            path[name] = hints[name]
        elif name == "body":
            body = hints[name]
        else:
            query[name] = (hints[name], parameter.default)
    return Signature(body=body, path=path, query=query, result=hints.get("return", Any))


def endpoint(route: Route, store: Store) -> Callable[[Request], Awaitable[Response]]:
    """The async function that a web framework calls."""
    if route.style == "raw":
        return _raw_endpoint(route, store)
    wanted = signature_of(route)

    async def answer(request: Request, principal: Principal) -> Response:
        arguments = _from_path(request, wanted) | _from_query(request, wanted)
        data = b"" if route.style == "get" else await read_body(request)
        if data:
            _check_content_type(request)
        status, content = await run_in_threadpool(_carry_out, route, wanted, store, request, principal, arguments, data)
        return Response(content, status, media_type="application/json")

    return permitted(f"{route.method} {route.path}", route.permission, store, answer)


def permitted(
    what: str, permission: str, store: Store, answer: Callable[[Request, Principal], Awaitable[Response]]
) -> Callable[[Request], Awaitable[Response]]:
    """``answer`` for those who may; whoever may not is refused, and that is an event."""
    refusals = Refusals(store, route=what, permission=permission)

    async def answer_if_permitted(request: Request) -> Response:
        principal = principal_of(request)
        try:
            principal.require(permission, what)
            return await answer(request, principal)
        except Forbidden as error:
            await run_in_threadpool(refusals.note, principal.actor, error)
            raise

    return answer_if_permitted


def principal_of(request: Request) -> Principal:
    """Who asks; the guard in front of the router has seen to it that somebody does."""
    found: Principal = request.scope["principal"]
    return found


def _check_content_type(request: Request) -> None:
    # What a foreign page's form can send without asking first. JSON sent under no name, or another, is still JSON.
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in {"application/x-www-form-urlencoded", "multipart/form-data", "text/plain"}:
        raise Malformed(f"the request body is announced as {kind}; send JSON, with Content-Type: application/json.")


async def read_body(request: Request, *, most: int = MOST_BODY_BYTES) -> bytes:
    """The whole body, up to ``most`` bytes.

    Raises:
        TooLarge: there is more.
    """
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            raise TooLarge(f"the request body is larger than {most} bytes; send it in parts.", limit=most)
        chunks.append(chunk)
    return b"".join(chunks)


def encode(value: Any) -> bytes:
    """Any answer as JSON; times in UTC with ``Z``."""
    return msgspec.json.encode(value, enc_hook=_encode_other)


def _encode_other(value: Any) -> Any:
    if hasattr(value, "_mapping"):
        return dict(value._mapping)
    raise TypeError(f"a {type(value).__name__} cannot be put on the wire")


def _carry_out(
    route: Route,
    wanted: Signature,
    store: Store,
    request: Request,
    principal: Principal,
    arguments: dict[str, Any],
    data: bytes,
) -> tuple[int, bytes]:
    body = None
    reason, because = "", None
    if wanted.body is not None or data.strip():
        body, reason, because = _read(data, wanted.body)
    seen = repeatable(request, principal, data) if route.style not in READS and route.remembers else None

    def work(handle: Any) -> tuple[int, bytes]:
        if seen and (before := requests.recall(handle, seen)):
            raise Repeated(before)
        if wanted.body is not None:
            arguments["body"] = body
        result = route.function(handle, **arguments)
        status, value = result if isinstance(result, Reply) else (route.status, result)
        content = encode(value)
        if seen:
            requests.remember(handle, seen, requests.Answer(status, content))
        return status, content

    return transacted(route.style, store, principal, work, reason=reason, because=because)


class Repeated(Exception):
    """Leaves a transaction without committing it: this request was answered before."""

    def __init__(self, answer: requests.Answer) -> None:
        self.answer = answer


def transacted(
    style: str,
    store: Store,
    principal: Principal,
    work: Callable[[Any], T],
    *,
    reason: str = "",
    because: int | None = None,
) -> T:
    """Carry out ``work`` in the transaction that a route of this style works in; telemetry shares one with other requests."""
    if style == "ingest":
        return store.ingest_together(work)
    if style in READS:
        with store.view() as view:
            return work(view)
    with store.change(actor=principal.actor, reason=reason, because=because) as change:
        return work(change)


def repeatable(request: Request, principal: Principal, data: bytes) -> requests.Request | None:
    """The name under which an answer is remembered; None where the request has no ``Idempotency-Key``."""
    key = request.headers.get("idempotency-key")
    if not key:
        return None
    if len(key) > 200:
        raise Invalid(f"Idempotency-Key has {len(key)} characters; at most 200 are allowed.")
    where = f"{request.method} {request.url.path}?{request.url.query}"
    return requests.identify(actor=principal.actor, route=where, key=key, body=data)


def _read(data: bytes, wanted: Any) -> tuple[Any, str, int | None]:
    value = strict_json.loads(data) if data.strip() else {}
    if not isinstance(value, dict):
        raise Malformed(f"request body is a JSON {_kind_of(value)}; an object is expected.")
    reason, because = value.pop("reason", None), value.pop("because", None)
    reason = "" if reason is None else reason
    if not isinstance(reason, str) or len(reason) > LONGEST_REASON:
        raise Invalid(f"'reason' is a text of at most {LONGEST_REASON} characters.")
    if because is not None and (not isinstance(because, int) or isinstance(because, bool)):
        raise Invalid("'because' is the sequence number of an event, or null.")
    if wanted is None:
        if value:
            raise Invalid(f"this request takes no fields besides reason and because; found {sorted(value)[0]!r}.")
        return None, reason, because
    return convert(value, wanted), reason, because


def convert(value: Any, wanted: Any, *, what: str = "request body") -> Any:
    """Check a JSON value against a type.

    Raises:
        Invalid: naming the field, what was found and what is expected.
    """
    try:
        return msgspec.convert(value, wanted)
    except msgspec.ValidationError as error:
        raise Invalid(f"{what}: {error}.") from error


def _from_path(request: Request, wanted: Signature) -> dict[str, Any]:
    return {name: request.path_params[name] for name in wanted.path}


def _from_query(request: Request, wanted: Signature) -> dict[str, Any]:
    given = dict(request.query_params.multi_items())
    if len(given) != len(request.query_params.multi_items()):
        raise Invalid("a query parameter is given twice; give each once.")
    if unknown := sorted(set(given) - set(wanted.query)):
        known = ", ".join(wanted.query) or "none"
        raise Invalid(f"there is no query parameter {unknown[0]!r} here; known: {known}.")
    result = {}
    for name, text in given.items():
        result[name] = _from_text(name, text, wanted.query[name][0])
    if missing := [
        n for n, (_, default) in wanted.query.items() if default is inspect.Parameter.empty and n not in given
    ]:
        raise Invalid(f"query parameter {missing[0]!r} is missing.")
    if "limit" in result and not 1 <= result["limit"] <= 1000:
        raise Invalid(f"query parameter 'limit' is {result['limit']}; from 1 to 1000 is possible.")
    return result


def _from_text(name: str, text: str, kind: Any) -> Any:
    try:
        value = msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(f"query parameter {name!r} is {text[:80]!r}: {error}.") from error
    if isinstance(value, int) and not -_INT64 <= value < _INT64:
        raise Invalid(f"query parameter {name!r} is {text[:24]}…: it does not fit in 64 bits.")
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return value


def _raw_endpoint(route: Route, store: Store) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request, principal: Principal) -> Response:
        response: Response = await route.function(request=request, store=store, actor=principal)
        return response

    return permitted(f"{route.method} {route.path}", route.permission, store, answer)


def _kind_of(value: Any) -> str:
    names = {list: "array", str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"}
    return names[type(value)]
