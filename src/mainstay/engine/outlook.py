# SPDX-License-Identifier: Apache-2.0
"""For each node of a trace: its key, whether its result is there, and if not, why it has to run.

In: a trace, what is known so far (results of this run, stored results, the last run's record). Out: ``Forecast``s.
Shared by the plan, which believes what was recorded, and the execution, which replaces belief by results as it goes.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from mainstay.domain.clock import utc_now
from mainstay.domain.code import Change
from mainstay.domain.digests import canonical_json
from mainstay.engine import arguments, keys, refs, snapshots
from mainstay.engine.arguments import WHOLE, Bundle, Resolved
from mainstay.engine.calls.step_calls import outputs_from
from mainstay.engine.code.past_sources import PastSources
from mainstay.engine.history import History
from mainstay.engine.hits import Hit, Hits
from mainstay.engine.keys import Closures, KeyParts
from mainstay.engine.materialise import Artifact
from mainstay.engine.platform import Platform
from mainstay.engine.refs import ExistingNode, MapNode, Node, Ref, RegisterNode, SnapshotNode, StepNode, refs_in
from mainstay.engine.tracing import Trace

_LONGEST_PATH = 1000
_ANYTHING = Artifact(kind="", digest="", size=0)  # a result, where it does not matter which
SNAPSHOT, VERSION = "snapshot", "version"  # kinds of outputs that name a thing of the control plane


class Missing(Exception):
    """A result that the node needs is not known; ``label`` names who makes it."""

    def __init__(self, label: str) -> None:
        super().__init__(label)
        self.label = label


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """``why``: hit, new, code, unrelated, input, param, environment, expired, or unknown.

    ``assumes``: uncached steps that it relies on.
    """

    node: Node
    why: str
    sentence: str
    parts: KeyParts | None = None
    resolved: Resolved | None = None
    hit: Hit | None = None
    assumes: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Outlook:
    """What is known while planning or running. ``outputs`` by node number; ``named``: the snapshot or version made."""

    platform: Platform
    trace: Trace
    closures: Closures
    history: History
    hits: Hits
    seed: int
    now: datetime = field(default_factory=lambda: utc_now())
    outputs: dict[float, Mapping[str, Artifact]] = field(default_factory=dict)
    named: dict[float, str] = field(default_factory=dict)
    rows: dict[str, int | None] = field(default_factory=dict)  # by digest, of everything in ``outputs``

    def forecast(self, node: Node, judged: tuple[Resolved, KeyParts] | None = None) -> Forecast:
        """Key and verdict of one node, by what is known now; ``judged``: what `judge` said of it, if it was asked."""
        try:
            resolved, parts = judged or self.judge(node)
        except Missing as missing:
            return Forecast(node=node, why="unknown", sentence=f"depends on {missing.label}")
        if parts.is_cacheable and self.hits.unsure(parts.key):
            self.look_ahead()  # as it is with this one, so it may be with those that follow: one query for all
        hit = self.hits.of(parts.key) if parts.is_cacheable else None
        if hit is not None and (told := self.expired(node, hit)):
            return Forecast(node=node, why="expired", sentence=told, parts=parts, resolved=resolved)
        if hit is not None:
            return Forecast(node=node, why="hit", sentence="hit", parts=parts, resolved=resolved, hit=hit)
        why, sentence = self.why(node, parts)
        return Forecast(node=node, why=why, sentence=sentence, parts=parts, resolved=resolved)

    def judge(self, node: Node) -> tuple[Resolved, KeyParts]:
        """Arguments and key of one node, by what is known now. Raises Missing: not enough is."""
        resolved = self.resolve(node)
        return resolved, self.parts_of(node, resolved)

    def expired(self, node: Node, hit: Hit) -> str | None:
        """Why a stored result is too old, for a step whose results hold for a while."""
        ttl = node.step.options.ttl_s if isinstance(node, StepNode) else None
        age = (self.now - hit.at).total_seconds() if hit.at else 0.0
        return f"source expired: read {_length(age)} ago, holds for {_length(ttl)}" if ttl and age > ttl else None

    def foresee(self) -> list[Forecast]:
        """All nodes, as far as can be told before anything runs."""
        return self._believe().forecasts()

    def look_ahead(self) -> dict[float, tuple[Resolved, KeyParts]]:
        """Ask for all that can be asked for by now; what was judged on the way, by node, and stands while nothing has run."""
        return self._believe().sure

    def _believe(self) -> Belief:
        """One query for all keys that the last run or their families tell, however long the chain."""
        while True:
            believed = Belief(self)
            for node in self.trace.in_order():
                believed.add(node)
            if not believed.keys and not believed.families:
                return believed
            if not self.hits.ask(believed.keys, believed.families) and not believed.has_trusted:
                return believed  # nothing is there, as was thought

    def resolve(self, node: Node) -> Resolved:
        """The node's arguments. Raises Missing: one is the result of a node that has none yet."""
        return arguments.resolve(self.arguments_of(node), self.result, self.platform)

    def family_of(self, node: Node) -> str | None:
        """What the key of a step's call begins with, whatever its inputs will be; None: no key says anything of it."""
        if isinstance(node, MapNode):
            node = node.call(0)
        if not isinstance(node, StepNode):
            return None
        given = arguments.resolve(self.arguments_of(node), lambda ref: _ANYTHING, self.platform)
        parts = self.parts_of(node, given)
        return parts.family if parts.is_cacheable else None

    def settle_existing(self) -> None:
        """Snapshots that were there before need no work."""
        for node in self.trace.nodes:
            if isinstance(node, ExistingNode):
                self.settle_one(node)

    def settle_one(self, node: ExistingNode) -> None:
        """A snapshot that was there before is known from the beginning."""
        taken = snapshots.from_json(node.snapshot)
        self.outputs[node.number], self.named[node.number] = {WHOLE: taken.artifact}, taken.id

    def settle(self, node: Node, outputs: Mapping[str, Artifact]) -> None:
        """Take ``outputs``, stored or fresh, as the node's results."""
        self.rows.update((each.digest, each.rows) for each in outputs.values())
        if isinstance(node, SnapshotNode):
            self.named[node.number] = next(name for name, each in outputs.items() if each.kind == SNAPSHOT)
            self.outputs[node.number] = {WHOLE: outputs[WHOLE]}
        elif isinstance(node, RegisterNode):
            self.named[node.number] = next(iter(outputs))
            self.outputs[node.number] = outputs
        else:
            self.outputs[node.number] = outputs

    def snapshots_behind(self, value: Any) -> list[str]:
        """Ids of the snapshots that ``value`` was made from, in the order of the calls, each once."""
        found: dict[str, None] = {}
        for node in self._ancestors(value):
            if isinstance(node, (SnapshotNode, ExistingNode)) and node.number in self.named:
                found[self.named[node.number]] = None
        return list(found)

    def arguments_of(self, node: Node) -> Mapping[str, Any]:
        """Everything the node was called with that may hold refs; a map that has grown is the list of its calls."""
        given = _given(node)
        return refs.unfolded(given, self.trace.calls) if self.trace.calls else given

    def remarks(self) -> list[str]:
        """What the cached steps read that no key can hold, each with its line."""
        nodes = [node for node in self.trace.nodes if isinstance(node, (StepNode, MapNode)) and node.step.options.cache]
        cached = dict.fromkeys(node.step for node in nodes)
        told = [text for step in cached for text in self.closures.of(step).remarks]
        return list(dict.fromkeys([*told, *(text for node in nodes for text in _named_files(node))]))

    def width_of(self, node: MapNode) -> int | None:
        """How many calls a map makes; None while what it goes over is not known.

        Raises:
            Invalid: it goes over something that is no list.
        """
        try:
            found = self.resolve(node).tree["items"]
        except Missing:
            return None
        return arguments.width(node.items, found, self.platform)

    def _ancestors(self, value: Any) -> list[Node]:
        """Nodes that ``value`` depends on, in the order of their calls."""
        found: dict[float, Node] = {}
        # A list of what is left, not recursion: a chain of a thousand steps is a fair pipeline.
        left = [ref.node for ref in refs_in([refs.unfolded(value, self.trace.calls)])]
        while left:
            node = left.pop()
            if node.number not in found:
                found[node.number] = node
                if isinstance(node, (StepNode, SnapshotNode, MapNode)):
                    left += [ref.node for ref in refs_in(dict(self.arguments_of(node)))]
        return [found[number] for number in sorted(found)]

    def result(self, ref: Ref) -> Artifact | Bundle:
        """What a ref stands for. Raises Missing: it is not known yet."""
        outputs = self.outputs.get(ref.node.number)
        if outputs is None:
            raise Missing(ref.node.label)
        return arguments.pick(ref, outputs, self.platform)

    def parts_of(self, node: Node, resolved: Resolved) -> KeyParts:
        """The key of a step's call, or of a verb's."""
        if isinstance(node, StepNode):
            extras = self.history.extras(node.step.name)
            return keys.for_call(node.step, resolved, self.closures, seed=self.seed, extras=extras)
        if isinstance(node, SnapshotNode):
            stated: dict[str, Any] = {"dataset": node.dataset, "source": node.source, "period": node.period}
            return _verb_parts("snapshot", resolved, stated)
        if isinstance(node, RegisterNode):
            stated = {
                "model": node.model,
                "target": node.target,
                "features": node.features,
                "nullable": node.nullable,
                "description": node.description,
            }
            return _verb_parts("register", resolved, {**stated, "snapshots": self.roles(node)})
        return _verb_parts("existing", resolved, {})

    def roles(self, node: RegisterNode) -> list[tuple[str, str]]:
        """The snapshots behind the model and behind its holdout."""
        return [
            *((name, "train") for name in self.snapshots_behind(node.value)),
            *((name, "holdout") for name in self.snapshots_behind(node.holdout)),
        ]

    def why(self, node: Node, parts: KeyParts) -> tuple[str, str]:
        """Why the node has to run: against its last recorded call."""
        before = self.history.before(node.label, parts.step)
        if before is None or before["key_parts"].get("step") != parts.step:
            return "new", "never run before" if parts.is_cacheable else _uncached(node, parts)
        # Counted only where it is told: in a plan of many steps it would be most of the work.
        rows = self._rows() if dict(parts.inputs) != before["key_parts"].get("inputs") else {}
        why, sentence = keys.difference(parts, before["key_parts"], rows, self._lines(before))
        if why != "new":
            return why, sentence
        return "new", "it failed the last time" if before.get("state") == "failed" else _uncached(node, parts)

    def changes(self, node: Node, parts: KeyParts) -> list[Change]:
        """The statements behind ``code``, with their differences."""
        before = self.history.before(node.label, parts.step)
        if before is None:
            return []
        changed = keys.parts_changed(parts, before["key_parts"])
        found = (self.past.change(str(before.get("pipeline_run")), module, name) for module, name in changed)
        return [change for change in found if change is not None]

    @cached_property
    def past(self) -> PastSources:
        """The sources of earlier runs."""
        return PastSources(blobs=self.platform, root=self.closures.root, digests=self.history.sources)

    def _lines(self, before: Mapping[str, Any]) -> keys.Lines:
        def lines(module: str, name: str) -> int | None:
            change = self.past.change(str(before.get("pipeline_run")), module, name)
            return change.lines if change else None

        return lines

    def _rows(self) -> Mapping[str, int | None]:
        return ChainMap(self.rows, cast(dict[str, int | None], self.history.rows))


