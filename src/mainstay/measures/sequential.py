# SPDX-License-Identifier: Apache-2.0
"""Evidence that may be looked at after every request, without the looking making it wrong.

In: running counts of bad events, or a stream of losses. Out: verdicts that hold at any moment one chooses to stop. A
p-value peeked at two hundred times falsely rolls back a third of all healthy canaries; these do not exceed their level
over the whole, endless stream (Ville's inequality).

Three tools: a mixture e-process asks whether the canary has more than its share of the bad events (roll back); a
confidence sequence on two rates asks whether it is at most a margin worse (promote), which is another question; and a
confidence sequence on a mean loss asks whether performance dropped below the reference.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mainstay.domain.errors import Invalid
from mainstay.measures.distributions import log_beta
from mainstay.measures.performance import Figure

ROLLBACK, CONTINUE, PROMOTABLE, INCONCLUSIVE = "rollback", "continue", "promotable", "inconclusive"
#: How tightly the mixture sits around the canary's share: as if 20 bad events had been seen.
CONCENTRATION = 20.0


@dataclass(frozen=True, kw_only=True)
class CanaryStage:
    """A stretch of time in which the canary was given a constant ``share`` (0..1) of the requests."""

    share: float
    canary: int = 0
    champion: int = 0
    canary_bad: int = 0
    champion_bad: int = 0

    @property
    def log_e(self) -> float:
        r"""ln E of "a bad event is the canary's no more often than a request is"; 0 without evidence.

        .. math:: \ln B(cw + k, c(1-w) + n - k) - \ln B(cw, c(1-w)) - k \ln w - (n-k) \ln (1-w)

        with k of n bad events the canary's, w its share, c = 20. One-sided: 0 at most while k <= wn. Where the canary
        got more requests than its share (skewed keys, retries), w in the last two terms is what it got: E is then
        smaller, so the level still holds, and a busy canary is not taken for a bad one.

        Source: Robbins, Ann. Math. Statist. 41(5), 1970; Lindon and Malek, NeurIPS 2022 (multinomial counts).
        """
        k, n, w = self.canary_bad, self.canary_bad + self.champion_bad, self.share
        if n == 0:
            return 0.0
        requests = self.canary + self.champion
        got = min(max(w, self.canary / requests if requests else w), 1 - 1e-12)
        a, b = CONCENTRATION * w, CONCENTRATION * (1 - w)
        value = log_beta(a + k, b + n - k) - log_beta(a, b) - k * math.log(got) - (n - k) * math.log(1 - got)
        return value if k > got * n else min(value, 0.0)


@dataclass(frozen=True, kw_only=True)
class CanaryEvidence:
    """What one guard (one kind of bad event) has shown, stage by stage. Grow it by ``observe`` and ``advance``."""

    stages: tuple[CanaryStage, ...]

    @staticmethod
    def begin(share: float) -> CanaryEvidence:
        """No requests yet, at ``share``. Raises Invalid unless 0 < share < 1."""
        return CanaryEvidence(stages=(_open_stage(share),))

    def observe(
        self, *, canary: int = 0, champion: int = 0, canary_bad: int = 0, champion_bad: int = 0
    ) -> CanaryEvidence:
        """Add counts of requests and of bad events among them. Raises Invalid for negative or impossible counts."""
        last = self.stages[-1]
        grown = replace(
            last,
            canary=last.canary + canary,
            champion=last.champion + champion,
            canary_bad=last.canary_bad + canary_bad,
            champion_bad=last.champion_bad + champion_bad,
        )
        if min(canary, champion, canary_bad, champion_bad) < 0:
            raise Invalid("canary counts must not be negative; pass what came since the last call.")
        if grown.canary_bad > grown.canary or grown.champion_bad > grown.champion:
            raise Invalid("more bad events than requests; count a request and its bad event together, once.")
        return CanaryEvidence(stages=(*self.stages[:-1], grown))

    def advance(self, share: float) -> CanaryEvidence:
        """A new share begins a new stage; the e-values of stages multiply."""
        return CanaryEvidence(stages=(*self.stages, _open_stage(share)))

    @property
    def log_e(self) -> float:
        """ln of the product of the stages' e-values."""
        return sum(stage.log_e for stage in self.stages)

    def to_json(self) -> dict[str, Any]:
        return {"stages": [asdict(stage) for stage in self.stages]}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> CanaryEvidence:
        return CanaryEvidence(stages=tuple(CanaryStage(**stage) for stage in data["stages"]))


def _open_stage(share: float) -> CanaryStage:
    if not 0.0 < share < 1.0:
        raise Invalid(f"canary share is {share:g}; more than 0 and less than 1 is expected.", share=share)
    return CanaryStage(share=share)


@dataclass(frozen=True, kw_only=True)
class GuardReading:
    """One guard at the moment of a verdict: everything needed to compute it again.

    ``difference`` is canary minus champion bad rate in the current stage, ``upper`` the end of its confidence sequence.
    """

    log_e: float
    needed_log_e: float
    difference: float | None
    upper: float
    margin: float
    evidence: CanaryEvidence


