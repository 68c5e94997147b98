# SPDX-License-Identifier: Apache-2.0
"""Cache keys of step calls: parts kept one by one, and the digest over them.

In: a step, its resolved arguments, its closure. Out: ``KeyParts``. Because the parts are stored with each step, the
difference between two runs can be told in words (``difference``), before a run and after it. The keys of calls that differ
in their inputs alone begin alike (``family``), so that one question to the index answers for all of them, before any of the
inputs is known.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mainstay.domain.digests import digest_of
from mainstay.domain.pipelines import FAMILY_DIGITS
from mainstay.engine import environment
from mainstay.engine.arguments import Resolved
from mainstay.engine.code import cells, closure, data_files, modules
from mainstay.engine.code.closure import Closure
from mainstay.engine.materialise import json
from mainstay.engine.steps import Step

FORMAT = 2  # raised when stored results may no longer be read as they were written
_NAMED = 3  # differences named in a sentence before "and n more"


@dataclass(frozen=True, kw_only=True)
class KeyParts:
    """Everything a result depends on. ``files``: data files of the project that the step was seen to open, by path."""

    step: str
    closure: str
    modules: Mapping[str, Mapping[str, str]]
    inputs: Mapping[str, str]
    params: Mapping[str, str]
    environment: Mapping[str, Any]
    seed: int
    salt: str
    extras: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    idle: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # not part of the key: see ``reach``
    is_cacheable: bool = True  # nor is this
    doubt: str | None = None  # why not

    @cached_property
    def key(self) -> str:
        """The digest that names the result; its first digits are those of its `family`."""
        return self.family + digest_of([self._call, dict(self.inputs)])[FAMILY_DIGITS:]

    @property
    def family(self) -> str:
        """What the keys of all calls begin with that differ from this one in their inputs alone."""
        return self._call[:FAMILY_DIGITS]

    @cached_property
    def _call(self) -> str:
        """The digest over everything but the inputs."""
        return digest_of(
            {
                "format": FORMAT,
                "step": self.step,
                "closure": self.closure,
                "params": dict(self.params),
                "environment": dict(self.environment),
                "seed": self.seed,
                "salt": self.salt,
                "files": dict(self.files),
            }
        )

    def to_json(self) -> dict[str, Any]:
        """As stored with the step."""
        return {
            "format": FORMAT,
            "step": self.step,
            "closure": self.closure,
            "modules": {name: dict(parts) for name, parts in self.modules.items()},
            "inputs": dict(self.inputs),
            "params": dict(self.params),
            "environment": dict(self.environment),
            "seed": self.seed,
            "salt": self.salt,
            "extras": list(self.extras),
            "files": dict(self.files),
            "idle": {name: list(parts) for name, parts in self.idle.items()},
        }


@dataclass(kw_only=True)
class Closures:
    """Closures of one plan or run: each set of files is walked once, and all steps see the same moment."""

    root: Path
    entry: Path | None
    _known: dict[tuple[tuple[Path, ...], str, tuple[str, ...]], Closure] = field(default_factory=dict)
    _doubts: dict[str, str] = field(default_factory=dict)

    def of(self, step: Step[..., Any], extras: Iterable[str] = ()) -> Closure:
        """The closure of ``step``; with modules found by computed names, also all that the pipeline can reach."""
        extras = tuple(sorted(extras))
        place = (step.files, step.name, extras)
        if place not in self._known:
            self._known[place] = self._walk(step, extras)
        return self._known[place]

    def known_files(self, step: Step[..., Any], given: Iterable[Any] = ()) -> frozenset[Path]:
        """Files and folders whose use is no news: the step's closure, the pipeline's, data that the code names, and paths
        that the call was given."""
        own = self.of(step)
        named = (self.root / name for name in own.data)
        return frozenset({*own.files, *self.of_entry().files, *named, *_paths_in(given)})

    def doubt(self, step: Step[..., Any]) -> str | None:
        """Why the step cannot have a closure, as soon as it was asked for."""
        return self._doubts.get(step.name)

    def _walk(self, step: Step[..., Any], extras: tuple[str, ...]) -> Closure:
        if not step.has_source:
            return self._of_cell(step)
        files = [*step.files, *(self.root / name for name in extras if (self.root / name).is_file())]
        name = step.function.__qualname__.partition(".")[0]
        found = closure.of(files, root=self.root, names=[name])
        if self.entry is None:
            return found
        if found.is_dynamic:
            return closure.of([*files, self.entry, *self.of_entry().files], root=self.root, names=[name])
        # What the pipeline imports for its effect alone: no import leads there from the step.
        acting = [path for path in self.of_entry().files if path not in found.files and _acts(path)]
        return closure.of([*files, *acting], root=self.root, names=[name]) if acting else found

    def _of_cell(self, step: Step[..., Any]) -> Closure:
        try:
            if cells.has_cell(step.function):
                return cells.closure_of(step.function, self.root)
            self._doubts[step.name] = "its source is not in a file"
        except cells.Doubt as doubt:
            self._doubts[step.name] = str(doubt)
        return closure.of(step.files, root=self.root)

    def of_entry(self) -> Closure:
        """Everything the pipeline's own file can reach, every function in it included."""
        entry = (self.entry,) if self.entry else ()
        place = (entry, "", ())
        if place not in self._known:
            # The word stands for "whatever has a name": all steps of the file belong to the pipeline's sources.
            self._known[place] = closure.of(entry, root=self.root, names=["globals"])
        return self._known[place]


