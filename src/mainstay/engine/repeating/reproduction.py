# SPDX-License-Identifier: Apache-2.0
"""Reproducing a run: from its record alone, without the cache, beside what is there; and how alike the results are.

In: a run of a pipeline, or a version. Out: a verdict, identical, equivalent within a tolerance, or different at a step and
why; it is put on record. The sources are those that were kept with the run, the snapshots are those that it read. The
environment is the present one, and what of it is not as recorded is said; or, on request, the recorded one, rebuilt by uv.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import mainstay
from mainstay.client import session as sessions
from mainstay.domain.errors import Conflict, Invalid, MainstayError, NotFound, Unavailable
from mainstay.engine import environment, snapshots
from mainstay.engine.calls import step_calls
from mainstay.engine.code import data_files, roots
from mainstay.engine.execution import Notice, counted
from mainstay.engine.materialise import Artifact
from mainstay.engine.platform import Platform
from mainstay.engine.repeating import alikeness
from mainstay.engine.repeating.alikeness import DIFFERENT, EQUIVALENT, IDENTICAL
from mainstay.engine.repeating.repetition import BLOBS, ORDER, OUTSIDE, PROJECT, RESULT, SCRATCH

TOLERANCE = 1e-9
_NAMED = 3
_HOUSE = ("snapshot", "version")
Told = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class StepVerdict:
    """One step, then and now."""

    name: str
    verdict: str
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """``environment``: packages that are not as recorded, as name → (then, now). ``notes``: what else was not as then."""

    subject: str
    run_id: str
    verdict: str
    sentence: str
    steps: tuple[StepVerdict, ...]
    environment: Mapping[str, tuple[str, str]]
    is_rebuilt: bool
    tolerance: float
    notes: tuple[str, ...]
    seconds: float


def reproduce(
    subject: str,
    *,
    env: bool = False,
    tolerance: float = TOLERANCE,
    session: Platform | None = None,
    notify: Callable[[Notice], None] | None = None,
) -> Reproduction:
    """Carry the run behind ``subject`` out again and compare; ``subject`` is a run's id or a version such as ``flights-late/3``.

    Args:
        env: rebuild the recorded environment first, with uv. tolerance: how far numbers may be apart, relative to their size.

    Raises:
        NotFound: there is no such run, or its sources were not kept. Conflict: it did not succeed.
        Unavailable: the environment cannot be rebuilt here.
    """
    platform = session or sessions.default()
    began, tell = time.monotonic(), notify or (lambda notice: None)
    run = _run_of(platform, subject)
    with tempfile.TemporaryDirectory(prefix="mainstay-reproduction-") as scratch:
        folder = Path(scratch)
        notes = _lay_out(platform, run, folder)
        python = _rebuilt(run, folder, tell) if env else Path(sys.executable)
        total = len(run["steps"])
        tell(Notice(what="start", label=str(run["name"]), text=f"{counted(total, 'step')} once more", total=total))
        result = _repeated(folder, python, lambda notice: tell(replace(notice, total=total)))
        verdicts = list(_verdicts(platform, run, result, tolerance))
        apart = {} if env else _apart(run)
        found = _judged(subject, run, verdicts, result, apart, tolerance)
    done = Reproduction(
        **found, environment=apart, is_rebuilt=env, notes=tuple(notes), seconds=round(time.monotonic() - began, 3)
    )
    facts = {"verdict": done.verdict, "sentence": done.sentence, "tolerance": tolerance, "is_rebuilt": env}
    steps = [asdict(step) for step in done.steps]
    platform.post(
        f"/runs/{done.run_id}/reproductions",
        {**facts, "steps": steps, "environment": {k: list(v) for k, v in apart.items()}},
    )
    return done


# ── what is on record ──────────────────────────────────────────────────────────────────────────────────────────────


def _run_of(platform: Platform, subject: str) -> dict[str, Any]:
    name = subject.removeprefix("version:").removeprefix("run:")
    model, _, number = name.replace("@", "/").rpartition("/")
    if model and number.isdigit():
        version = platform.get(f"/models/{model}/versions/{number}")
        if not version.get("run_id"):
            raise NotFound(f"{name} was made by no run of this workspace; only what a run made can be made again.")
        name = version["run_id"]
    run: dict[str, Any] = platform.get(f"/runs/{name}")
    if run["kind"] == "step" and run.get("parent"):
        run = platform.get(f"/runs/{run['parent']}")
    if run["kind"] != "pipeline":
        raise Invalid(
            f"run {run['id']} is a {run['kind']}; only a run of a pipeline can be carried out again from its record."
        )
    if run["state"] != "succeeded":
        raise Conflict(f"run {run['id']} is {run['state']}; only one that succeeded has results to compare with.")
    if not (run.get("code") or {}).get("sources_digest"):
        raise NotFound(f"the sources of run {run['id']} were not kept; it cannot be carried out again.")
    return run


def _lay_out(platform: Platform, run: Told, folder: Path) -> list[str]:
    """Sources, order and bytes in ``folder``; notes on what was not kept."""
    (folder / PROJECT).mkdir()
    (folder / BLOBS).mkdir()
    files: dict[str, str] = json.loads(platform.get_blob(run["code"]["sources_digest"]))["files"]
    for path, digest in files.items():
        _write(folder, path, platform.get_blob(digest))
    (folder / PROJECT / roots.FILE).touch()
    notes = _data_notes(run, folder / PROJECT, set(files))
    pins = _pins(platform, run)
    for snapshot in pins["snapshots"].values():
        taken = snapshots.from_json(snapshot)
        shutil.copyfile(platform.blob_path(taken.artifact.digest), folder / BLOBS / taken.artifact.digest)
    order = {"entry": run["code"]["entry"], "params": run["params"], **pins}
    (folder / ORDER).write_text(json.dumps(order))
    return notes


def _write(folder: Path, path: str, content: bytes) -> None:
    pure = PurePosixPath(path)
    base, parts = (folder / OUTSIDE, pure.parts[1:]) if pure.parts[:1] == ("…",) else (folder / PROJECT, pure.parts)
    if pure.is_absolute() or ".." in parts or not parts:
        raise Invalid(
            f"the record of the sources names {path[:80]!r}, which leads out of a project; it is not laid out."
        )
    file = base.joinpath(*parts)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def _data_notes(run: Told, project: Path, kept: set[str]) -> list[str]:
    """Files that steps read beside their inputs: taken from here if they are what they were."""
    notes = []
    named = {name: digest for step in run["steps"] for name, digest in step["key_parts"].get("files", {}).items()}
    for name, digest in sorted(named.items()):
        here = Path.cwd() / name
        if name in kept or name.endswith("/") or digest == environment.ABSENT or Path(name).is_absolute():
            continue
        if here.is_file() and data_files.digest(name, Path.cwd()) == digest:
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(here, project / name)
        else:
            notes.append(f"{name}, which a step read, was not kept and is not here as it was")
    return notes


def _pins(platform: Platform, run: Told) -> dict[str, Any]:
    """The snapshots that the run read and did not make, and the lists that it chose them from, as they were."""
    made = {output["name"] for step in run["steps"] for output in step["outputs"] if output["kind"] == "snapshot"}
    read = {given["ref"] for step in run["steps"] for given in step["inputs"] if given["kind"] == "snapshot"} - made
    names = {step["name"] for step in run["steps"]}
    # A snapshot that was there before is a node of the graph by its own name, also where it is passed on in a list.
    read |= {label for step in run["steps"] for label in step["upstream"] if label not in names and "@" in label}
    datasets: dict[str, Any] = {}
    for name in sorted({ref.partition("@")[0] for ref in read}):
        found = platform.get(f"/datasets/{name}")
        then = [each for each in found["snapshots"] if each["created_at"] <= run["started_at"]]
        datasets[name] = {**found, "snapshots": then}
    return {"datasets": datasets, "snapshots": {ref: platform.get(f"/snapshots/{ref}") for ref in sorted(read)}}


# ── once more ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _rebuilt(run: Told, folder: Path, tell: Callable[[Notice], None]) -> Path:
    """A Python with the packages of the record; this program itself runs from where it is."""
    uv = shutil.which("uv")
    if uv is None:
        raise Unavailable(
            "the recorded environment is rebuilt with uv, which is not here; install uv, or leave out --env."
        )
    recorded = run.get("environment") or {}
    packages, python = recorded.get("packages") or {}, recorded.get("python") or environment.python_minor()
    lock, place = folder / "lock.txt", folder / "environment"
    lock.write_text(
        "".join(
            f"{name}=={version.partition('@')[0]}\n" for name, version in packages.items() if name != mainstay.__name__
        )
    )
    tell(Notice(what="start", label="environment", text=f"Python {python} and {counted(len(packages), 'package')}"))
    # The one that runs now is there for certain; any other uv may first have to find, or to fetch.
    found = sys.executable if python == environment.python_minor() else python
    _uv(uv, "venv", "--quiet", "--python", found, str(place))
    _uv(uv, "pip", "install", "--quiet", "--no-deps", "--python", str(place), "--requirements", str(lock))
    return place / "bin" / "python"


def _uv(uv: str, *words: str) -> None:
    done = subprocess.run([uv, *words], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()] or ["it said nothing"]
        raise Unavailable(
            f"the recorded environment cannot be rebuilt here: uv says {lines[-1]!r}; leave out --env to use this one."
        )


def _repeated(folder: Path, python: Path, tell: Callable[[Notice], None]) -> dict[str, Any]:
    home = Path(mainstay.__file__).resolve().parents[1]
    path = [str(home), str(folder / OUTSIDE), os.environ.get("PYTHONPATH", "")]
    around = {name: value for name, value in os.environ.items() if not name.startswith("MAINSTAY_")}
    around |= {
        "PYTHONPATH": os.pathsep.join(each for each in path if each),
        "MAINSTAY_WORKSPACE": str(folder / SCRATCH),
    }
    command = [str(python), "-m", "mainstay.engine.repeating.repetition", str(folder)]
    with (
        (folder / "said.txt").open("w") as said,
        subprocess.Popen(
            command,
            cwd=folder / PROJECT,
            env=around,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        ) as child,
    ):
        try:
            for notice in _notices(child):
                tell(notice)
        except BaseException:
            child.kill()
            raise
    try:
        told: dict[str, Any] = json.loads((folder / RESULT).read_text())
    except (OSError, ValueError):
        last = (folder / "said.txt").read_text().strip().splitlines()[-1:] or ["nothing"]
        raise Unavailable(
            f"the process of the reproduction ended with code {child.returncode}; its last words: {last[0][:300]}"
        ) from None
    return told


def _notices(child: subprocess.Popen[str]) -> Iterator[Notice]:
    assert child.stdout is not None
    for line in child.stdout:
        with contextlib.suppress(ValueError, TypeError):  # whatever a step prints is no notice
            yield Notice(**json.loads(line))


# ── how alike ──────────────────────────────────────────────────────────────────────────────────────────────────────


class _Paths:
    """The scratch workspace's results, as blobs."""

    def __init__(self, paths: Mapping[str, str]) -> None:
        self._paths = paths

    def put_blob(self, data: bytes | Path) -> str:
        raise Invalid("the results of a reproduction are only read.")

    def get_blob(self, digest: str) -> bytes:
        return self.blob_path(digest).read_bytes()

    def blob_path(self, digest: str) -> Path:
        return Path(self._paths[digest])


