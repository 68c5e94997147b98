# SPDX-License-Identifier: Apache-2.0
"""Explain: why the results of two runs differ, or why they do not.

In: two runs, or two versions. Out: the steps of both beside each other, and the *causes*: the graphs are walked
backwards from what came out, through results that differ, to the first parts of a key that do. A change that was
caught on the way, because a step gave the same bytes in spite of it, is told as one without effect. Everything comes
from the parts of the keys that were stored with each step; nothing is carried out again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from mainstay.domain import code
from mainstay.domain.errors import MainstayError, NotFound
from mainstay.domain.pipelines import Output, Step
from mainstay.domain.tracking import Run
from mainstay.lifecycle.answers import column_effects
from mainstay.lifecycle.answers.column_effects import ColumnEffect
from mainstay.lifecycle.pipelines import executions
from mainstay.lifecycle.registry import versions
from mainstay.lifecycle.tracking import logs, runs
from mainstay.store import View

TABLES = ("arrow", "pandas", "polars")
_HOUSE = ("snapshot", "version")  # outputs that are named by the control plane: paired by kind, not by name
_LARGEST_JSON = 1 << 20
_NAMED = 5
_ONLY = "value"  # what a step's only result is called


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two that are compared; ``subject`` is what was asked about."""

    subject: str
    run_id: str
    name: str
    state: str
    commit: str | None
    metrics: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Cause:
    """One part of a key that differs. ``kind``: code, file, param, data, environment, seed, source or step.

    ``diff`` is the unified difference of the statement, and ``lines`` how many of it changed, where the sources were kept.
    ``also``: further steps of which the same is true. ``is_idle``: code of the same files that no name leads to from the step.
    """

    step: str
    kind: str
    what: str
    sentence: str
    before: str | None = None
    after: str | None = None
    lines: int | None = None
    diff: str | None = None
    columns: tuple[ColumnEffect, ...] = ()
    also: tuple[str, ...] = ()
    is_idle: bool = False