def _paths_in(values: Iterable[Any]) -> Iterator[Path]:
    for value in values:
        if isinstance(value, Path):
            yield value.resolve()
        elif isinstance(value, (list, tuple)):
            yield from _paths_in(value)
        elif isinstance(value, dict):
            yield from _paths_in(value.values())


def _acts(path: Path) -> bool:
    return path.suffix != ".py" or modules.read(path).acts


def for_call(
    step: Step[..., Any], resolved: Resolved, closures: Closures, *, seed: int, extras: Iterable[str] = ()
) -> KeyParts:
    """The parts of one call's key. ``extras``: project files beyond the static closure that the step used before."""
    extras = tuple(sorted(set(extras)))
    code = [name for name in extras if name.endswith(".py")]
    found = closures.of(step, code)
    data = sorted({*found.data, *(name for name in extras if not name.endswith(".py"))})
    captured, doubt = _captured(step)
    doubt = closures.doubt(step) or doubt
    return KeyParts(
        step=step.name,
        closure=found.digest,
        modules=found.parts,
        inputs={path: artifact.digest for path, artifact in resolved.inputs.items()},
        params={**resolved.params, **captured},
        environment=environment.part(found.imports, {*step.options.env, *found.variables}),
        seed=seed,
        salt=step.options.salt,
        extras=extras,
        files={name: data_files.digest(name, closures.root) for name in data},
        idle=found.idle,
        is_cacheable=step.options.cache and doubt is None,
        doubt=doubt,
    )


def _captured(step: Step[..., Any]) -> tuple[dict[str, str], str | None]:
    """Values that a nested function took from around it: two functions with one source are two steps."""
    inner = inspect.unwrap(step.function)
    names, cells = inner.__code__.co_freevars, inner.__closure__ or ()
    found: dict[str, str] = {}
    for name, cell in zip(names, cells, strict=True):
        try:
            found[f"(captured) {name}"] = json.dumps(cell.cell_contents).decode()
        except (json.Unplain, ValueError):
            return found, f"it captures {name!r}, which cannot be keyed"
    return found, None


# ── telling the difference ─────────────────────────────────────────────────────────────────────────────────────────

Lines = Callable[[str, str], int | None]
"""How many lines of a module's statement differ from what they were; None: not known."""


def difference(
    now: KeyParts,
    before: Mapping[str, Any],
    rows: Mapping[str, int | None] | None = None,
    lines: Lines = lambda module, name: None,
) -> tuple[str, str]:
    """Why ``now`` is not ``before``: the kind and a sentence.

    Kinds are ``code``, ``param``, ``input``, ``environment``, ``new``; and ``unrelated`` where nothing but code has
    changed that no name leads to from the step (see ``reach``).

    Args:
        before: stored key parts of an earlier call of the step. rows: row counts by digest, where known.
        lines: how much of a statement has changed.
    """
    changed = parts_changed(now, before)
    found = [
        *(("code", text) for text in [*(_told(*each, lines) for each in changed), *_other_code(now, before, changed)]),
        *(("param", text) for text in _params(now, before)),
        *(("input", text) for text in _inputs(now, before, rows or {})),
        *(("environment", text) for text in _environment(now, before)),
    ]
    if not found:
        return "new", "no stored result"
    if len(found) == len(changed) and all(_is_idle(module, name, now, before) for module, name in changed):
        modules = _listed(sorted({module for module, _ in changed}))
        return "unrelated", f"code: only unrelated code of {modules} changed ({_listed([text for _, text in found])})"
    kind = found[0][0]
    same = [text for each, text in found if each == kind]
    others = sorted({each for each, _ in found} - {kind})
    more = f" (and {', '.join(others)})" if others else ""
    lead = "" if kind == "param" else "env " if kind == "environment" else f"{kind}: "
    return kind, lead + _listed(same) + more