def _verdicts(platform: Platform, run: Told, result: Told, tolerance: float) -> Iterator[StepVerdict]:
    again = {step["name"]: step for step in result["steps"]}
    scratch = _Paths(result.get("paths", {}))
    for step in run["steps"]:
        name = step["name"]
        if name not in again:
            yield StepVerdict(name=name, verdict=DIFFERENT, sentence="was not carried out again")
            continue
        yield _verdict(name, _outputs(step), _outputs(again[name]), platform, scratch, tolerance)
    for name in again.keys() - {step["name"] for step in run["steps"]}:
        yield StepVerdict(name=name, verdict=DIFFERENT, sentence="was not there the first time")


def _outputs(step: Told) -> dict[str, Artifact]:
    """Results by name; what the control plane numbers goes by its kind, as numbers begin anew."""
    found = step_calls.outputs_from(list(step["outputs"]))
    return {artifact.kind if artifact.kind in _HOUSE else name: artifact for name, artifact in found.items()}


def _verdict(
    name: str,
    before: Mapping[str, Artifact],
    after: Mapping[str, Artifact],
    platform: Platform,
    scratch: _Paths,
    tolerance: float,
) -> StepVerdict:
    if set(before) != set(after):
        return StepVerdict(
            name=name, verdict=DIFFERENT, sentence=f"gave {', '.join(after)} in place of {', '.join(before)}"
        )
    worst = (IDENTICAL, "the same bytes")
    for each in before:
        try:
            found = alikeness.of(before[each], after[each], platform, scratch, tolerance=tolerance)
        except (MainstayError, KeyError, OSError) as error:
            found = (DIFFERENT, f"cannot be compared: {step_calls.sentence(error)}")
        worst = max(worst, found, key=lambda told: (IDENTICAL, EQUIVALENT, DIFFERENT).index(told[0]))
    return StepVerdict(name=name, verdict=worst[0], sentence=worst[1])


