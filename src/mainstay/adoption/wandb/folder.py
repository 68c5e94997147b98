# SPDX-License-Identifier: Apache-2.0
"""The folder ``wandb``: a folder a run, in it the run's log and its files.

Everything here was written by somebody's program: texts are read as JSON, and a file that is a link is followed only to what lies
beside the folder, where the script ran. Ids here are longer than theirs, so each run's is made of its project and its id there,
which stands in the tag ``wandb.id``.
"""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mainstay.adoption.history import (
    Owner,
    PastExperiment,
    PastLoggedModel,
    PastModel,
    PastPoint,
    PastRun,
    PastVersion,
)
from mainstay.adoption.wandb import log
from mainstay.adoption.wandb.log import Message
from mainstay.domain.errors import Invalid, NotFound, Unavailable
from mainstay.domain.tracking import LONGEST_KEY, LONGEST_PARAM

# The kinds of records that matter, and the fields of a run's, by number.
_HISTORY, _SUMMARY, _CONFIG, _RUN, _EXIT = 2, 3, 5, 17, 18
_TAGS = {1: "wandb.id", 2: "wandb.entity", 6: "wandb.group", 7: "wandb.job_type", 9: "wandb.notes", 12: "wandb.sweep"}
_PROJECT, _NAME, _LABELS, _STARTED = 3, 8, 10, 17
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(kw_only=True)
class _Log:
    """What a log says of its run."""

    run: Message = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, float] = field(default_factory=dict)
    series: dict[str, list[PastPoint]] = field(default_factory=dict)
    exit_code: int | None = None
    last: datetime | None = None


class Folder:
    """See `mainstay.adoption.history.Source`.

    Raises:
        NotFound: there is no such folder. Invalid: it holds no run.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise NotFound(f"there is no folder {str(path)[:200]!r}; give the folder 'wandb' that the client left.")
        self.path = path.resolve()
        self.name = f"wandb folder {self.path.parent.name}/{self.path.name}"
        self._logs = sorted(
            (file for file in (*path.glob("run-*.wandb"), *path.glob("*/run-*.wandb")) if not _is_linked(file)),
            key=lambda file: (file.parent.name, file.name),
        )
        if not self._logs:
            raise Invalid(f"folder {path.name!r} holds no run of Weights & Biases; the folder 'wandb' is expected.")
        self._read = functools.lru_cache(maxsize=1)(_read)

    def experiments(self) -> Iterator[PastExperiment]:
        """See `Source.experiments`: a project each."""
        found: dict[str, datetime | None] = {}
        for file in self._logs:
            run = self._run(file)
            began = found.setdefault(run.experiment, run.started_at)
            found[run.experiment] = min(filter(None, (began, run.started_at)), default=None)
        for name, began in found.items():
            yield PastExperiment(id=name, name=name, is_deleted=False, created_at=began)

    def runs(self, experiment: str) -> Iterator[PastRun]:
        """See `Source.runs`. A run that was resumed has several logs; the one that began last is taken."""
        latest: dict[str, PastRun] = {}
        for file in self._logs:
            run = self._run(file)
            if run.experiment == experiment:
                latest[run.id] = run
        for run in latest.values():
            yield replace(run, metrics=tuple(sorted(self._read(_log_of(run)).series)))

    def points(self, run: PastRun, metric: str) -> Iterator[PastPoint]:
        """See `Source.points`."""
        yield from self._read(_log_of(run)).series[metric]

    def logged_models(self, experiment: str) -> Iterator[PastLoggedModel]:
        """See `Source.logged_models`: none."""
        yield from ()

    def models(self) -> Iterator[PastModel]:
        """See `Source.models`: none, they are on a server of theirs."""
        yield from ()

    def versions(self, model: str) -> Iterator[PastVersion]:
        """See `Source.versions`: none."""
        yield from ()

    def files(self, owner: Owner) -> Iterator[str]:
        """See `Source.files`. Those that may not be read come last, so that the others are brought before they are named."""
        below = _log_of(owner).parent / "files"
        found = sorted(each for each in below.rglob("*") if each.is_file()) if below.is_dir() else []
        yield from (
            each.relative_to(below).as_posix() for each in sorted(found, key=lambda each: not self._is_near(each))
        )

    def fetch(self, owner: Owner, path: str, into: Path) -> None:
        """See `Source.fetch`."""
        file = _log_of(owner).parent / "files" / path
        if not self._is_near(file):
            raise Unavailable(f"file {path!r} is a link to what lies elsewhere; it is not followed.")
        try:
            shutil.copyfile(file, into)
        except OSError as error:
            raise Unavailable(f"file {path!r} of {owner.id} cannot be read: {error.strerror}.") from error

    def close(self) -> None:
        """See `Source.close`."""

    def _is_near(self, file: Path) -> bool:
        return file.resolve().is_relative_to(self.path.parent)

    def _run(self, file: Path) -> PastRun:
        """The run of a log, without its metrics."""
        told = self._read(file)
        identity, project = log.text(told.run, 1) or file.stem.removeprefix("run-"), log.text(told.run, _PROJECT)
        began = _moment(log.parts(told.run, _STARTED))
        labels = [each.decode(errors="replace") for each in told.run.get(_LABELS, []) if isinstance(each, bytes)]
        tags = {name: value for number, name in _TAGS.items() if (value := log.text(told.run, number))}
        return PastRun(
            id=hashlib.sha256(json.dumps([project, identity]).encode()).hexdigest()[:32],
            experiment=project or "uncategorized",
            name=log.text(told.run, _NAME) or identity,
            state="killed" if told.exit_code is None else "failed" if told.exit_code else "succeeded",
            started_at=began,
            ended_at=told.last or began,
            user=None,
            is_deleted=False,
            place=str(file),
            params={key[:LONGEST_KEY]: _text(value) for key, value in told.config.items()},
            tags=tags | {"wandb.id": identity} | ({"wandb.tags": ", ".join(labels)} if labels else {}),
        )


def _log_of(owner: Owner) -> Path:
    return Path(owner.place)


def _is_linked(file: Path) -> bool:
    """``latest-run`` is a link to a run that stands beside it."""
    return file.is_symlink() or file.parent.is_symlink()


def _read(file: Path) -> _Log:
    """Everything of one log; the points of its metrics fit in memory, as they did in the client's."""
    found = _Log()
    for record in log.records(file):
        for run in log.parts(record, _RUN):
            found.run = run
            for config in log.parts(run, 4):
                _configure(found, config)
        for config in log.parts(record, _CONFIG):
            _configure(found, config)
        for history in log.parts(record, _HISTORY):
            _note(found, history)
        for summary in log.parts(record, _SUMMARY):
            found.summary |= dict(_numbers(_items(summary)))
        for end in log.parts(record, _EXIT):
            found.exit_code = log.number(end, 1)
    _add_summary(found)
    return found