def _listed(texts: list[str]) -> str:
    rest = len(texts) - _NAMED
    return ", ".join(texts[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def parts_changed(now: KeyParts, before: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Statements that are not what they were, as (module, name)."""
    old: Mapping[str, Mapping[str, str]] = before.get("modules", {})
    found = []
    for module in sorted({*now.modules, *old}):
        here, there = now.modules.get(module, {}), old.get(module, {})
        found += [(module, name) for name in dict.fromkeys([*here, *there]) if here.get(name) != there.get(name)]
    return found


def _told(module: str, name: str, lines: Lines) -> str:
    count = lines(module, name)
    return f"{module}.{name}" + (f" ({count} {'line' if count == 1 else 'lines'})" if count else "")


def _is_idle(module: str, name: str, now: KeyParts, before: Mapping[str, Any]) -> bool:
    """Whether no name leads to the statement, as it is and as it was."""
    old: Mapping[str, Iterable[str]] = before.get("idle", {})
    was_there, is_there = name in before.get("modules", {}).get(module, {}), name in now.modules.get(module, {})
    was_idle = not was_there or name in old.get(module, ())
    return was_idle and (not is_there or name in now.idle.get(module, ()))


def _other_code(now: KeyParts, before: Mapping[str, Any], changed: list[tuple[str, str]]) -> list[str]:
    found = [] if changed or now.closure == before.get("closure") else ["order of statements"]
    old_files: Mapping[str, str] = before.get("files", {})
    found += [name for name in sorted({*now.files, *old_files}) if now.files.get(name) != old_files.get(name)]
    return found + (["salt"] if now.salt != before.get("salt", "") else [])


def _params(now: KeyParts, before: Mapping[str, Any]) -> list[str]:
    old: Mapping[str, str] = before.get("params", {})
    names = [name for name in dict.fromkeys([*now.params, *old]) if now.params.get(name) != old.get(name)]
    found = [f"param {name} {_short(old.get(name))}→{_short(now.params.get(name))}" for name in names]
    return found + ([f"param seed {before.get('seed')}→{now.seed}"] if now.seed != before.get("seed", now.seed) else [])


def _short(text: str | None) -> str:
    return "none" if text is None else text if len(text) <= 40 else text[:37] + "…"


def _inputs(now: KeyParts, before: Mapping[str, Any], rows: Mapping[str, int | None]) -> list[str]:
    old: Mapping[str, str] = before.get("inputs", {})
    found = []
    for name in dict.fromkeys([*now.inputs, *old]):
        here, there = now.inputs.get(name), old.get(name)
        if here != there:
            found.append(name + _grown(rows.get(here or ""), rows.get(there or "")))
    return found


def _grown(here: int | None, there: int | None) -> str:
    if here is None or there is None:
        return ""
    return f" ({here - there:+,} rows)" if here != there else " (same number of rows)"


def _environment(now: KeyParts, before: Mapping[str, Any]) -> list[str]:
    old: Mapping[str, Any] = before.get("environment", {})
    here, there = dict(now.environment.get("packages", {})), dict(old.get("packages", {}))
    found = [
        f"{name} {there.get(name, 'none')}→{here.get(name, 'none')}"
        for name in sorted({*here, *there})
        if here.get(name) != there.get(name)
    ]
    mine, theirs = dict(now.environment.get("variables", {})), dict(old.get("variables", {}))
    found += [f"variable {name}" for name in sorted({*mine, *theirs}) if mine.get(name) != theirs.get(name)]
    for name in ("python", "platform"):
        if now.environment.get(name) != old.get(name):
            found.append(f"{name} {old.get(name)}→{now.environment.get(name)}")
    return found
