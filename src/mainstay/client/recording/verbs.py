# SPDX-License-Identifier: Apache-2.0
"""The verbs that write to the run that is open here, or to the step that is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mainstay.client import renderings
from mainstay.client.recording.recordings import Recording, going_on, opened, step_sink
from mainstay.domain.errors import Invalid


def current_run() -> Recording | None:
    """The run that log verbs mean here: of this block, else the only one that goes on in this process."""
    found = opened.get()
    if found is not None and found.is_open:
        return found
    outer = {recording.parent for recording in going_on.values()}
    inner = [recording for recording in going_on.values() if recording.id not in outer]
    return inner[0] if len(inner) == 1 else None


def is_here() -> bool:
    """Whether this very context is inside the block of a run, or in a step."""
    found = opened.get()
    return step_sink.get() is not None or (found is not None and found.is_open)


def log_params(params: Mapping[str, Any]) -> None:
    """Settings of the run, or of the step, that is open."""
    if sink := step_sink.get():
        sink("params", params)
        return
    _current("log_params").log_params(params)


def log_param(key: str, value: Any) -> None:
    """One setting of the run, or of the step, that is open."""
    log_params({key: value})


def log_metric(key: str, value: float, step: int | None = None) -> None:
    """A number of the run, or of the step, that is open."""
    if sink := step_sink.get():
        sink("metric", key, value, step)
        return
    found = opened.get()
    if found is None or not found.is_open:
        found = _current("log_metric")
    found.log_metric(key, value, step)


def log_metrics(metrics: Mapping[str, float], step: int | None = None) -> None:
    """Several numbers at once."""
    for key, value in metrics.items():
        log_metric(key, value, step)


def log_artifact(path: str | Path, content: Any = None) -> None:
    """A file of the run, or of the step, that is open: ``content``, or without it the file at ``path``."""
    if sink := step_sink.get():
        sink("artifact", *((Path(path).name, Path(path)) if content is None else (str(path), content)))
        return
    _current("log_artifact").log_artifact(path, content)


def log_text(path: str, text: str) -> None:
    """A text as a file of the run, or of the step, that is open."""
    log_artifact(path, text)


def log_dict(path: str, value: Any) -> None:
    """A value as a JSON file of the run, or of the step, that is open."""
    log_artifact(path, renderings.as_json(path, value))


def log_figure(path: str, figure: Any) -> None:
    """A figure as a file of the run, or of the step, that is open."""
    log_artifact(path, renderings.figure(path, figure))


def log_table(path: str, table: Any) -> None:
    """A table as a file of the run, or of the step, that is open."""
    log_artifact(path, renderings.table(path, table))


def set_tags(tags: Mapping[str, Any]) -> None:
    """Remarks on the run that is open.

    Raises:
        Invalid: no run is, or it is a step, which has none.
    """
    if step_sink.get():
        raise Invalid("a step has no tags of its own; log a parameter, or tag the run of its pipeline.")
    _current("set_tags").set_tags(tags)


def _current(verb: str) -> Recording:
    found = current_run()
    if found is not None:
        return found
    if going_on:
        raise Invalid(f"{verb} is called where {len(going_on)} runs go on; call it on the one that is meant.")
    raise Invalid(f'{verb} is called outside of a run; open one with `with ms.run("name"):`.')