@dataclass(frozen=True, kw_only=True)
class CanaryVerdict:
    """``decision``: rollback, continue, promotable or inconclusive; ``reason`` in a sentence; the guards as read."""

    decision: str
    reason: str
    alpha: float
    guards: Mapping[str, GuardReading]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def verdict(
    guards: Mapping[str, CanaryEvidence],
    *,
    margin: float | Mapping[str, float],
    alpha: float = 0.05,
    min_requests: int = 1000,
    is_over: bool = False,
) -> CanaryVerdict:
    """Read all guards of a canary; may be asked after every request.

    Args:
        guards: evidence by guard name ("errors", "latency", …).
        margin: by how much the canary's bad rate may at most exceed the champion's, absolute; one for all or by guard.
        min_requests: the canary must have answered so many in the current stage before it is promotable.
        is_over: the time for this stage has run out; time alone never promotes, so what is not shown is inconclusive.
    Rollback needs E >= guards / alpha in any one guard (Bonferroni); promotable needs every guard's difference below
    its margin, where no correction is due, for all must hold.
    """
    if not guards:
        raise Invalid("a canary verdict needs at least one guard; pass the evidence by guard name.")
    needed = math.log(len(guards) / alpha)
    read = {
        name: _read_guard(evidence, needed, margin if isinstance(margin, int | float) else margin[name], alpha)
        for name, evidence in guards.items()
    }
    decision, reason = _decide(read, min_requests, is_over)
    return CanaryVerdict(decision=decision, reason=reason, alpha=alpha, guards=read)


def _read_guard(evidence: CanaryEvidence, needed: float, margin: float, alpha: float) -> GuardReading:
    stage = evidence.stages[-1]
    # Stages are not pooled here: a share that grows while the hour improves would flatter the canary (Simpson).
    difference = None
    if stage.canary and stage.champion:
        difference = stage.canary_bad / stage.canary - stage.champion_bad / stage.champion
    upper = rate_bounds(stage.canary_bad, stage.canary, alpha=alpha / 2)[1]
    upper -= rate_bounds(stage.champion_bad, stage.champion, alpha=alpha / 2)[0]
    return GuardReading(
        log_e=evidence.log_e, needed_log_e=needed, difference=difference, upper=upper, margin=margin, evidence=evidence
    )


def _decide(read: Mapping[str, GuardReading], min_requests: int, is_over: bool) -> tuple[str, str]:
    worst_name, worst = max(read.items(), key=lambda pair: pair[1].log_e)
    if worst.log_e >= worst.needed_log_e:
        bad = [sum(getattr(s, k) for s in worst.evidence.stages) for k in ("canary_bad", "champion_bad")]
        odds = f"E = {math.exp(min(worst.log_e, 700)):.3g}, {math.exp(worst.needed_log_e):.3g} needed"
        return (
            ROLLBACK,
            f"{worst_name}: {bad[0]} of {sum(bad)} bad events are the canary's, more than its share ({odds}).",
        )
    served = min(reading.evidence.stages[-1].canary for reading in read.values())
    open_guards = {name: reading for name, reading in read.items() if reading.upper >= reading.margin}
    if not open_guards and served >= min_requests:
        return PROMOTABLE, f"every guard is shown to be less than its margin worse, over {served} canary requests."
    lack = f"{served} of {min_requests} canary requests"
    if open_guards:
        name, reading = max(open_guards.items(), key=lambda pair: pair[1].upper - pair[1].margin)
        lack = f"{name} may still be {reading.upper:.3%} worse, {reading.margin:.3%} is allowed; {lack}"
    return (INCONCLUSIVE, f"time is over and nothing is shown: {lack}.") if is_over else (CONTINUE, f"{lack}.")


def rate_bounds(k: int, n: int, *, alpha: float) -> tuple[float, float]:
    """Confidence sequence for the rate of k events in n trials: holds at all n at once with probability 1 - ``alpha``.

    All p where the Beta(1/2, 1/2) mixture likelihood is less than 1 / alpha times that of p; (0, 1) for n = 0. Supposes
    that the rate is constant over the n trials. Source: Robbins, Ann. Math. Statist. 41(5), 1970.
    """
    if n <= 0:
        return 0.0, 1.0
    level = log_beta(0.5 + k, 0.5 + n - k) - log_beta(0.5, 0.5) - math.log(1 / alpha)

    def is_inside(p: float) -> bool:
        return (k * math.log(p) if k else 0.0) + ((n - k) * math.log1p(-p) if n > k else 0.0) > level

    middle = k / n
    low = 0.0 if k == 0 else _edge(is_inside, middle if k < n else 1.0 - 1e-15, 0.0)
    high = 1.0 if k == n else _edge(is_inside, middle if k else 1e-300, 1.0)
    return low, high


def _edge(is_inside: Any, inside: float, outside: float) -> float:
    for _ in range(80):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if is_inside(middle) else (inside, middle)
    return outside