def _given(node: Node) -> Mapping[str, Any]:
    if isinstance(node, StepNode):
        return node.arguments
    if isinstance(node, SnapshotNode):
        return {"table": node.value}
    if isinstance(node, RegisterNode):
        return {"model": node.value, "metrics": node.metrics, "holdout": node.holdout}
    return {"items": node.items} if isinstance(node, MapNode) else {}


class Belief:
    """One pass over a trace that takes recorded results for real; leaves the outlook as it found it."""

    def __init__(self, outlook: Outlook) -> None:
        self.sure: dict[float, tuple[Resolved, KeyParts]] = {}  # of nodes that stand upon results that are there
        self.keys: set[str] = set()  # that ought to be asked for
        self.families: set[str] = set()  # of those that are not known
        self.has_trusted = False  # what was recorded, where the index has not answered yet
        self._outlook = Outlook(
            platform=outlook.platform,
            trace=outlook.trace,
            closures=outlook.closures,
            history=outlook.history,
            hits=outlook.hits,
            seed=outlook.seed,
            now=outlook.now,
            outputs=dict(outlook.outputs),
            named=dict(outlook.named),
            rows=dict(outlook.rows),
        )
        self._forecasts: list[Forecast] = []  # the reason is missing where it takes a comparison
        self._assumes: dict[float, tuple[str, ...]] = {}
        self._there = set(outlook.outputs)

    def forecasts(self) -> list[Forecast]:
        """What was judged, each with its reason."""
        return [self._with_reason(each) for each in self._forecasts]

    def _with_reason(self, forecast: Forecast) -> Forecast:
        if forecast.why or forecast.parts is None:
            return forecast
        why, sentence = self._outlook.why(forecast.node, forecast.parts)
        return replace(forecast, why=why, sentence=sentence)

    def add(self, node: Node) -> None:
        """Judge the next node."""
        outlook = self._outlook
        if isinstance(node, ExistingNode):
            return
        if isinstance(node, MapNode):
            self._add_map(node)
            return
        upstream = [each.node.number for each in refs_in(list(outlook.arguments_of(node).values()))]
        assumes = tuple(dict.fromkeys(name for number in upstream for name in self._assumes.get(number, ())))
        try:
            resolved = outlook.resolve(node)
        except Missing as missing:
            told = f"depends on {missing.label}"
            self._forecasts.append(Forecast(node=node, why="unknown", sentence=told, assumes=assumes))
            self._ask_for_family(node)
            return
        parts = outlook.parts_of(node, resolved)
        known = outlook.hits.peek(parts.key) if parts.is_cacheable else None
        expired = outlook.expired(node, known) if known else None
        known = None if expired else known
        believed = known.outputs if known else self._recorded(node, parts)
        if known is None and (not parts.is_cacheable or expired) and believed is not None:
            assumes = (*assumes, node.label)
        self._assumes[node.number] = assumes
        if believed is not None:
            outlook.settle(node, believed)
        if self._there.issuperset(upstream):
            self.sure[node.number] = resolved, parts
            if known:
                self._there.add(node.number)
        why, sentence = ("expired", expired) if expired else ("hit", "hit") if known else ("", "")
        self._forecasts.append(
            Forecast(node=node, why=why, sentence=sentence, parts=parts, resolved=resolved, hit=known, assumes=assumes)
        )
        if parts.is_cacheable and not outlook.hits.is_asked(parts.key):
            self.keys.add(parts.key)

    def _ask_for_family(self, node: Node) -> None:
        family = self._outlook.family_of(node)
        if family is not None and not self._outlook.hits.has_told_of(family):
            self.families.add(family)

    def _add_map(self, node: MapNode) -> None:
        """A map whose items are known grows here, and its calls follow; of any other the width is unknown."""
        width = self._outlook.width_of(node)
        if width is None:
            told = f"unknown width: a call for each item of {node.items.label}"
            self._forecasts.append(Forecast(node=node, why="unknown", sentence=told))
            self._ask_for_family(node)
        else:
            self._outlook.trace.grow(node, width)

    def _recorded(self, node: Node, parts: KeyParts) -> Mapping[str, Artifact] | None:
        """What the last run recorded under the very same key. Believed only until the index has answered."""
        known = self._outlook.hits.peek(parts.key)
        if known and self._outlook.expired(node, known):
            return known.outputs  # read again, it may well be the same
        if parts.is_cacheable and self._outlook.hits.is_asked(parts.key):
            return None
        if parts.is_cacheable and (unsure := self._outlook.hits.unsure(parts.key)):
            self.has_trusted = True
            return unsure.outputs
        before = self._outlook.history.before(node.label, parts.step)
        if before is None or before.get("key") != parts.key or before.get("state") not in ("succeeded", "cached"):
            return None
        self.has_trusted = self.has_trusted or parts.is_cacheable
        return outputs_from(list(before.get("outputs") or ())) or None


