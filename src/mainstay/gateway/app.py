# SPDX-License-Identifier: Apache-2.0
"""The gateway's face: requests in, predictions out, nothing answered that was not written down first.

Routes: ``POST /deployments/{name}/predict``, ``GET /deployments/{name}``, ``POST /feedback``, ``POST /flush``,
``GET /health``, ``/ready``, ``/metrics``. It is a bare ASGI callable: on this path a web framework costs more than a
quick model does. Only health and readiness are public; everything else asks for a bearer token.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from mainstay.domain import errors, ids
from mainstay.gateway import messages, metrics
from mainstay.gateway.access import Doorkeeper
from mainstay.gateway.batching import DeadlineExceeded, Overloaded, Values
from mainstay.gateway.control import Control, ask
from mainstay.gateway.messages import Headers, Receive, Scope, Send, Sent
from mainstay.gateway.prediction_log import PredictionLog
from mainstay.gateway.records import Answer, Judged, encode_answer, frame_all, judge
from mainstay.gateway.routing import Deployment, Fault, Table, Variant
from mainstay.gateway.validation import Request

logger = logging.getLogger(__name__)

# A body longer than this is read off the event loop, so that it delays no other request.
_LARGE_BODY = 64 << 10
_ID = re.compile(rb'"id"\s*:\s*"([0-9a-f]{32})"')


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one request may take."""

    body_bytes: int = 4 << 20
    feedback_bytes: int = 16 << 20
    deadline_s: float = 10.0
    longest_deadline_s: float = 60.0
    body_within_s: float = 30.0
    shadows_waiting: int = 64
    feedback_flush_s: float = 5.0
    control_away_s: float = 30.0  # less than replays allow for a table to be taken up