# ---------------------------------------------------------------- mean loss


@dataclass(frozen=True, kw_only=True)
class RiskSequence:
    """Running sums of a stream of losses in 0..1: ``n``, their ``total``, and ``variation`` about the mean so far."""

    n: int = 0
    total: float = 0.0
    variation: float = 0.0

    @property
    def mean(self) -> float | None:
        return self.total / self.n if self.n else None

    def observe(self, losses: ArrayLike) -> RiskSequence:
        """Add losses in the order they came. Raises Invalid outside 0..1.

        ``variation`` grows by the square of each loss's distance from the mean of the losses *before* it (1/2 before
        the first): predictable, which is what makes the bound hold.
        """
        x = np.asarray(losses, dtype=np.float64)
        if x.ndim != 1 or not np.isfinite(x).all() or (len(x) and (x.min() < 0.0 or x.max() > 1.0)):
            raise Invalid("losses must be one number in 0..1 a row; scale them by the greatest loss possible.")
        if not len(x):
            return self
        before = self.n + np.arange(len(x))
        sums = self.total + np.concatenate([[0.0], np.cumsum(x)[:-1]])
        means = np.where(before > 0, sums / np.maximum(before, 1), 0.5)
        return RiskSequence(
            n=self.n + len(x),
            total=self.total + float(x.sum()),
            variation=self.variation + float(np.dot(x - means, x - means)),
        )

    def lower_bound(self, alpha: float) -> float:
        """The mean loss so far is above this at all times at once, with probability 1 - ``alpha``; 0 without losses."""
        return max(0.0, self.total / self.n - stitched_boundary(self.variation, alpha) / self.n) if self.n else 0.0

    def upper_bound(self, alpha: float) -> float:
        """The mean loss so far is below this at all times at once, with probability 1 - ``alpha``; 1 without losses."""
        return min(1.0, self.total / self.n + stitched_boundary(self.variation, alpha) / self.n) if self.n else 1.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


_ZETA_14 = 3.1055472779775806  # zeta(1.4)


def stitched_boundary(variation: float, alpha: float) -> float:
    r"""How far a sum of centred losses in 0..1 may stray at any time, given its variation v; crossed with chance
    ``alpha``.

    .. math:: \sqrt{k_1^2 v \ell + k_2^2 \ell^2} + k_2 \ell, \quad \ell = 1.4 \ln \log_2 (2 v) + \ln (\zeta(1.4) /
    \alpha)

    with v at least 1, k_1 = (2^{1/4} + 2^{-1/4}) / sqrt 2, k_2 = (sqrt 2 + 1) / 2.

    Source: Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences",
    Ann. Statist. 49(2), 2021: theorem 1 (eta = 2, s = 1.4, m = 1) and theorem 4 (empirical Bernstein).
    """
    v = max(variation, 1.0)
    ell = 1.4 * math.log(math.log2(2 * v)) + math.log(_ZETA_14 / alpha)
    k1, k2 = (2**0.25 + 2**-0.25) / math.sqrt(2), (math.sqrt(2) + 1) / 2
    return math.sqrt(k1**2 * v * ell + (k2 * ell) ** 2) + k2 * ell


@dataclass(frozen=True, kw_only=True)
class RiskVerdict:
    """Has the mean loss risen past what is tolerated? ``lower`` is what it is at least, ``limit`` what it may be."""

    is_dropped: bool
    reason: str
    n: int
    mean: float | None
    lower: float
    limit: float


def judge_risk(sequence: RiskSequence, reference: Figure, *, tolerance: float, alpha: float = 0.05) -> RiskVerdict:
    """Did performance drop: is the mean loss above the reference's plus ``tolerance``? May be asked at any time.

    Args:
        reference: the mean loss of the reference (Brier, or 1 - accuracy) with its 95 % interval; half of ``alpha`` is
            spent on its upper end, half on the stream, so at alpha 0.05 both bounds are one-sided 97.5 %.
    The mean is over the whole sequence: begin a new one for each release, or a late drop is diluted by a good past.
    Source: Podkopaev and Ramdas, "Tracking the risk of a deployed model and detecting harmful distribution shifts",
    ICLR 2022.

    Raises:
        Invalid: the reference figure is insufficient.
    """
    if reference.value is None or reference.hi is None:
        raise Invalid(
            f"the reference {reference.name} is insufficient ({reference.reason}); give a labelled reference."
        )
    lower, limit = sequence.lower_bound(alpha / 2), reference.hi + tolerance
    mean = "no losses" if sequence.mean is None else f"mean loss {sequence.mean:.4f}"
    state = "above" if lower > limit else "not shown to be above"
    reason = (
        f"{mean} over {sequence.n} rows, at least {lower:.4f}: {state} {limit:.4f} (reference {reference.value:.4f})."
    )
    return RiskVerdict(
        is_dropped=lower > limit, reason=reason, n=sequence.n, mean=sequence.mean, lower=lower, limit=limit
    )