def _apart(run: Told) -> dict[str, tuple[str, str]]:
    """Packages that steps of the run import and that are not here as recorded; and Python's own minor release."""
    parts = [step["key_parts"].get("environment", {}) for step in run["steps"]]
    then = {name: version for part in parts for name, version in part.get("packages", {}).items()}
    then |= {"python": next((part["python"] for part in parts if "python" in part), environment.python_minor())}
    now = {**environment.versions_now(then), "python": environment.python_minor()}
    return {
        name: (version, now.get(name, environment.ABSENT))
        for name, version in sorted(then.items())
        if now.get(name) != version
    }


def _judged(
    subject: str,
    run: Told,
    verdicts: list[StepVerdict],
    result: Told,
    apart: Mapping[str, tuple[str, str]],
    tolerance: float,
) -> dict[str, Any]:
    facts: dict[str, Any] = {"subject": subject, "run_id": run["id"], "steps": tuple(verdicts), "tolerance": tolerance}
    if result.get("error"):
        return facts | {"verdict": DIFFERENT, "sentence": f"different: {result['error']}{_because(apart)}"}
    off = [each for each in verdicts if each.verdict != IDENTICAL]
    if not off:
        return facts | {
            "verdict": IDENTICAL,
            "sentence": f"identical: {counted(len(verdicts), 'step')}, every result byte for byte",
        }
    # A model's bytes may differ where its figures do not: then the figures decide.
    models = {
        step["name"] for step in run["steps"] if {each["kind"] for each in step["outputs"]} <= {"model", "version"}
    }
    wrong = [each for each in off if each.verdict == DIFFERENT and each.name not in models]
    has_figures = any(each["kind"] == "json" for step in run["steps"] for each in step["outputs"])
    if not wrong and (has_figures or not any(each.name in models for each in off)):
        return facts | {
            "verdict": EQUIVALENT,
            "sentence": f"equivalent within {tolerance:g}: {_listed(off)}{_because(apart)}",
        }
    first = next(each for each in off if each.verdict == DIFFERENT)
    return facts | {
        "verdict": DIFFERENT,
        "sentence": f"different at step {first.name}: {first.sentence}{_because(apart)}",
    }


def _listed(off: list[StepVerdict]) -> str:
    told = [f"{each.name} ({each.sentence})" for each in off[:_NAMED]]
    return ", ".join(told) + (f" and {len(off) - _NAMED} more" if len(off) > _NAMED else "")


def _because(apart: Mapping[str, tuple[str, str]]) -> str:
    if not apart:
        return ", in an environment as recorded: the step is not deterministic, or reads what is not on record"
    told = [f"{name} {then}→{now}" for name, (then, now) in list(apart.items())[:_NAMED]]
    more = f" and {len(apart) - _NAMED} more" if len(apart) > _NAMED else ""
    return f", because {', '.join(told)}{more}"
