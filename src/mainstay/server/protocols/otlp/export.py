# SPDX-License-Identifier: Apache-2.0
"""The one call of OTLP that is answered: export of traces. All spans of a request are kept, or none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from mainstay.domain.errors import Conflict, NotFound
from mainstay.domain.traces import Span
from mainstay.lifecycle.tracking import experiments
from mainstay.lifecycle.tracking.traces import spans, stories
from mainstay.server.principals import Principal
from mainstay.server.protocols import Mount
from mainstay.server.protocols.otlp import wire
from mainstay.server.routes import permitted, read_body
from mainstay.store import Ingest, Store

PREFIXES = ("/v1/traces",)
PATH = "/v1/traces"
FEW = 100  # so many spans share a commit with other requests; more would keep those waiting


def mounts(store: Store) -> Iterator[Mount]:
    """The address of the protocol."""
    yield Mount("POST", PATH, "write", _answered(permitted(f"POST {PATH}", "write", store, _export(store))))


def _export(store: Store) -> Callable[[Request, Principal], Awaitable[Response]]:
    async def answer(request: Request, principal: Principal) -> Response:
        kind = wire.encoding(request.headers)
        data = await read_body(request, most=wire.MOST_BYTES)
        await run_in_threadpool(_keep, store, principal, request.headers, kind, data)
        return wire.accepted(kind)

    return answer


def _keep(store: Store, principal: Principal, headers: Mapping[str, str], kind: str, data: bytes) -> None:
    new = wire.read(wire.unpacked(data, headers.get("content-encoding", "")), kind)
    experiment = _experiment(store, principal, headers)
    if new:
        _put(store, experiment, new, headers.get(wire.RUN))


def _put(store: Store, experiment: int, new: list[Span], run: str | None) -> None:
    def work(ingest: Ingest) -> None:
        traces = spans.put(ingest, experiment, new)
        if run:
            stories.link_run(ingest, run, sorted(traces))

    if len(new) <= FEW:
        store.ingest_together(work)
    else:
        with store.ingest() as ingest:
            work(ingest)


def _experiment(store: Store, principal: Principal, headers: Mapping[str, str]) -> int:
    """The experiment that the headers name; one that is named for the first time is made."""
    if number := headers.get(wire.EXPERIMENT_NUMBER):
        return wire.number(number)
    name = headers.get(wire.EXPERIMENT, experiments.DEFAULT)
    try:
        return _named(store, name)
    except NotFound:
        pass
    try:
        with store.change(actor=principal.actor, reason="traces came for it") as change:
            return experiments.create(change, name=name).id
    except Conflict:  # somebody else's first traces were a moment earlier
        return _named(store, name)


def _named(store: Store, name: str) -> int:
    with store.view() as view:
        return experiments.named(view, name).id


def _answered(endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def answered(request: Request) -> Response:
        try:
            return await endpoint(request)
        except Exception as error:
            return wire.answer(error)

    return answered