class Gateway:
    """The ASGI application. ``table`` is replaced by one assignment; a request keeps the one it began with."""

    def __init__(
        self,
        *,
        control: Control,
        log: PredictionLog,
        doorkeeper: Doorkeeper,
        hosts: Iterable[str] = (),
        limits: Limits | None = None,
    ) -> None:
        self.table: Table | None = None
        self.faults: list[Fault] = []
        self.tally = metrics.Tally()
        self.log = log
        self.is_draining = False
        self.control_seen_at: float | None = None
        self._control = control
        self._doorkeeper = doorkeeper
        self._hosts = {"127.0.0.1", "localhost", "::1", *hosts}
        self._checked_hosts: dict[bytes, bool] = {}
        self._limits = limits or Limits()
        self._forwarding = asyncio.Semaphore(16)
        self._shadows: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"the gateway speaks HTTP only, not {scope['type']}")
        try:
            status, body, more = await self._answer(scope, receive)
        except messages.Gone:
            return
        except (Overloaded, DeadlineExceeded, errors.MainstayError) as error:
            status, body, more = messages.refusal(error)
        except Exception:
            status, body, more = messages.fault()
        by_status = self.tally.by_status
        by_status[status] = by_status.get(status, 0) + 1
        headers = [*messages.HEADERS, (b"content-length", b"%d" % len(body)), *more]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def drain(self) -> None:
        """Wait for what runs beside the answers."""
        self.is_draining = True
        if self._shadows:
            await asyncio.wait(self._shadows, timeout=2)

    async def _answer(self, scope: Scope, receive: Receive) -> Sent:
        headers = scope["headers"]
        self._check_host(headers)
        parts = scope["path"].split("/")
        match parts:
            case ["", "deployments", name, "predict"]:
                messages.require_method(scope, "POST")
                await self._admit(headers, "predict")
                return await self._predict(name, headers, receive)
            case ["", "feedback"]:
                messages.require_method(scope, "POST")
                return await self._feedback(headers, receive)
            case ["", "flush"]:
                messages.require_method(scope, "POST")
                await self._admit(headers, "predict")
                return await self._flush()
            case ["", "deployments", name]:
                messages.require_method(scope, "GET")
                await self._admit(headers, "read")
                return 200, msgspec.json.encode(self._describe(self._deployment(name))), ()
            case ["", "health"]:
                messages.require_method(scope, "GET")
                return 200, msgspec.json.encode({"status": "ok"}), ()
            case ["", "ready"]:
                messages.require_method(scope, "GET")
                return self._ready()
            case ["", "metrics"]:
                messages.require_method(scope, "GET")
                await self._admit(headers, "read")
                return 200, "\n".join([*self._metric_lines(), ""]).encode(), ((b"content-type", _PROMETHEUS),)
        raise errors.NotFound(f"there is nothing at {scope['path'][:100]!r}; ask POST /deployments/NAME/predict.")

    async def _predict(self, name: str, headers: Headers, receive: Receive) -> Sent:
        deployment = self._deployment(name)
        body = await messages.read_body(headers, receive, self._limits.body_bytes, self._limits.body_within_s)
        began_ns = time.perf_counter_ns()
        request = await self._read(deployment, body)
        key = request.key or messages.sticky_key(headers)
        names = [ids.uuid7() for _ in request.rows]
        variant, is_explicit = _choose(deployment, request.release, key or names[0])
        deadline = asyncio.get_running_loop().time() + self._seconds(headers)
        whole = await self._completed(deployment, variant, request, deadline)
        judged = await self._ask(variant, whole, deadline)
        latency_us = (time.perf_counter_ns() - began_ns) // 1000
        self.log.append(frame_all(variant, whole, key, names, judged, latency_us, explicit=is_explicit), len(names))
        if not is_explicit:
            self._count(deployment, variant, judged, latency_us)
        if deployment.shadows and not is_explicit:
            self._shadow(deployment, request, key, names)
        if judged.error is not None:
            raise judged.error
        answer = Answer(judged.predictions(names), variant.release, variant.name, variant.role)
        return 200, encode_answer(answer), variant.lookups.headers if variant.lookups else ()

    async def _read(self, deployment: Deployment, body: bytes) -> Request:
        """Decode on the loop if that is quick, on a thread if it may not be."""
        entrance = deployment.entrance
        try:
            if len(body) <= _LARGE_BODY:
                return entrance.decode(body)
            return await asyncio.get_running_loop().run_in_executor(None, entrance.decode, body)
        except errors.MainstayError:
            self.tally.of(deployment.name, deployment.champion.release).rejected += 1
            raise

    async def _completed(self, deployment: Deployment, variant: Variant, request: Request, deadline: float) -> Request:
        """The request with what feature views know beside what it brought."""
        if variant.lookups is None:
            return request
        try:
            return await variant.lookups.completed(request, deadline, is_behind=self._is_behind(deployment))
        except errors.MainstayError:
            self.tally.of(deployment.name, variant.release).rejected += 1
            raise

    def _is_behind(self, deployment: Deployment) -> bool:
        """Whether there may be newer tables than those of the deployment: the control plane is away, or they were refused."""
        seen = self.control_seen_at
        is_away = seen is None or time.monotonic() - seen > self._limits.control_away_s
        return is_away or any(fault.deployment == deployment.name for fault in self.faults)

    async def _ask(self, variant: Variant, request: Request, deadline: float) -> Judged:
        """The model's values, judged. Refusals for lack of room pass through; failures come back to be logged."""
        loaded = variant.loaded
        loaded.in_flight += 1
        try:
            values: Values = await loaded.batcher.run(request.rows, deadline=deadline)
        except Overloaded:
            raise
        except DeadlineExceeded as error:
            return Judged.failed("timeout", error, request, loaded.schema)
        except Exception as error:
            logger.exception("release %s#%d (%s) failed", variant.deployment, variant.release, variant.name)
            who = f"release {variant.deployment}#{variant.release} ({variant.name})"
            why = error.message.rstrip(".") if isinstance(error, errors.MainstayError) else type(error).__name__
            told = errors.Unavailable(f"{who} failed on these rows, which are logged: {why}.")
            return Judged.failed("model_error", told, request, loaded.schema)
        finally:
            loaded.leave()
        return judge(values, loaded.classes, request, loaded.schema)

    def _count(self, deployment: Deployment, variant: Variant, judged: Judged, latency_us: int) -> None:
        counts = self.tally.of(deployment.name, variant.release)
        counts.requests += 1
        counts.predictions += len(judged.values)
        counts.errors += not judged.is_sound
        limit = deployment.latency_limit_us
        counts.slow += limit is not None and latency_us > limit
        counts.observe(latency_us)

    def _shadow(self, deployment: Deployment, request: Request, key: str | None, names: list[str]) -> None:
        """Ask the shadows beside the answer. They may be late, fail or be left out; the caller never notices."""
        for variant in deployment.shadows:
            if len(self._shadows) >= self._limits.shadows_waiting:
                self.tally.shadow_dropped += 1
                continue
            task = asyncio.create_task(self._ask_shadow(deployment, variant, request, key, names))
            self._shadows.add(task)
            task.add_done_callback(self._shadows.discard)

    async def _ask_shadow(
        self, deployment: Deployment, variant: Variant, request: Request, key: str | None, names: list[str]
    ) -> None:
        began_ns = time.perf_counter_ns()
        try:
            deadline = asyncio.get_running_loop().time() + self._limits.deadline_s
            whole = request
            if variant.lookups is not None:
                whole = await variant.lookups.completed(request, deadline, is_behind=self._is_behind(deployment))
            judged = await self._ask(variant, whole, deadline)
            latency_us = (time.perf_counter_ns() - began_ns) // 1000
            own = [ids.uuid7() for _ in names]
            self.log.append(frame_all(variant, whole, key, own, judged, latency_us, shadow_of=names), len(own))
            self._count(deployment, variant, judged, latency_us)
        except errors.MainstayError:
            self.tally.shadow_dropped += 1

    async def _feedback(self, headers: Headers, receive: Receive) -> Sent:
        token = await self._admit(headers, "predict")
        body = await messages.read_body(headers, receive, self._limits.feedback_bytes, self._limits.body_within_s)
        content_type = (messages.header(headers, b"content-type") or b"application/json").decode("latin-1")
        newest = max(_ID.findall(body), default=None)
        if newest is not None:
            # The control plane can only join what it has: hand over the segment that may hold the prediction first.
            await self.log.flush(int(newest[:12], 16), timeout_s=self._limits.feedback_flush_s)
        async with self._forwarding:
            reply = await ask(lambda: self._control.feedback(body, content_type, token))
        return reply.status, reply.body, ()

    async def _flush(self) -> Sent:
        seconds = self._limits.feedback_flush_s
        if not await self.log.flush(timeout_s=seconds):
            raise errors.Unavailable(
                f"the control plane did not take the log within {seconds:g} s; nothing is lost, it is sent again and again."
            )
        return 200, b'{"ok":true}', ()

    def _deployment(self, name: str) -> Deployment:
        table = self.table
        if table is None:
            raise errors.Unavailable("this gateway has no routing table yet; it is asking the control plane for one.")
        found = table.deployments.get(name)
        if found is None:
            fault = next((fault for fault in self.faults if fault.deployment == name), None)
            if fault is not None:
                raise errors.Unavailable(f"deployment {name!r} has no version that can answer: {fault.sentence}")
            served = ", ".join(sorted(table.deployments)[:10]) or "none yet"
            shown = name[:100]
            raise errors.NotFound(f"this gateway serves no deployment {shown!r}; it serves {served}.", deployment=shown)
        return found

    def _describe(self, deployment: Deployment) -> dict[str, Any]:
        assert self.table is not None
        variants = [*deployment.live] + ([deployment.previous] if deployment.previous else [])
        taken = sum(canary.share_bp for canary in deployment.canaries)
        shares = {id(deployment.champion): (10_000 - taken) / 10_000}
        return {
            "name": deployment.name,
            "environment": deployment.environment,
            "owner": deployment.owner,
            "generation": self.table.generation,
            "variants": [
                {
                    "release": v.release,
                    "version": v.name,
                    "role": v.role,
                    "share": shares.get(id(v), v.share_bp / 10_000 if v.role == "canary" else 0.0),
                    "digest": v.loaded.digest,
                    "classes": v.loaded.classes,
                    "one_row_us": round(v.loaded.one_row_s * 1e6),
                    "features": v.lookups.described() if v.lookups else [],
                }
                for v in variants
            ],
            "inputs": [
                {"name": f.name, "type": f.kind, "nullable": f.nullable, "required": f.required}
                for f in deployment.schema.fields
            ],
            "faults": [fault.as_wire() for fault in self.faults if fault.deployment == deployment.name],
        }

    def _ready(self) -> Sent:
        reason = (
            "this gateway is stopping"
            if self.is_draining
            else "it has no routing table yet"
            if self.table is None
            else self.log.fault
        )
        if reason:
            raise errors.Unavailable(f"not ready: {reason}.")
        assert self.table is not None
        return 200, msgspec.json.encode({"status": "ready", "generation": self.table.generation}), ()

    def _metric_lines(self) -> Iterator[str]:
        table, log, figures = self.table, self.log, self.log.figures
        yield from self.tally.lines()
        variants = [(d.name, v) for d in table.deployments.values() for v in d.live] if table else []
        labelled = [({"deployment": name, "release": v.release}, v.loaded) for name, v in variants]
        gauge, counter = "gauge", "counter"
        for name, kind, words, samples in (
            ("generation", gauge, "Of the routing table in use.", [({}, table.generation if table else 0)]),
            ("in_flight", gauge, "Requests being answered.", [(labels, v.in_flight) for labels, v in labelled]),
            ("waiting", gauge, "Requests in its queue.", [(labels, v.batcher.waiting) for labels, v in labelled]),
            ("batches_total", counter, "Calls of the model.", [(labels, v.batcher.batches) for labels, v in labelled]),
            ("rows_total", counter, "Rows in them.", [(labels, v.batcher.batched_rows) for labels, v in labelled]),
            ("faults", gauge, "Versions that could not be taken into service.", [({}, len(self.faults))]),
            ("log_records_total", counter, "Records written.", [({}, figures.records)]),
            ("log_bytes_total", counter, "Bytes written.", [({}, figures.written_bytes)]),
            ("log_dropped_total", counter, "Records lost under drop_and_count.", [({}, figures.dropped)]),
            ("log_write_failures_total", counter, "Writes that failed.", [({}, figures.write_failures)]),
            ("log_syncs_total", counter, "Group syncs.", [({}, figures.syncs)]),
            ("log_sync_failures_total", counter, "Syncs that failed.", [({}, figures.sync_failures)]),
            ("segments_shipped_total", counter, "Segments the control plane took.", [({}, figures.shipped)]),
            ("segments_refused_total", counter, "Segments it refused for good.", [({}, figures.refused)]),
            ("segments_unshipped", gauge, "Sealed segments it does not have yet.", [({}, log.unshipped)]),
            ("control_seen_seconds", gauge, "Since the control plane last answered.", self._control_age()),
        ):
            yield from metrics.family(name, kind, words, samples)

    def _control_age(self) -> list[tuple[dict[str, Any], float]]:
        return [] if self.control_seen_at is None else [({}, round(time.monotonic() - self.control_seen_at, 3))]

    def _seconds(self, headers: Headers) -> float:
        asked = messages.header(headers, b"x-deadline-ms")
        if asked is None:
            return self._limits.deadline_s
        if not asked.isdigit() or not 0 < int(asked[:9]) <= self._limits.longest_deadline_s * 1000:
            most = round(self._limits.longest_deadline_s * 1000)
            raise errors.Invalid(f"header X-Deadline-Ms is {asked[:20]!r}; a number from 1 to {most} is expected.")
        return int(asked) / 1000

    def _check_host(self, headers: Headers) -> None:
        """Refuse names that are not ours: a page elsewhere may have pointed its own name at this address."""
        host = messages.header(headers, b"host") or b""
        known = self._checked_hosts.get(host)
        if known is None:
            known = messages.host_name(host) in self._hosts
            if len(self._checked_hosts) < 64:
                self._checked_hosts[host] = known
        if not known:
            shown = host[:80].decode("latin-1")
            raise errors.Forbidden(f"Host {shown!r} is not a name of this gateway; use http://127.0.0.1.")

    async def _admit(self, headers: Headers, permission: str) -> str:
        """The token, if it allows ``permission``."""
        scheme, _, token = (messages.header(headers, b"authorization") or b"").partition(b" ")
        text = token.strip().decode("latin-1")
        if scheme.lower() != b"bearer" or not text:
            raise errors.Unauthenticated(
                "nobody is known to be asking; send `Authorization: Bearer …` with a token,"
                " such as the one in the workspace's file `token`."
            )
        asker = self._doorkeeper.remembered(text) or await self._doorkeeper.identify(text)
        asker.require(permission)
        return text


_PROMETHEUS = b"text/plain; version=0.0.4; charset=utf-8"


def _choose(deployment: Deployment, release: int | None, key: str) -> tuple[Variant, bool]:
    """The variant that answers, and whether the caller named it: then it has no part in any comparison."""
    if release is None:
        return deployment.pick(key), False
    variant = deployment.by_release.get(release)
    if variant is None:
        loaded = ", ".join(map(str, sorted(deployment.by_release)))
        raise errors.NotFound(
            f"release {deployment.name}#{release} is not loaded here; {loaded} can be asked.", release=release
        )
    return variant, True
