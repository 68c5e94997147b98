# SPDX-License-Identifier: Apache-2.0
"""A worker: leases jobs from the control plane, carries them out one at a time, and answers.

In: ``run_pipeline``, ``plan``, ``judge_release`` and ``reproduce`` jobs. Out: a result, or one sentence. While it works it
renews its lease and says how far it is; a lease it has lost is somebody else's, so it stops and stays silent. A control plane
that is away is waited for. On SIGTERM it stops the pipeline it is running and leaves the job to the next worker when the
lease runs out.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mainstay.domain.errors import Conflict, Forbidden, Invalid, MainstayError, NotFound, Unavailable
from mainstay.engine.calls import step_calls
from mainstay.engine.jobs import child, judge_release, nursery, plan_pipeline, reproduce, run_pipeline
from mainstay.engine.jobs.nursery import Nursery
from mainstay.engine.platform import Platform

KINDS = ("run_pipeline", "plan", "judge_release", "reproduce")
_TELLS_EVERY_S = 0.5
log = logging.getLogger("mainstay.worker")


@dataclass(kw_only=True)
class Worker:
    """``folder``: the project that entries are relative to. ``environment``: how a child finds the control plane."""

    platform: Platform
    folder: Path
    name: str = field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}")
    environment: Mapping[str, str] = field(default_factory=dict)
    lease_s: float = 30.0
    poll_s: float = 0.1
    leave_after_s: float | None = None  # without a job for so long, it ends: whoever has the next one starts another
    wait_s: float = 2.0  # how long a question for work may wait for an answer; a stop waits as long
    stopping: threading.Event = field(default_factory=threading.Event)
    pipelines: Nursery = field(init=False)
    models: Nursery = field(init=False)

    def __post_init__(self) -> None:
        self.pipelines = child.nursery_of(self.folder, self.environment)
        self.models = judge_release.nursery(self.folder)


def work(worker: Worker) -> None:
    """Lease and carry out until ``worker.stopping`` is set, or there was nothing to do for `Worker.leave_after_s`."""
    busy_at, did = time.monotonic(), False
    try:
        while not worker.stopping.is_set() and not _is_idle(worker, busy_at):
            try:
                found = work_once(worker)
            except Unavailable as error:
                log.warning("%s", error.message)
                found = False
            if found:
                busy_at, did = time.monotonic(), True
                continue
            if did:  # after a pipeline comes another, and after a release the pipeline that betters it
                worker.models.prepare()
                worker.pipelines.prepare()
            worker.stopping.wait(worker.poll_s)
    finally:
        worker.models.stop()
        worker.pipelines.stop()


def _is_idle(worker: Worker, busy_at: float) -> bool:
    return worker.leave_after_s is not None and time.monotonic() - busy_at > worker.leave_after_s


def work_once(worker: Worker) -> bool:
    """Carry out one job, if there is one.

    Raises:
        Unavailable: the control plane is away.
    """
    body = {"worker": worker.name, "kinds": list(KINDS), "seconds": worker.lease_s, "wait": worker.wait_s}
    job = worker.platform.post("/jobs/lease", body)["job"]
    if job is None:
        return False
    log.info("job %s: %s, attempt %s", job["id"], job["kind"], job.get("attempt", 1))
    with _renewed(worker, job["id"]) as hold:
        answer = _carried_out(worker, job, hold)
    if answer is None or not hold.is_held():
        log.warning("job %s: given up", job["id"])
        return True
    log.info("job %s: %s", job["id"], answer.get("error") or "done")
    _finish(worker, job["id"], answer)
    return True


def _carried_out(worker: Worker, job: Mapping[str, Any], hold: Hold) -> dict[str, Any] | None:
    """What to answer; None: nothing, because the job is not ours to answer any more."""

    def is_wanted() -> bool:
        return hold.is_held() and not worker.stopping.is_set()

    try:
        return {"ok": True, "result": _result(worker, job, is_wanted, hold.tell)}
    except MainstayError as error:
        ran = {"run_id": error.facts["run_id"]} if "run_id" in error.facts else None
        return {"ok": False, "error": error.message, "result": ran} if is_wanted() else None
    # The loop must outlive its guests: a job that raises anything at all ends failed, with one sentence.
    except Exception as error:
        log.exception("job %s", job["id"])
        return {"ok": False, "error": step_calls.sentence(error)}


def _result(worker: Worker, job: Mapping[str, Any], is_wanted: Callable[[], bool], tell: child.Tell) -> dict[str, Any]:
    kind, body = job["kind"], job["body"]
    place: dict[str, Any] = {"folder": worker.folder, "environment": worker.environment, "nursery": worker.pipelines}
    try:
        if kind == "run_pipeline":
            return run_pipeline.carry_out(body, is_wanted=is_wanted, tell=tell, **place)
        if kind == "plan":
            return plan_pipeline.carry_out(body, is_wanted=is_wanted, **place)
        if kind == "judge_release":
            return judge_release.carry_out(worker.platform, body, nursery=worker.models)
        if kind == "reproduce":
            return reproduce.carry_out(worker.platform, body, is_wanted=is_wanted, tell=tell)
    except KeyError as error:
        raise Invalid(f"the {kind} job has no {error.args[0]!r} in its body; it cannot be carried out.") from error
    raise Invalid(f"this worker does not know jobs of kind {kind!r}; it knows {' and '.join(KINDS)}.")


def _finish(worker: Worker, identity: str, answer: Mapping[str, Any]) -> None:
    """Answer, however long the control plane takes to come back; unless it says that the job is not ours."""
    while True:
        try:
            worker.platform.post(f"/jobs/{identity}/finish", {"worker": worker.name, **answer})
            return
        except Unavailable as error:
            log.warning("job %s: %s", identity, error.message)
            if worker.stopping.wait(worker.poll_s):
                return
        except (Conflict, NotFound, Forbidden) as error:
            log.warning("job %s: %s", identity, error.message)
            return


class Hold:
    """The lease of the job in hand, renewed in the background; and what is to be told with it."""

    def __init__(self, worker: Worker, identity: str) -> None:
        self._worker, self._identity = worker, identity
        self._progress: child.Progress | None = None
        self._lost, self._done, self._news = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def is_held(self) -> bool:
        """Whether the job is still ours."""
        return not self._lost.is_set()

    def tell(self, progress: child.Progress) -> None:
        """Say how far the work is, soon; of what is said in quick succession only the last."""
        self._progress = progress
        self._news.set()

    def end(self) -> None:
        """Renew it no more."""
        self._done.set()
        self._news.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._done.is_set():
            self._news.wait(self._worker.lease_s / 3)
            self._news.clear()
            if self._done.is_set():
                return
            try:
                self._renew()
            except (Conflict, NotFound, Forbidden):
                self._lost.set()
                return
            except MainstayError as error:
                log.warning("job %s: no heartbeat: %s", self._identity, error.message)
            self._done.wait(_TELLS_EVERY_S)

    def _renew(self) -> None:
        told = {} if self._progress is None else {"progress": dict(self._progress)}
        body = {"worker": self._worker.name, "seconds": self._worker.lease_s, **told}
        self._worker.platform.post(f"/jobs/{self._identity}/heartbeat", body)


@contextmanager
def _renewed(worker: Worker, identity: str) -> Iterator[Hold]:
    hold = Hold(worker, identity)
    try:
        yield hold
    finally:
        hold.end()


def serve(
    *,
    url: str,
    token: str,
    project: Path,
    name: str,
    with_parent: bool = False,
    leave_after_s: float | None = None,
) -> None:
    """Work for the control plane at ``url`` until SIGTERM or Ctrl-C; ``with_parent``: or until standard input ends;
    ``leave_after_s``: or until there was nothing to do for so long."""
    from mainstay.client import session

    worker = Worker(
        platform=session.connect(url, token=token),
        folder=project,
        name=f"{name}-{os.getpid()}",
        leave_after_s=leave_after_s,
        environment={"MAINSTAY_URL": url, "MAINSTAY_TOKEN": token},
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stopping.set())
    if with_parent:
        threading.Thread(target=_stop_with_parent, args=(worker,), name="mainstay-parent", daemon=True).start()
    if leave_after_s is None:
        worker.models.prepare()
        nursery.load_aside(child.USUAL)  # so that the first job does not wait for it
    work(worker)


def _stop_with_parent(worker: Worker) -> None:
    """The parent holds the other end of standard input and says nothing, ever; its end is the parent's."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    worker.stopping.set()
