# SPDX-License-Identifier: Apache-2.0
"""Running a pipeline for somebody else, in a child process of its own.

In: entry, parameters, the event that caused it. Out: run id, versions, snapshots. An interpreter that knows nothing of the
project, because its modules may have changed since the last job and because what a guest's code does must not take the worker
with it. The child reads its order from standard input and ends when that is closed: no child outlives its worker.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from mainstay.domain.errors import Forbidden, MainstayError, Unavailable, of_kind
from mainstay.engine import execution, executors, project
from mainstay.engine.calls import step_calls
from mainstay.engine.execution import Execution
from mainstay.engine.jobs import needless
from mainstay.engine.jobs import nursery as nurseries
from mainstay.engine.jobs.nursery import Nursery, Offspring
from mainstay.engine.pipelines import Pipeline
from mainstay.engine.platform import Platform
from mainstay.engine.repeating import resumption

_GRACE_S = 10  # for the child to record that it was interrupted
_LOOK_S = 0.2


#: What almost every pipeline needs; what is not installed is not needed.
USUAL = ("pyarrow.parquet", "sklearn.ensemble", "sklearn.compose", "skops.io")
_MAIN = f"from {__name__} import main; main()"


def nursery_of(folder: Path, environment: Mapping[str, str]) -> Nursery:
    """Where children of this project begin at once; it does not know the token that they are given."""
    own = {name: value for name, value in os.environ.items() if name not in {*environment, "MAINSTAY_TOKEN"}}
    return Nursery(modules=(__name__, "mainstay.client.session", *USUAL), environment=own, folder=folder)


def carry_out(
    body: Mapping[str, Any],
    *,
    folder: Path,
    environment: Mapping[str, str],
    is_wanted: Callable[[], bool],
    nursery: Nursery | None = None,
) -> dict[str, Any]:
    """Run the pipeline in a child and wait for it.

    Args:
        folder: the project. environment: what tells the child where the control plane is.
        is_wanted: asked now and then; when it says no, the child is stopped.
        nursery: may have loaded the usual libraries already; it has read nothing of the project, so that the child sees the
            sources as they are.

    Raises:
        Invalid, NotFound, StepFailed …: as in the child. Unavailable: the child died, or was not wanted any more.
    """
    with tempfile.TemporaryDirectory(prefix="mainstay-job-") as scratch:
        answer = Path(scratch) / "answer.json"
        order = {"body": dict(body), "folder": str(folder), "answer": str(answer)}
        with _begun(folder, environment, nursery) as (child, orders):
            try:
                with contextlib.suppress(BrokenPipeError):
                    orders.write(json.dumps(order).encode() + b"\n")
                    orders.flush()
                code = _wait(child, is_wanted)
            finally:
                _stop(child)
        return _answered(answer, code)


@contextmanager
def _begun(
    folder: Path, environment: Mapping[str, str], nursery: Nursery | None
) -> Iterator[tuple[subprocess.Popen[bytes] | Offspring, IO[bytes]]]:
    """A child that waits for its order, and where to write that; it ends with the block."""
    theirs, ours = os.pipe()
    given = {**os.environ, **environment}
    born = nursery and nursery.begin(_MAIN, environment=given, folder=folder, descriptors=(theirs, 1, 2))
    try:
        child = born or subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=theirs,
            cwd=folder,
            env=given,
            start_new_session=True,  # Ctrl-C on a terminal reaches the worker, which tells the child
        )
    finally:
        os.close(theirs)
    orders = os.fdopen(ours, "wb")
    try:
        yield child, orders
    finally:
        with contextlib.suppress(BrokenPipeError):
            orders.close()
        if born:
            born.close()


def _wait(child: subprocess.Popen[bytes] | Offspring, is_wanted: Callable[[], bool]) -> int:
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.wait(timeout=_LOOK_S)
        if not is_wanted():
            _stop(child)
            raise Unavailable("the job was given up: its worker is stopping or has lost its lease.")


def _stop(child: subprocess.Popen[bytes] | Offspring) -> None:
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(timeout=_GRACE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _answered(answer: Path, code: int) -> dict[str, Any]:
    try:
        told = json.loads(answer.read_bytes())
    except (OSError, ValueError):
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        raise Unavailable(
            f"the pipeline's process {how} before it could answer; the machine may be short of memory."
        ) from None
    if "error" in told:
        raise of_kind(told["error"]["kind"], told["error"]["message"], told["error"]["facts"])
    return dict(told["result"])


# ── the child ──────────────────────────────────────────────────────────────────────────────────────────────────────


def run(platform: Platform, body: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Load and carry out; what the job's result will be.

    Raises:
        Forbidden: the entry leads out of the project: whoever may ask for work may not have any file of this machine run.
    """
    if not (folder / body["entry"].rpartition(":")[0]).resolve().is_relative_to(folder.resolve()):
        raise Forbidden(
            f"entry {body['entry'][:120]!r} leads out of the project; name a file in it, as in flights.py:train."
        )
    pipeline = project.load(body["entry"], folder=folder)
    unless = body.get("unless")
    if unless is not None:
        params = _params(pipeline, body.get("params") or {})
        if known := needless.find(pipeline, platform, params, unless["run"]):
            return {"skipped": known.sentence, "run_id": known.run_id}
    return _told(_executed(platform, pipeline, body, folder), body.get("register_as"))