@dataclass(frozen=True, kw_only=True)
class OutputPair:
    """One result of a step on both sides; None: it is not there."""

    name: str
    kind: str
    before: str | None
    after: str | None
    rows_before: int | None = None
    rows_after: int | None = None
    is_same: bool
    sentence: str
    columns: tuple[ColumnEffect, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StepPair:
    """``state``: same (nothing differs), caught (its key differs, its results do not), differs, only_a or only_b.

    ``hit_of``: on each side, the run that the results were taken from, where it was not carried out.
    """

    name: str
    state: str
    sentence: str
    outputs: tuple[OutputPair, ...] = ()
    run_ids: tuple[str | None, str | None] = (None, None)
    hit_of: tuple[str | None, str | None] = (None, None)
    seconds: tuple[float | None, float | None] = (None, None)


@dataclass(frozen=True, kw_only=True)
class Moved:
    """A metric, parameter or package that is not the same on both sides."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """``causes``: nearest to the outputs last. ``without_effect``: differences that no result shows."""

    a: Side
    b: Side
    is_same: bool
    sentence: str
    causes: tuple[Cause, ...]
    without_effect: tuple[Cause, ...]
    steps: tuple[StepPair, ...]
    params: tuple[Moved, ...]
    packages: tuple[Moved, ...]
    metrics: tuple[Moved, ...]


def ask(view: View, a: str, b: str) -> Explanation:
    """Why ``b`` is not ``a``; each is the id of a run, or a version such as ``flights-late/3``.

    Raises:
        NotFound: there is no such thing, or no run of this workspace made the version.
    """
    walk = _Walk(view=view, a=_Told(view, *_run_of(view, a)), b=_Told(view, *_run_of(view, b)))
    pairs = [walk.pair(name) for name in walk.names]
    reached = walk.reached({pair.name: pair for pair in pairs})
    causes = _folded(cause for name in walk.names if name in reached for cause in walk.causes(name))
    others = _folded(cause for name in walk.names if name not in reached for cause in walk.causes(name))
    params, packages = _moved(walk.a.params, walk.b.params), _moved(walk.a.packages, walk.b.packages)
    metrics = _moved(walk.a.side.metrics, walk.b.side.metrics)
    is_same = not (reached or metrics) and (bool(pairs) or not (params or packages))
    return Explanation(
        a=walk.a.side,
        b=walk.b.side,
        is_same=is_same,
        sentence=_sentence(is_same, pairs, causes, others, params, packages),
        causes=tuple(causes),
        without_effect=tuple(others),
        steps=tuple(pairs),
        params=params,
        packages=packages,
        metrics=metrics,
    )


def _run_of(view: View, subject: str) -> tuple[Run, str, dict[str, float] | None]:
    """The run behind a subject, the subject, and its metrics where they are not the run's own."""
    name = subject.removeprefix("version:").removeprefix("run:")
    model, _, number = name.replace("@", "/").rpartition("/")
    if not (model and number.isdigit()):
        return runs.get(view, name), f"run:{name}", None
    version = versions.get(view, model, int(number))
    if version.run_id is None:
        raise NotFound(f"{version.id} was made by no run of this workspace; only what runs made can be explained.")
    return runs.get(view, version.run_id), f"version:{version.id}", versions.told(view, version)


class _Told:
    """Everything on record about one side."""

    def __init__(self, view: View, run: Run, subject: str, metrics: dict[str, float] | None) -> None:
        logged = logs.of(view, run.id)
        self.steps = {step.name: step for step in executions.steps_of(view, run.id)}
        self.params: Mapping[str, Any] = logged.params
        self.packages: Mapping[str, str] = (runs.environment_of(view, run) or {}).get("packages", {})
        self.made = {output.digest for step in self.steps.values() for output in step.outputs}
        self.rows = {each.digest: each.rows for step in self.steps.values() for each in step.outputs}
        figures = dict(logged.metrics if metrics is None else metrics) | self._told_by_steps(view)
        self._view, self._sources = view, _sources_of(view, run.code)
        self.side = Side(
            subject=subject,
            run_id=run.id,
            name=run.name,
            state=run.state,
            commit=(run.code or {}).get("commit"),
            metrics=figures,
        )

    def _told_by_steps(self, view: View) -> dict[str, float]:
        """What steps logged, also those whose results were taken from an earlier run."""
        runs_by_step = {name: step.hit_of or step.run_id for name, step in self.steps.items()}
        logged = logs.of_runs(view, list(runs_by_step.values()))
        return {
            f"{name}: {key}": value
            for name, run in runs_by_step.items()
            if run in logged
            for key, value in logged[run].metrics.items()
        }

    def source(self, module: str) -> str | None:
        """The text of a module as it was kept with the run."""
        place = module.replace(".", "/")
        for path, digest in self._sources.items():
            bare = path.removesuffix(".py").removesuffix("/__init__")
            if bare == place or (path.startswith("…/") and place.endswith(bare[2:])):
                try:
                    return self._view.blobs.read(digest).decode("utf-8", "replace")
                except MainstayError:
                    return None
        return None


def _sources_of(view: View, recorded: Mapping[str, Any] | None) -> dict[str, str]:
    digest = (recorded or {}).get("sources_digest")
    try:
        return dict(msgspec.json.decode(view.blobs.read(digest))["files"]) if digest else {}
    except (MainstayError, msgspec.DecodeError, KeyError, TypeError):
        return {}


@dataclass(kw_only=True)
class _Walk:
    """Both sides, step by step."""

    view: View
    a: _Told
    b: _Told
    _causes: dict[str, list[Cause]] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Steps in the order of work; those of one side only stand where they were."""
        return list(dict.fromkeys([*self.b.steps, *self.a.steps]))

    def pair(self, name: str) -> StepPair:
        """One step on both sides."""
        a, b = self.a.steps.get(name), self.b.steps.get(name)
        outputs = tuple(_output_pairs(self.view, a.outputs if a else (), b.outputs if b else ()))
        facts: dict[str, Any] = {
            "name": name,
            "outputs": outputs,
            "run_ids": (a and a.run_id, b and b.run_id),
            "hit_of": (a and a.hit_of, b and b.hit_of),
            "seconds": (a and a.seconds, b and b.seconds),
        }
        if a is None or b is None:
            state, text = ("only_b", "only in the second run") if a is None else ("only_a", "only in the first run")
            return StepPair(state=state, sentence=text, **facts)
        if a.state == "failed" or b.state == "failed":
            state, text = (
                ("same", "failed in both") if a.state == b.state else ("differs", b.error or a.error or "failed")
            )
            return StepPair(state=state, sentence=text, **facts)
        if all(output.is_same for output in outputs):
            state = "same" if a.key == b.key else "caught"
            return StepPair(
                state=state,
                sentence="equal results" + ("" if state == "same" else ", although its key differs"),
                **facts,
            )
        return StepPair(
            state="differs", sentence="; ".join(each.sentence for each in outputs if not each.is_same), **facts
        )

    def reached(self, pairs: Mapping[str, StepPair]) -> set[str]:
        """Steps that lie behind a result that differs, without one between them and it that does not."""
        steps = self.a.steps | self.b.steps
        used = {name for step in steps.values() for name in step.upstream}
        left = [name for name in steps if name not in used and pairs[name].state not in ("same", "caught")]
        found: set[str] = set()
        while left:
            name = left.pop()
            if name in found or pairs[name].state in ("same", "caught"):
                continue
            found.add(name)
            left += [upstream for upstream in steps[name].upstream if upstream in pairs]
        return found

    def causes(self, name: str) -> list[Cause]:
        """What differs about a step itself, apart from what other steps gave it."""
        if name not in self._causes:
            self._causes[name] = list(self._differences(name))
        return self._causes[name]

    def _differences(self, name: str) -> Iterator[Cause]:
        a, b = self.a.steps.get(name), self.b.steps.get(name)
        if a is None or b is None:
            text = f"{name} is {'new' if a is None else 'gone'}"
            yield Cause(step=name, kind="step", what=name, sentence=text)
            return
        yield from self._code(a, b)
        yield from _values(a, b)
        yield from self._data(a, b)
        yield from _environment(a, b)
        is_other = [each.digest for each in a.outputs] != [each.digest for each in b.outputs]
        if a.key == b.key and is_other and "failed" not in (a.state, b.state):
            text = f"{name} gave other bytes for the same key: it reads the outside world, or is not deterministic"
            yield Cause(step=name, kind="source", what=name, sentence=text)

    def _code(self, a: Step, b: Step) -> Iterator[Cause]:
        old, new = a.key_parts.get("modules", {}), b.key_parts.get("modules", {})
        for module in sorted({*old, *new}):
            here, there = new.get(module, {}), old.get(module, {})
            names = {name for name in {*here, *there} if here.get(name) != there.get(name)}
            changes = code.difference(self.a.source(module), self.b.source(module), where=module, only=names)
            for change in changes:
                told, is_idle = f"{module}.{change.name}", _is_idle(a, b, module, change.name)
                text = f"code: {told} ({change.lines} {'line' if change.lines == 1 else 'lines'})"
                facts: dict[str, Any] = {"lines": change.lines, "diff": change.diff, "is_idle": is_idle}
                yield Cause(step=b.name, kind="code", what=told, sentence=text, **facts)
            for left in sorted(names - {change.name for change in changes}):
                told, is_idle = f"{module}.{left}", _is_idle(a, b, module, left)
                yield Cause(step=b.name, kind="code", what=told, sentence=f"code: {told}", is_idle=is_idle)

    def _data(self, a: Step, b: Step) -> Iterator[Cause]:
        """Inputs that came from outside of the run: snapshots that were there, and values given."""
        old, new = a.key_parts.get("inputs", {}), b.key_parts.get("inputs", {})
        refs = [{each.name: each.ref for each in step.inputs if each.kind == "snapshot"} for step in (a, b)]
        for name in sorted({*old, *new}):
            before, after = old.get(name), new.get(name)
            is_made = all(digest is None or digest in side.made for digest, side in ((before, self.a), (after, self.b)))
            if before == after or is_made:
                continue
            was, now = refs[0].get(name, before), refs[1].get(name, after)
            columns = _columns(self.view, before, after)
            more = (
                f" ({len(columns)} columns differ)"
                if len(columns) > 1
                else f" ({columns[0].name}: {columns[0].sentence})"
                if columns
                else ""
            )
            text = f"data: {name} {_short(was)}→{_short(now)}{more}"
            yield Cause(step=b.name, kind="data", what=name, before=was, after=now, sentence=text, columns=columns)


def _is_idle(a: Step, b: Step, module: str, name: str) -> bool:
    """Whether no name leads from the step to the statement, on either side where it is."""
    there = [step for step in (a, b) if name in step.key_parts.get("modules", {}).get(module, {})]
    return all(name in step.key_parts.get("idle", {}).get(module, ()) for step in there)


def _folded(causes: Iterable[Cause]) -> list[Cause]:
    """Each difference once, at the step that uses it and is reached first; what no step uses comes last."""
    found: dict[tuple[str, str, str], Cause] = {}
    for cause in sorted(causes, key=lambda cause: cause.is_idle):
        place = (cause.kind, cause.what, cause.sentence)
        known = found.get(place)
        found[place] = replace(known, also=(*known.also, cause.step)) if known else cause
    return list(found.values())


def _values(a: Step, b: Step) -> Iterator[Cause]:
    for kind, part in (("param", "params"), ("file", "files")):
        old, new = a.key_parts.get(part, {}), b.key_parts.get(part, {})
        for name in [name for name in {**new, **old} if new.get(name) != old.get(name)]:
            before, after = old.get(name), new.get(name)
            told = f"param {name} {_short(before)}→{_short(after)}" if kind == "param" else f"file: {name}"
            yield Cause(step=b.name, kind=kind, what=name, before=before, after=after, sentence=told)
    for name in ("seed", "salt"):
        before, after = str(a.key_parts.get(name, "")), str(b.key_parts.get(name, ""))
        if before != after:
            yield Cause(
                step=b.name,
                kind="seed" if name == "seed" else "code",
                what=name,
                before=before,
                after=after,
                sentence=f"{name} {before}→{after}",
            )


def _environment(a: Step, b: Step) -> Iterator[Cause]:
    old, new = a.key_parts.get("environment", {}), b.key_parts.get("environment", {})
    flat = [
        {**each.get("packages", {}), **{k: each[k] for k in ("python", "platform") if k in each}} for each in (old, new)
    ]
    for name in sorted({*flat[0], *flat[1]}):
        before, after = flat[0].get(name), flat[1].get(name)
        if before != after:
            text = f"env {name} {before or 'none'}→{after or 'none'}"
            yield Cause(step=b.name, kind="environment", what=name, before=before, after=after, sentence=text)
    mine, theirs = old.get("variables", {}), new.get("variables", {})
    for name in sorted({*mine, *theirs}):
        if mine.get(name) != theirs.get(name):
            yield Cause(step=b.name, kind="environment", what=name, sentence=f"env variable {name}")


def _output_pairs(view: View, old: Sequence[Output], new: Sequence[Output]) -> Iterator[OutputPair]:
    before, after = ({_paired_by(each): each for each in outputs} for outputs in (old, new))
    for name in dict.fromkeys([*after, *before]):
        a, b = before.get(name), after.get(name)
        is_same = a is not None and b is not None and a.digest == b.digest
        either = b or a
        assert either is not None
        is_table = a is not None and b is not None and either.kind in TABLES
        columns = _columns(view, a.digest, b.digest) if a and b and is_table and not is_same else ()
        yield OutputPair(
            name=name,
            kind=either.kind,
            before=a.digest if a else None,
            after=b.digest if b else None,
            rows_before=a.rows if a else None,
            rows_after=b.rows if b else None,
            is_same=is_same,
            sentence="equal" if is_same else _told(view, name, a, b, columns),
            columns=columns,
        )


def _paired_by(output: Output) -> str:
    return output.kind if output.kind in _HOUSE else output.name


def _told(view: View, name: str, a: Output | None, b: Output | None, columns: Sequence[ColumnEffect]) -> str:
    if a is None or b is None:
        return f"{name} is {'new' if a is None else 'gone'}"
    if a.kind in _HOUSE:
        return f"{a.name}→{b.name}"
    parts = [f"{b.rows - a.rows:+,} rows"] if a.rows is not None and b.rows is not None and a.rows != b.rows else []
    parts += (
        [f"{', '.join(each.name for each in columns[:_NAMED])}{' …' if len(columns) > _NAMED else ''}"]
        if columns
        else []
    )
    if a.kind == b.kind == "json":
        parts += _json_changes(view, a, b)
    who = "" if name == _ONLY else f"{name} "
    return f"{who}differs" + (f": {'; '.join(parts)}" if parts else "")


def _json_changes(view: View, a: Output, b: Output) -> list[str]:
    """Numbers and words of a small mapping that moved."""
    if max(a.size, b.size) > _LARGEST_JSON:
        return []
    try:
        old, new = (msgspec.json.decode(view.blobs.read(each.digest)) for each in (a, b))
    except (MainstayError, msgspec.DecodeError):
        return []
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return []
    moved = [name for name in {**new, **old} if old.get(name) != new.get(name)]
    return [f"{name} {_short(old.get(name))}→{_short(new.get(name))}" for name in moved[:_NAMED]]


def _columns(view: View, before: str | None, after: str | None) -> tuple[ColumnEffect, ...]:
    if before is None or after is None:
        return ()
    try:
        return tuple(column_effects.between(view, before, after))
    # Not a table, not here any more, or damaged: the digests differ all the same, and that is told.
    except (MainstayError, OSError, ValueError):
        return ()


def _moved(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[Moved, ...]:
    names = [name for name in dict.fromkeys([*a, *b]) if a.get(name) != b.get(name)]
    return tuple(Moved(name=name, before=a.get(name), after=b.get(name)) for name in names)


def _short(value: Any) -> str:
    text = "none" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else text[:12] + "…" if len(text) == 64 else text[:37] + "…"


def _sentence(
    is_same: bool,
    pairs: Sequence[StepPair],
    causes: Sequence[Cause],
    others: Sequence[Cause],
    params: Sequence[Moved],
    packages: Sequence[Moved],
) -> str:
    """The answer in one line."""
    if is_same:
        caught = [pair.name for pair in pairs if pair.state == "caught"]
        if not (others or params or packages):
            return "equal results, from equal code, data, parameters and environment"
        told = (
            f"equal results; what differs had no effect: {_listed([each.sentence for each in others])}"
            if others
            else "equal results"
        )
        return told + (f"; {_listed(caught)} gave the same bytes in spite of it" if caught else "")
    if causes:
        used = [each.sentence for each in causes if not each.is_idle] or [each.sentence for each in causes]
        return f"the results differ because of {_listed(used)}"
    loose = [f"param {each.name} {_short(each.before)}→{_short(each.after)}" for each in params]
    loose += [f"env {each.name} {each.before or 'none'}→{each.after or 'none'}" for each in packages]
    if loose:
        return f"the records differ in {_listed(loose)}"
    return "the results differ, and nothing on record says why"


def _listed(texts: Sequence[str]) -> str:
    rest = len(texts) - _NAMED
    return ", ".join(texts[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
