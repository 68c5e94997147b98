# SPDX-License-Identifier: Apache-2.0
"""As tasks of a Ray cluster: that of ``RAY_ADDRESS`` or the setting ``ray_address``, else one of its own on this machine.

A cluster of its own listens on loopback only, tells nobody that it is used, and is kept for the next run of this process. Its
workers read inputs from this machine's files. Those of a cluster elsewhere ask the control plane over HTTP, so that must be
a server that they can reach. Workers are kept for one state of the project's code, so that none runs what was edited since.
"""

from __future__ import annotations

import os
import pickle
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mainstay import settings
from mainstay.domain.digests import digest_of
from mainstay.domain.errors import Invalid, MainstayError
from mainstay.engine.calls import child, surroundings, tries
from mainstay.engine.calls.child import Answer, Order, Setup
from mainstay.engine.calls.step_calls import Outcome, StepCall
from mainstay.engine.calls.step_log import StepLog
from mainstay.engine.calls.step_output import Say
from mainstay.engine.calls.surroundings import Surroundings
from mainstay.engine.calls.tries import StepTimedOut, WorkerDied
from mainstay.engine.nearby import SMALL, Nearby
from mainstay.engine.platform import Platform

_LOOKS_EVERY_S = 0.2
_OVERDUE_S = 30.0  # after a try's timeout: its worker should have ended itself by then
_EXIT = 70


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How a worker gets at blobs: by ``url`` and ``token``, or by the ``paths`` of those it needs, as far as known."""

    spool: Path
    url: str | None = None
    token: str | None = None
    paths: dict[str, str] = field(default_factory=dict)


class Needed(BaseException):
    """A worker needs a blob of which it has no path; not an Exception, so that nobody takes it for the step's."""

    def __init__(self, digest: str) -> None:
        super().__init__(digest)
        self.digest = digest


@dataclass(kw_only=True, eq=False)
class Task:
    """A try on its way. ``reach`` grows by what it turns out to need."""

    call: StepCall
    reach: Reach
    attempts: int = 1
    due: float = 0.0
    began: float = field(default_factory=time.monotonic)
    submitted: float = 0.0


class Ray:
    """As many tasks as slots."""

    name = "ray"

    def __init__(self, workers: int | None) -> None:
        self._ray = _imported()
        # Tries are ours to count; the process of an isolated one ends with it.
        self._remote = {
            False: self._ray.remote(max_retries=0)(_tried),
            True: self._ray.remote(max_retries=0, max_calls=1)(_tried),
        }
        self._workers = workers
        self.slots = workers or 1
        self._platform: Platform | None = None
        self._around = Surroundings(path=())
        self._say: Say | None = None
        self._folder: Path | None = None
        self._waiting: list[Task] = []
        self._tasks: dict[Any, Task] = {}

    def start(self, platform: Platform, around: Surroundings, say: Say | None) -> None:
        is_elsewhere = _connect(self._ray, self._workers)
        self.slots = self._workers or max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        self._platform, self._around, self._say = platform, around, say
        self._folder = Path(tempfile.mkdtemp(prefix="mainstay-ray-"))
        wire = getattr(getattr(platform, "platform", platform), "wire", None)
        is_server = wire is not None and wire.url.rpartition(":")[2].isdecimal()
        if is_elsewhere and not is_server:
            raise Invalid(
                "a Ray cluster elsewhere cannot reach a workspace that no server serves; start one with `mainstay server`, "
                "and name it with MAINSTAY_URL."
            )
        self._reach = Reach(
            spool=self._folder,
            url=wire.url if is_elsewhere and wire else None,
            token=wire.token if is_elsewhere and wire else None,
        )

    def submit(self, call: StepCall) -> None:
        if self._reach.url is not None and isinstance(self._platform, Nearby):
            self._platform.send_fresh()  # workers elsewhere ask the server for inputs that may be on their way to it
        self._send(Task(call=call, reach=replace(self._reach, paths={})))

    def outcomes(self, *, wait: bool = True) -> Iterator[tuple[StepCall, Outcome]]:
        found: list[tuple[StepCall, Outcome]] = []
        while True:
            now = time.monotonic()
            for task in [each for each in self._waiting if each.due <= now]:
                self._waiting.remove(task)
                self._send(task)
            if self._tasks:
                patience = _LOOKS_EVERY_S if wait else 0
                done, _ = self._ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=patience and 0.001)
                if not done and patience:
                    done, _ = self._ray.wait(list(self._tasks), num_returns=1, timeout=patience)
                for ref in done:
                    found += self._taken(ref, self._tasks.pop(ref))
                self._end_overdue()
            elif self._waiting and wait:
                time.sleep(max(0.0, min(each.due for each in self._waiting) - now))
            if found or not wait or not (self._tasks or self._waiting):
                yield from found
                return

    def stop(self) -> None:
        for ref in self._tasks:
            self._ray.cancel(ref, force=True)
        self._tasks.clear()
        self._waiting.clear()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _send(self, task: Task) -> None:
        call, options = task.call, task.call.step.options
        order = Order.of(call, task.attempts)
        # A worker of Ray serves one environment: another state of the code, or an isolated call, gets another process.
        state = digest_of([self._around.code, list(self._around.path), str(self._around.main)])
        alone = {"MAINSTAY_ALONE": f"{time.time_ns()}"} if options.isolate else {}
        remote = self._remote[options.isolate].options(
            num_cpus=min(options.cpus, self.slots),
            runtime_env={"env_vars": {"MAINSTAY_CODE": state, **alone}},
        )
        setup = Setup(surroundings=self._around, spool=task.reach.spool)
        task.submitted = time.monotonic()
        self._tasks[remote.remote(pickle.dumps(order), pickle.dumps(setup), task.reach, options.timeout)] = task

    def _taken(self, ref: Any, task: Task) -> list[tuple[StepCall, Outcome]]:
        try:
            what, told = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            return self._lost(task, error)
        if what == "needs":
            return self._supplied(task, told)
        answer, lines = told
        for stream, text in lines:
            if self._say is not None:
                self._say(task.call.label, stream, text)
        return self._ended(task, self._received(answer, task))

    def _supplied(self, task: Task, digest: str) -> list[tuple[StepCall, Outcome]]:
        """Nothing of the step has run yet: its inputs are read first."""
        assert self._platform is not None
        path = str(self._platform.blob_path(digest))
        task.reach = replace(task.reach, paths={**task.reach.paths, digest: path})
        self._send(task)
        return []

    def _received(self, answer: Answer, task: Task) -> Outcome:
        assert self._platform is not None
        for data in answer.fresh.values():
            self._platform.put_blob(data)
        for digest in answer.spooled:
            self._platform.put_blob(task.reach.spool / digest)
        cause = pickle.loads(answer.cause) if answer.cause else None
        return replace(answer.outcome, log=replace(answer.outcome.log, blobs=self._platform), cause=cause)

    def _lost(self, task: Task, error: Exception) -> list[tuple[StepCall, Outcome]]:
        limit, options = task.call.step.options.timeout, task.call.step.options
        lost: MainstayError
        if limit is not None and time.monotonic() - task.submitted >= limit:
            lost = StepTimedOut(f"it took longer than its timeout of {limit:g} s, and was ended")
        elif isinstance(error, self._ray.exceptions.RayTaskError):
            lost = Invalid(f"a Ray worker cannot carry it out: {' '.join(str(error.cause).split())}")
        else:
            lost = WorkerDied(f"its Ray worker died ({type(error).__name__}); the machine may be short of memory")
        outcome = Outcome(
            seconds=0.0,
            log=StepLog(blobs=self._platform),
            attempts=task.attempts,
            error=lost.message,
            cause=lost,
            pause=tries.pause(options, task.attempts, lost),
        )
        return self._ended(task, outcome)

    def _ended(self, task: Task, outcome: Outcome) -> list[tuple[StepCall, Outcome]]:
        if outcome.pause is not None:
            again = replace(task, attempts=task.attempts + 1, due=time.monotonic() + outcome.pause)
            self._waiting.append(again)
            return []
        return [(task.call, replace(outcome, seconds=time.monotonic() - task.began))]

    def _end_overdue(self) -> None:
        for ref, task in self._tasks.items():
            limit = task.call.step.options.timeout
            if limit is not None and time.monotonic() - task.submitted > limit + _OVERDUE_S:
                self._ray.cancel(ref, force=True)


