# SPDX-License-Identifier: Apache-2.0
"""Running a pipeline for somebody else, in a child process of its own.

In: entry, parameters, the event that caused it. Out: run id, versions, snapshots.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mainstay.domain.errors import Forbidden
from mainstay.engine import execution, executors, project
from mainstay.engine.execution import Execution, Notice
from mainstay.engine.jobs import child, needless
from mainstay.engine.jobs.nursery import Nursery
from mainstay.engine.pipelines import Pipeline
from mainstay.engine.platform import Platform
from mainstay.engine.repeating import resumption


def carry_out(
    body: Mapping[str, Any],
    *,
    folder: Path,
    environment: Mapping[str, str],
    is_wanted: Callable[[], bool],
    tell: child.Tell | None = None,
    nursery: Nursery | None = None,
) -> dict[str, Any]:
    """Run the pipeline in a child and wait for it; see `child.carry_out`."""
    return child.carry_out(
        run, body, folder=folder, environment=environment, is_wanted=is_wanted, tell=tell, nursery=nursery
    )


# ── in the child ───────────────────────────────────────────────────────────────────────────────────────────────────


def run(platform: Platform, body: Mapping[str, Any], folder: Path, tell: child.Tell = child.silent) -> dict[str, Any]:
    """Load and carry out; what the job's result will be.

    Raises:
        Forbidden: the entry leads out of the project.
    """
    pipeline = loaded(body, folder)
    unless = body.get("unless")
    if unless is not None:
        params = params_of(pipeline, body)
        if known := needless.find(pipeline, platform, params, unless["run"]):
            return {"skipped": known.sentence, "run_id": known.run_id}
    return _told(_executed(platform, pipeline, body, folder, tell), body.get("register_as"))


def loaded(body: Mapping[str, Any], folder: Path) -> Pipeline[..., Any]:
    """The pipeline that a job names.

    Raises:
        Forbidden: the entry leads out of the project: whoever may ask for work may not have any file of this machine run.
        Invalid, NotFound: it cannot be loaded.
    """
    if not (folder / body["entry"].rpartition(":")[0]).resolve().is_relative_to(folder.resolve()):
        raise Forbidden(
            f"entry {body['entry'][:120]!r} leads out of the project; name a file in it, as in flights.py:train."
        )
    return project.load(body["entry"], folder=folder)


def params_of(pipeline: Pipeline[..., Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """Texts are converted as on the command line; a trigger's numbers and lists are what they are."""
    given = body.get("params") or {}
    texts = {name: value for name, value in given.items() if isinstance(value, str)}
    typed = {name: value for name, value in given.items() if name not in texts}
    return {**typed, **project.parameters(pipeline, texts, known_already=typed)}


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


def _executed(
    platform: Platform, pipeline: Pipeline[..., Any], body: Mapping[str, Any], folder: Path, tell: child.Tell
) -> Execution:
    """A new run; or one that is carried on, if the body says ``resume``."""

    def notify(notice: Notice) -> None:
        if notice.run_id:
            tell({"run_id": notice.run_id})  # how far it is, the run's own record tells

    if run_id := body.get("resume"):
        return resumption.carry_on(
            platform,
            str(run_id),
            folder=folder,
            executor=body.get("executor"),
            workers=body.get("workers"),
            allow_edited=bool(body.get("edited")),
            notify=notify,
        )
    return execution.execute(
        pipeline,
        platform,
        params=params_of(pipeline, body),
        because=body.get("because"),
        reason=body.get("reason"),
        tags=body.get("tags"),
        executor=executors.make(body.get("executor") or pipeline.executor, workers=body.get("workers")),
        notify=notify,
    )
