# SPDX-License-Identifier: Apache-2.0
"""The plan: what a run would do now, and why. Carries nothing out and records nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mainstay.domain.code import Change
from mainstay.domain.errors import Invalid
from mainstay.engine import execution, history
from mainstay.engine.definitions import Definition
from mainstay.engine.hits import Hits
from mainstay.engine.outlook import Forecast, Outlook, upstream_of
from mainstay.engine.platform import Platform


@dataclass(frozen=True, kw_only=True)
class Item:
    """One step or verb.

    ``why``: hit, new, code, unrelated, input, param, environment, expired, unknown; ``sentence`` says it to people.
    ``changes``: the statements that are not what they were. ``stands_for``: the key whose stored result may be accepted.
    ``upstream``: the labels of those whose results it is given. ``hit_of``: the run that made the result of a hit.
    """

    label: str
    why: str
    sentence: str
    key: str | None
    assumes: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    stands_for: str | None = None
    upstream: tuple[str, ...] = ()
    hit_of: str | None = None

    @property
    def is_hit(self) -> bool:
        """Whether nothing would have to run."""
        return self.why == "hit"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Items in the order of work. ``remarks``: what the steps read that no key can hold."""

    pipeline: str
    items: tuple[Item, ...]
    remarks: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """One line an item, and a summary."""
        width = max((len(item.label) for item in self.items), default=0)
        return [*(f"{item.label:<{width}}  {item.sentence}" for item in self.items), self.summary()]

    def summary(self) -> str:
        """Such as ``5 steps: 3 hits, 1 would run, 1 depends on it``."""
        hits = sum(item.is_hit for item in self.items)
        unknown = sum(item.why == "unknown" for item in self.items)
        runs = len(self.items) - hits - unknown
        parts = [
            (hits, "hit" if hits == 1 else "hits"),
            (runs, "would run"),
            (unknown, "depend on that" if unknown > 1 else "depends on that"),
        ]
        told = ", ".join(f"{count} {word}" for count, word in parts if count)
        return f"{execution.counted(len(self.items), 'step')}: {told or 'nothing to do'}"

    def document(self) -> dict[str, Any]:
        """As ``mainstay plan --json`` prints it, and as a worker answers with it."""
        return {
            "pipeline": self.pipeline,
            "summary": self.summary(),
            "items": [asdict(item) for item in self.items],
            "remarks": list(self.remarks),
        }


def make(pipeline: Definition[..., Any], platform: Platform, *, params: Mapping[str, Any]) -> Plan:
    """The plan of ``pipeline`` with ``params``.

    Raises:
        Invalid: the parameters do not fit, or an argument cannot be keyed.
    """
    trace = pipeline.trace(platform, params)
    outlook = Outlook(
        platform=platform,
        trace=trace,
        closures=execution.closures_of(pipeline),
        history=history.of(platform, pipeline.name),
        hits=Hits(platform=platform),
        seed=pipeline.seed,
    )
    outlook.settle_existing()
    items = [_item(outlook, each) for each in outlook.foresee()]
    if trace.wanted is not None:
        told = f"unknown: the pipeline goes on by the value of {trace.wanted.label}"
        upstream = (trace.wanted.node.label,)
        items.append(Item(label="(the rest)", why="unknown", sentence=told, key=None, upstream=upstream))
    return Plan(pipeline=pipeline.name, items=tuple(items), remarks=tuple(outlook.remarks()))


def accept(pipeline: Definition[..., Any], platform: Platform, *, params: Mapping[str, Any], reason: str) -> Plan:
    """Let stored results stand wherever only unrelated code has changed, with ``reason`` on record; the plan after that.

    Raises:
        Invalid: there is nothing to accept.
    """
    made = make(pipeline, platform, params=params)
    if not any(item.stands_for for item in made.items):
        raise Invalid(f"there is nothing to accept in {made.pipeline}: no step would run for unrelated code alone.")
    # What follows a step is known only once its own result is: so one after the other, until there is none left.
    while item := next((item for item in made.items if item.stands_for), None):
        body = {"pipeline": made.pipeline, "name": item.label, "key": item.key, "instead_of": item.stands_for}
        platform.post("/steps/accept", body | {"reason": reason})
        made = make(pipeline, platform, params=params)
    return made


def _item(outlook: Outlook, forecast: Forecast) -> Item:
    is_unrelated = forecast.why == "unrelated" and not forecast.assumes
    before = outlook.history.before(forecast.node.label, forecast.parts.step) if forecast.parts else None
    sentence = forecast.sentence
    if forecast.assumes and forecast.node.label not in forecast.assumes:
        sentence += f", if {' and '.join(forecast.assumes)} gives the same bytes again"
    return Item(
        label=forecast.node.label,
        why=forecast.why,
        sentence=sentence,
        key=forecast.parts.key if forecast.parts else None,
        assumes=forecast.assumes,
        changes=tuple(outlook.changes(forecast.node, forecast.parts)) if forecast.parts and not forecast.hit else (),
        stands_for=before.get("key") if is_unrelated and before else None,
        upstream=tuple(upstream_of(outlook.arguments_of(forecast.node).values())),
        hit_of=forecast.hit.run_id if forecast.hit else None,
    )