def _configure(found: _Log, config: Message) -> None:
    found.config |= {key: value for key, value in _items(config).items() if not key.startswith("_wandb")}


def _note(found: _Log, history: Message) -> None:
    """One line of the history: a value for each metric, at one step and time."""
    values = _items(history)
    steps = log.parts(history, 2)
    step = values.get("_step", log.number(steps[0], 1) if steps else 0)
    at = _EPOCH + timedelta(seconds=float(values.get("_timestamp") or 0.0))
    found.last = at
    for key, value in _numbers(values):
        found.series.setdefault(key[:LONGEST_KEY], []).append(PastPoint(step=int(step), at=at, value=value))


def _add_summary(found: _Log) -> None:
    """What a run said of itself at the end only is a metric of one point."""
    at = found.last or _moment(log.parts(found.run, _STARTED))
    for key, value in found.summary.items():
        if key not in found.series and at is not None:
            found.series[key[:LONGEST_KEY]] = [PastPoint(step=0, at=at, value=value)]


def _items(record: Message) -> dict[str, Any]:
    """Value by name; a name inside others, and a value inside others, has dots."""
    found: dict[str, Any] = {}
    for item in log.parts(record, 1):
        nested = [each.decode(errors="replace") for each in item.get(2, []) if isinstance(each, bytes)]
        try:
            value = json.loads(log.text(item, 16))
        except (ValueError, RecursionError):
            continue
        found |= dict(_flat(".".join(nested) or log.text(item, 1), value))
    return found


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A mapping's values by name; one that stands for a file or a picture is left out."""
    if not isinstance(value, Mapping):
        yield name, value
    elif "_type" not in value:
        for key, each in value.items():
            yield from _flat(f"{name}.{key}", each)


def _numbers(values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for key, value in values.items():
        number = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}.get(str(value), value)
        if key and not key.startswith("_") and isinstance(number, int | float) and not isinstance(number, bool):
            yield key, float(number)


def _text(value: Any) -> str:
    return (value if isinstance(value, str) else json.dumps(value))[:LONGEST_PARAM]


def _moment(told: list[Message]) -> datetime | None:
    """A message of seconds and nanoseconds."""
    if not told or not (seconds := log.number(told[-1], 1)):
        return None
    return _EPOCH + timedelta(seconds=seconds, microseconds=log.number(told[-1], 2) // 1000)
