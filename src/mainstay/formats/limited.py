# SPDX-License-Identifier: Apache-2.0
"""The first load of a model from elsewhere, in a child process that may not do much.

In: a format, its files, perhaps some rows to try. Out: what the model says of itself and its scores, or one sentence
on what went wrong; never a traceback, never an exception for what the *model* did.

The child is a fresh interpreter with nothing of our environment, or the fork of one that has loaded libraries and nothing
else; it has limits on address space, processor time, open files and written bytes, no core dump, no way to gain rights, and,
where the kernel lets it, no network. The parent reads one
JSON answer from a file whose size the kernel bounds. It executes nothing of the model's; only for a pickle that an admin
allowed does the child itself run what is in it.

What it does not do: it is no container. Code that runs in the child could read what our user may read, and could lie
in its answer. The formats give no such code a way in; this is the second wall, mainly against native parsers that
crash, hang or allocate. On systems without `resource` (Windows) only the time limit holds; macOS ignores the one on
address space.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mainstay import formats
from mainstay.formats import Files, Model, Table

ANSWER_LIMIT_BYTES = 64 * 2**20  # also what a model may write to any file
OPEN_FILES = 256
START_S = 30  # for the interpreter and the libraries on a busy machine, by the clock

# Threads each reserve address space (OpenBLAS some 30 MB apiece), which would count against the limit.
_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
}

# Limits come before the first import of anything that is not the standard library, or was loaded before any model came.
_BOOT = """
import json, sys
request = json.loads(sys.stdin.buffer.read())
def limit(name, value, grace=0):
    kind = getattr(resource, name, None)
    if kind is not None:
        hard = resource.getrlimit(kind)[1]
        most = float("inf") if hard == resource.RLIM_INFINITY else hard
        try:
            resource.setrlimit(kind, (min(value, most), min(value + grace, most)))
        except (ValueError, OSError):
            pass
try:
    import resource
    limit("RLIMIT_AS", request["memory_mb"] * 2**20)
    limit("RLIMIT_CPU", request["seconds"], grace=1)  # the first limit says why, the second only kills
    limit("RLIMIT_FSIZE", request["written_bytes"])
    limit("RLIMIT_NOFILE", request["open_files"])
    limit("RLIMIT_CORE", 0)
except ImportError:
    pass
sys.path[:] = request["path"]
from mainstay.formats import limited
limited.answer(request)
"""

_NO_MEMORY = ("bad_alloc", "allocate memory", "failed to map segment")  # what C++ and the linker say for MemoryError
_PATH = re.compile(r"/[^\s:'\"]+")  # a sentence for people says nothing about the host

_SIGNALS = {
    "SIGXCPU": "it needed more than {seconds} s of processor time",
    "SIGXFSZ": "it wrote more than it may",
    "SIGKILL": "it was killed, most likely because the machine ran out of memory",
    "SIGSEGV": "it crashed while loading or predicting (segmentation fault)",
    "SIGBUS": "it crashed while loading or predicting (bus error)",
    "SIGABRT": "it aborted while loading or predicting, which is also what libraries do when they get no memory",
    "SIGFPE": "it crashed while loading or predicting (arithmetic error)",
    "SIGILL": "it crashed while loading or predicting (illegal instruction)",
}


class Child(Protocol):
    """A process as `subprocess.Popen` shows it."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def kill(self) -> None: ...


class Warm(Child, Protocol):
    """One whose number names nobody else before it is closed, ended or not."""

    def close(self) -> None: ...


class Begin(Protocol):
    """Begins a child that carries out Python code with these standard descriptors; None if it cannot."""

    def __call__(
        self, code: str, *, environment: Mapping[str, str], folder: Path, descriptors: Sequence[int]
    ) -> Warm | None: ...