def _told(done: Execution, wanted: str | None) -> dict[str, Any]:
    versions = list(done.versions)
    mine = [name for name in versions if wanted is None or name.rpartition("/")[0] == wanted]
    return {
        "run_id": done.run_id,
        "summary": done.summary(),
        "version": mine[-1] if mine else None,
        "versions": versions,
        "new_versions": [name for name in versions if not done.versions[name]],
        "snapshots": list(done.snapshots),
        "warnings": list(done.warnings),
    }


def _executed(platform: Platform, pipeline: Pipeline[..., Any], body: Mapping[str, Any], folder: Path) -> Execution:
    """A new run; or one that is carried on, if the body says ``resume``."""
    if run_id := body.get("resume"):
        return resumption.carry_on(
            platform,
            str(run_id),
            folder=folder,
            executor=body.get("executor"),
            workers=body.get("workers"),
            allow_edited=bool(body.get("edited")),
        )
    return execution.execute(
        pipeline,
        platform,
        params=_params(pipeline, body.get("params") or {}),
        because=body.get("because"),
        reason=body.get("reason"),
        tags=body.get("tags"),
        executor=executors.make(body.get("executor") or pipeline.executor, workers=body.get("workers")),
    )


def _params(pipeline: Pipeline[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Texts are converted as on the command line; a trigger's numbers and lists are what they are."""
    texts = {name: value for name, value in given.items() if isinstance(value, str)}
    typed = {name: value for name, value in given.items() if name not in texts}
    return {**typed, **project.parameters(pipeline, texts, known_already=typed)}


def main() -> None:
    """Read the order from standard input, carry it out, write the answer to the file it names."""
    from mainstay.client import session

    signal.signal(signal.SIGTERM, _leave)
    load_the_usual()
    order = json.loads(_read_line())
    threading.Thread(target=_end_with_the_worker, daemon=True).start()
    answer = Path(order["answer"])
    try:
        told = {"result": run(session.connect(), order["body"], Path(order["folder"]))}
    except MainstayError as error:
        told = {"error": {"kind": error.kind, "message": error.message, "facts": _plain(error.facts)}}
    # Whatever else a guest's code raises becomes the job's one sentence.
    except Exception as error:
        told = {"error": {"kind": "invalid", "message": step_calls.sentence(error), "facts": {}}}
    answer.write_text(json.dumps(told))


def load_the_usual() -> None:
    """What almost every pipeline needs, before there is anything to wait for."""
    nurseries.load(USUAL)


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value for name, value in facts.items() if isinstance(value, (str, int, float, bool, list, type(None)))
    }


def _leave(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def _read_line() -> bytes:
    # Straight from the descriptor, here and below: a thread that waits inside sys.stdin would block the interpreter's
    # exit.
    found = b""
    while not found.endswith(b"\n") and (more := os.read(0, 65_536)):
        found += more
    return found


def _end_with_the_worker() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)  # the worker has closed its end, or is no more


if __name__ == "__main__":
    main()