def _named_files(node: StepNode | MapNode) -> Iterator[str]:
    """Texts among the arguments that name a file: a key holds the text, not what is in the file."""
    for name, value in node.arguments.items():
        if isinstance(value, str) and 0 < len(value) < _LONGEST_PATH and "." in value and Path(value).is_file():
            yield (
                f"step {node.step.name} is given {name}={value!r}, a text; the file's content counts only if it is given"
                " as a Path, or made a snapshot"
            )


def _length(seconds: float) -> str:
    """Such as ``6 h``."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size or (seconds >= size and seconds % size < 1):
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _verb_parts(verb: str, resolved: Resolved, stated: Mapping[str, Any]) -> KeyParts:
    params = {name: canonical_json(value).decode() for name, value in stated.items() if value is not None}
    inputs = {path: artifact.digest for path, artifact in resolved.inputs.items()}
    return KeyParts(
        step=verb,
        closure="",
        modules={},
        inputs=inputs,
        params={**resolved.params, **params},
        environment={},
        seed=0,
        salt="",
    )


def _uncached(node: Node, parts: KeyParts) -> str:
    if parts.doubt:
        return f"not cached: {parts.doubt}"
    if isinstance(node, StepNode) and not node.step.options.cache:
        return "not cached: it reads the outside world"
    return "no stored result"


def upstream_of(arguments_of: Iterable[Any]) -> list[str]:
    """Labels of the nodes whose results are used, each once, in order."""
    return list(dict.fromkeys(ref.node.label for ref in refs_in(list(arguments_of))))