def check_in_child(
    format: str,
    files: Files,
    *,
    memory_mb: int | None = None,
    seconds: int = 60,
    probe: Table | None = None,
    environment: Mapping[str, str] | None = None,
    allow_version_mismatch: bool = False,
    allow_pickle: bool = False,
    begin: Begin | None = None,
) -> dict[str, Any]:
    """Load a model in a limited child, and let it predict ``probe``'s rows.

    Args:
        memory_mb: address space; without a number as much as the format asks for.
        seconds: processor time; by the clock it may take `START_S` more.
        probe: a table as for `Model.predict`; lists will do in place of arrays.
        environment, allow_pickle: as for `formats.load`. What is unpickled does run in the child.
        begin: where there may be an interpreter that has nothing of ours but the usual libraries, loaded already.

    Returns:
        ``ok``, and if it is: ``columns``, ``classes``, ``scores`` (nested lists, None without a probe), ``kind`` (what
        the scores are), ``network`` ("none", or "shared" where it could not be taken away). If not: ``error``, one
        sentence.
    """
    memory_mb = formats.memory_mb(format) if memory_mb is None else memory_mb
    with tempfile.TemporaryDirectory(prefix="mainstay-model-") as folder:
        request = {
            "format": format,
            "files": _placed(files, Path(folder)),
            "probe": _as_json(probe),
            "environment": None if environment is None else dict(environment),
            "allow_version_mismatch": allow_version_mismatch,
            "allow_pickle": allow_pickle,
            "memory_mb": memory_mb,
            "seconds": seconds,
            "written_bytes": _written_bytes(format, files),
            "open_files": OPEN_FILES,
            "path": [entry for entry in sys.path if os.path.exists(entry)],
        }
        return _run(json.dumps(request).encode(), Path(folder), seconds, memory_mb, begin)


def answer(request: dict[str, Any]) -> None:
    """The child's side: load, predict, write one JSON object to what was standard output."""
    out = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints must not get into the answer
    request["network"] = _leave_network()
    try:
        found = _loaded(request)
    except MemoryError:
        found = _memory(request["memory_mb"])
    # This is the wall: whatever a stranger's model raises becomes one sentence.
    except Exception as error:
        found = {"ok": False, "error": _sentence(error, request["memory_mb"])}
    with os.fdopen(out, "w") as stream:
        json.dump(found, stream)
    os._exit(0)  # not even its finalizers get to run


def _loaded(request: dict[str, Any]) -> dict[str, Any]:
    files = {name: Path(path) for name, path in request["files"].items()}
    model = formats.load(
        request["format"],
        files,
        environment=request["environment"],
        allow_version_mismatch=request["allow_version_mismatch"],
        allow_pickle=request["allow_pickle"],
    )
    probe = _from_json(request["probe"])
    return {
        "ok": True,
        "columns": None if model.columns is None else list(model.columns),
        "classes": model.classes,
        "kind": model.scores,
        "scores": None if probe is None else _scores(model, probe),
        "network": request["network"],
    }


def _scores(model: Model, probe: Table) -> list[Any]:
    scores = model.predict(probe)
    if len(scores) != formats.row_count(probe):
        raise ValueError(f"it gave {len(scores)} scores for {formats.row_count(probe)} rows")
    found: list[Any] = scores.tolist()
    return found


def surroundings() -> dict[str, str]:
    """The environment of a child, but for its folder: nothing of ours."""
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ}
    return _ENVIRONMENT | kept


def _run(request: bytes, folder: Path, seconds: int, memory_mb: int, begin: Begin | None) -> dict[str, Any]:
    asked, answered = folder / "request.json", folder / "answer.json"
    asked.write_bytes(request)
    environment = surroundings() | {"HOME": str(folder), "TMPDIR": str(folder)}
    with asked.open("rb") as stdin, answered.open("wb") as stdout, open(os.devnull, "wb") as stderr:
        standard = [stream.fileno() for stream in (stdin, stdout, stderr)]
        warm = begin(_BOOT, environment=environment, folder=folder, descriptors=standard) if begin else None
        child = warm or subprocess.Popen(
            [sys.executable, "-I", "-B", "-c", _BOOT],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=environment,
            cwd=folder,
            start_new_session=True,
        )
        try:
            is_done = _ends_within(child, seconds + START_S)
        finally:
            code = _end(child)
            if warm:
                warm.close()
    if not is_done:
        return {"ok": False, "error": f"the model hung: it gave no answer within {seconds + START_S} s."}
    return _outcome(code, answered, seconds, memory_mb)


