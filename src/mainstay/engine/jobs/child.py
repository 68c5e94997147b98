# SPDX-License-Identifier: Apache-2.0
"""A child process of its own for a job that knows a project's code.

In: the function that carries the job out, and its body. Out: what that function returns. An interpreter that knows nothing of
the project, because its modules may have changed since the last job and because what a guest's code does must not take the
worker with it. The child reads its order from standard input and ends when that is closed: no child outlives its worker. How
far it is stands in a file that it replaces, and that the worker looks at.
"""

from __future__ import annotations

import contextlib
import importlib
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

from mainstay.domain.errors import MainstayError, Unavailable, of_kind
from mainstay.engine.calls import step_calls
from mainstay.engine.jobs import nursery as nurseries
from mainstay.engine.jobs.nursery import Nursery, Offspring
from mainstay.engine.platform import Platform

Progress = Mapping[str, Any]
Tell = Callable[[Progress], None]
Work = Callable[[Platform, Mapping[str, Any], Path, Tell], dict[str, Any]]

_GRACE_S = 10  # for the child to record that it was interrupted
_LOOK_S = 0.2


#: What almost every pipeline needs; what is not installed is not needed.
USUAL = ("pyarrow.parquet", "sklearn.ensemble", "sklearn.compose", "skops.io")
_MAIN = f"from {__name__} import main; main()"


def nursery_of(folder: Path, environment: Mapping[str, str]) -> Nursery:
    """Where children of this project begin at once; it does not know the token that they are given."""
    own = {name: value for name, value in os.environ.items() if name not in {*environment, "MAINSTAY_TOKEN"}}
    modules = (__name__, "mainstay.engine.jobs.run_pipeline", "mainstay.client.session", *USUAL)
    return Nursery(modules=modules, environment=own, folder=folder)


def carry_out(
    work: Work,
    body: Mapping[str, Any],
    *,
    folder: Path,
    environment: Mapping[str, str],
    is_wanted: Callable[[], bool],
    tell: Tell | None = None,
    nursery: Nursery | None = None,
) -> dict[str, Any]:
    """Let a child call ``work`` and wait for it.

    Args:
        work: a function of a module; the child imports it. folder: the project. environment: what tells the child where the
            control plane is.
        is_wanted: asked now and then; when it says no, the child is stopped. tell: given what the child says of how far it is.
        nursery: may have loaded the usual libraries already; it has read nothing of the project, so that the child sees the
            sources as they are.

    Raises:
        Invalid, NotFound, StepFailed …: as in the child. Unavailable: the child died, or was not wanted any more.
    """
    with tempfile.TemporaryDirectory(prefix="mainstay-job-") as scratch:
        answer, told = Path(scratch) / "answer.json", _Told(Path(scratch) / "told.json", tell)
        order = {
            "module": work.__module__,
            "function": work.__name__,
            "body": dict(body),
            "folder": str(folder),
            "answer": str(answer),
            "told": str(told.file),
        }
        with _begun(folder, environment, nursery) as (child, orders):
            try:
                with contextlib.suppress(BrokenPipeError):
                    orders.write(json.dumps(order).encode() + b"\n")
                    orders.flush()
                code = _wait(child, is_wanted, told)
            finally:
                _stop(child)
        return _answered(answer, code)


def silent(progress: Progress) -> None:
    """Nobody wants to know."""


class _Told:
    """What the child last said of how far it is."""

    def __init__(self, file: Path, tell: Tell | None) -> None:
        self.file, self._tell, self._text = file, tell, b""

    def look(self) -> None:
        """Pass on what is new."""
        with contextlib.suppress(OSError, ValueError):  # it has said nothing yet
            text = self.file.read_bytes()
            if self._tell and text != self._text:
                self._tell(json.loads(text))
                self._text = text


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


def _wait(child: subprocess.Popen[bytes] | Offspring, is_wanted: Callable[[], bool], told: _Told) -> int:
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.wait(timeout=_LOOK_S)
        told.look()
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


def main() -> None:
    """Read the order from standard input, carry it out, write the answer to the file it names."""
    from mainstay.client import session

    signal.signal(signal.SIGTERM, _leave)
    load_the_usual()
    order = json.loads(_read_line())
    threading.Thread(target=_end_with_the_worker, daemon=True).start()
    answer = Path(order["answer"])
    try:
        work: Work = getattr(importlib.import_module(order["module"]), order["function"])
        told = {"result": work(session.connect(), order["body"], Path(order["folder"]), _teller(Path(order["told"])))}
    except MainstayError as error:
        told = {"error": {"kind": error.kind, "message": error.message, "facts": _plain(error.facts)}}
    # Whatever else a guest's code raises becomes the job's one sentence.
    except Exception as error:
        told = {"error": {"kind": "invalid", "message": step_calls.sentence(error), "facts": {}}}
    answer.write_text(json.dumps(told))


def _teller(file: Path) -> Tell:
    def tell(progress: Progress) -> None:
        beside = file.with_suffix(".new")
        beside.write_text(json.dumps(progress))
        beside.replace(file)

    return tell


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