def make(workers: int | None) -> Ray:
    """``workers``: how many tasks at once; by default as many as the cluster has processors."""
    return Ray(workers)


def _imported() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if not _address():
        # Read when Ray is imported: without it, Ray takes 127.0.0.1 for this machine's outer address, and listens there.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        import ray  # an extra, and a second to load
    except ImportError:
        raise Invalid("the executor 'ray' needs Ray; install mainstay[ray], or use processes.") from None
    return ray


def _connect(ray: Any, workers: int | None) -> bool:
    """Be connected to a cluster; whether it is one elsewhere."""
    address = _address()
    if not ray.is_initialized():
        quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
        if address:
            ray.init(address=address, **quiet)
        else:
            ray.init(
                address="local",
                include_dashboard=False,
                num_cpus=workers,
                _node_ip_address="127.0.0.1",
                **quiet,
            )
    return bool(address)


def _address() -> str:
    found = settings.get("ray_address") or os.environ.get("RAY_ADDRESS") or ""
    return "" if found == "local" else str(found)


# ── in a worker ────────────────────────────────────────────────────────────────────────────────────────────────────

_entered: list[Surroundings] = []


@dataclass(kw_only=True)
class WorkerBlobs(child.FolderBlobs):
    """Blobs by path, or over HTTP."""

    reach: Reach

    def put_blob(self, data: bytes | Path) -> str:
        """See `Blobs.put_blob`: small bytes go back with the answer; large ones over HTTP, or as a file of the spool."""
        if self.reach.url is None or (isinstance(data, bytes) and len(data) <= SMALL):
            return super().put_blob(data)
        return str(_session(self.reach).put_blob(data))

    def blob_path(self, digest: str) -> Path:
        """See `Blobs.blob_path`."""
        if digest in self.spooled:
            return self.spool / digest
        if self.reach.url is not None:
            return Path(_session(self.reach).blob_path(digest))
        if digest not in self.reach.paths:
            raise Needed(digest)
        return Path(self.reach.paths[digest])


def _session(reach: Reach) -> Any:
    from mainstay.client import session

    return session.connect(reach.url, token=reach.token)


def _tried(order: bytes, setup: bytes, reach: Reach, timeout: float | None) -> tuple[str, Any]:
    """One try, in a process of Ray's."""
    around: Surroundings = pickle.loads(setup).surroundings
    if around not in _entered:
        surroundings.enter(around)
        _entered.append(around)
    lines: list[tuple[str, str]] = []
    blobs = WorkerBlobs(spool=reach.spool, reach=reach)
    watchdog = threading.Timer(timeout, os._exit, (_EXIT,)) if timeout is not None else None
    if watchdog is not None:
        watchdog.daemon = True
        watchdog.start()
    try:
        answer = child.answer(pickle.loads(order), blobs, lambda _, stream, text: lines.append((stream, text)))
    except Needed as needed:
        return "needs", needed.digest
    finally:
        if watchdog is not None:
            watchdog.cancel()
    return "done", (answer, lines)