def _ends_within(child: Child, seconds: float) -> bool:
    """Wait without collecting the child: as long as nobody has, its number cannot come to name another process."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not isinstance(child, subprocess.Popen) or not hasattr(os, "waitid"):
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(deadline - time.monotonic())
            return child.returncode is not None
        if os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG):
            return True
        time.sleep(0.01)
    return False


def _end(child: Child) -> int:
    """Kill the child's whole process group, with what it has started; returns how the child itself ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
    return child.wait()


def _outcome(code: int, answered: Path, seconds: int, memory_mb: int) -> dict[str, Any]:
    if code < 0:
        name = signal.Signals(-code).name
        reason = _SIGNALS.get(name, f"it was ended by {name}").format(seconds=seconds)
        return {"ok": False, "error": f"the model cannot be used: {reason}."}
    try:
        with answered.open("rb") as file:
            found = json.loads(file.read(ANSWER_LIMIT_BYTES))
    except ValueError:
        found = None
    if code == 0 and isinstance(found, dict) and isinstance(found.get("ok"), bool):
        return found
    return {
        "ok": False,
        "error": f"the model cannot be used: its process ended with code {code} before it answered; {memory_mb} MB"
        " may be too few to start in.",
    }


def _written_bytes(format: str, files: Files) -> int:
    """What it may write to any file; whoever needs its folder makes a copy of it."""
    if not formats.runs_code(format):
        return ANSWER_LIMIT_BYTES
    there = (content for content in files.values() if isinstance(content, bytes) or content.is_file())
    sizes = (len(content) if isinstance(content, bytes) else content.stat().st_size for content in there)
    return max([ANSWER_LIMIT_BYTES, *sizes])


def _placed(files: Files, folder: Path) -> dict[str, str]:
    """The path of every file; bytes are written down, under names of our own."""
    paths = {}
    for position, (name, content) in enumerate(files.items()):
        if isinstance(content, bytes):
            path = folder / f"file-{position}"
            path.write_bytes(content)
            paths[name] = str(path)
        else:
            paths[name] = str(content.absolute())
    return paths


def _as_json(table: Table | None) -> Any:
    if table is None:
        return None
    if isinstance(table, Mapping):
        return {"columns": {name: np.asarray(values).tolist() for name, values in table.items()}}
    return {"rows": np.asarray(table).tolist()}


def _from_json(probe: Any) -> Table | None:
    if probe is None:
        return None
    if "columns" in probe:
        return {name: _array(values) for name, values in probe["columns"].items()}
    flat = [value for row in probe["rows"] for value in row]
    return np.array(probe["rows"], dtype=np.float64 if _are_numbers(flat) else object)


def _array(values: list[Any]) -> np.ndarray[Any, Any]:
    return np.array(values, dtype=np.float64 if _are_numbers(values) else object)


def _are_numbers(values: list[Any]) -> bool:
    return all(isinstance(value, int | float) for value in values)


def _memory(memory_mb: int) -> dict[str, Any]:
    return {"ok": False, "error": f"the model cannot be used: it needs more than the {memory_mb} MB it may have."}


def _sentence(error: Exception, memory_mb: int) -> str:
    from mainstay.domain.errors import MainstayError

    if isinstance(error, MainstayError):
        return error.message
    if any(words in str(error) for words in _NO_MEMORY):
        return str(_memory(memory_mb)["error"])
    first = _PATH.sub("…", (str(error).strip().splitlines() or [""])[0][:300])
    return f"the model cannot be used: {type(error).__name__}: {first}."


def _leave_network() -> str:
    """Move into a network that has nothing in it, and give up gaining rights; both as far as Linux lets us."""
    if not sys.platform.startswith("linux"):
        return "shared"
    import ctypes

    new_user, new_network, no_new_privileges = 0x10000000, 0x40000000, 38
    libc = ctypes.CDLL(None)
    libc.prctl(no_new_privileges, 1, 0, 0, 0)
    is_alone = libc.unshare(new_network) == 0 or libc.unshare(new_user | new_network) == 0
    return "none" if is_alone else "shared"
