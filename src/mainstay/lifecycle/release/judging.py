# SPDX-License-Identifier: Apache-2.0
"""The judge of a canary: from counts of bad events to roll back, promote, or wait.

The statistics (an e-process that may be looked at after every request; a confidence sequence for promotion) stand in
`measures.sequential`. A guard that has seen nothing yet can neither object nor agree: labels, for one, come late.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mainstay.domain.release import Counts, RolloutConfig
from mainstay.measures.sequential import (
    PROMOTABLE,
    ROLLBACK,
    CanaryEvidence,
    CanaryStage,
    CanaryVerdict,
    verdict,
)

GUARDS = ("errors", "latency", "quality")


@dataclass(frozen=True, kw_only=True)
class Ruling:
    """``decision``: rollback, promote or continue; ``guard`` is the one that objected."""

    decision: str
    sentence: str
    guard: str | None
    evidence: tuple[dict[str, Any], ...]


def rule(
    guards: Mapping[str, tuple[Counts, Counts]],
    *,
    share: float,
    config: RolloutConfig,
    past: Sequence[Mapping[str, Any]] = (),
) -> Ruling:
    """Judge the present step of a rollout.

    Args:
        guards: for each, counts of canary and of champion since the step began. share: the canary's, 0..1.
        past: evidence lines of earlier steps; their e-values multiply with the present one.

    """
    seen = {name: pair for name, pair in guards.items() if pair[0].n + pair[1].n > 0}
    if not seen or share >= 1:
        return Ruling(decision="continue", sentence="no prediction has been counted yet", guard=None, evidence=())
    read = verdict(
        {name: _evidence(name, pair, share, past) for name, pair in seen.items()},
        margin={name: config.margins.get(name, 0.02) for name in seen},
        alpha=config.alpha,
        min_requests=config.min_predictions,
    )
    decision = {ROLLBACK: "rollback", PROMOTABLE: "promote"}.get(read.decision, "continue")
    evidence = tuple(_line(name, pair, share, read, decision) for name, pair in seen.items())
    objecting = max(evidence, key=lambda line: line["e_value"])["guard"] if decision == "rollback" else None
    return Ruling(decision=decision, sentence=read.reason, guard=objecting, evidence=evidence)


def _evidence(
    name: str, pair: tuple[Counts, Counts], share: float, past: Sequence[Mapping[str, Any]]
) -> CanaryEvidence:
    before = [
        _stage(line["share"], Counts(**line["canary"]), Counts(**line["champion"]))
        for line in past
        if line["guard"] == name
    ]
    return CanaryEvidence(stages=(*before, _stage(share, *pair)))


def _stage(share: float, canary: Counts, champion: Counts) -> CanaryStage:
    return CanaryStage(
        share=share, canary=canary.n, champion=champion.n, canary_bad=canary.bad, champion_bad=champion.bad
    )


def _line(name: str, pair: tuple[Counts, Counts], share: float, read: CanaryVerdict, decision: str) -> dict[str, Any]:
    canary, champion = pair
    reading = read.guards[name]
    return {
        "guard": name,
        "share": share,
        "canary": {"n": canary.n, "bad": canary.bad},
        "champion": {"n": champion.n, "bad": champion.bad},
        "n": canary.bad + champion.bad,
        "k": canary.bad,
        "w": share,
        "e_value": math.exp(min(reading.log_e, 700)),
        "needed": math.exp(reading.needed_log_e),
        "difference": reading.difference,
        "upper": reading.upper,
        "margin": reading.margin,
        "decision": decision,
        "sentence": f"{name}: {canary.bad} of {canary.n} canary requests were bad, {champion.bad} of {champion.n} champion's; "
        f"at most {reading.upper:.1%} worse, {reading.margin:.1%} is allowed",
    }
