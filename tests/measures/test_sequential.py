# SPDX-License-Identifier: Apache-2.0
"""Evidence under constant peeking: seldom wrong, soon right, and never promoted by time alone. Seeds are fixed."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from mainstay.domain.errors import Invalid
from mainstay.measures.performance import Figure
from mainstay.measures.sequential import (
    CanaryEvidence,
    CanaryStage,
    RiskSequence,
    judge_risk,
    rate_bounds,
    stitched_boundary,
    verdict,
)


def run_canary(p0: float, p1: float, share: float, requests: int, seed: int, look: int = 200) -> tuple[bool, int]:
    """Whether a canary was rolled back when looked at every 200 requests, and after how many of its own."""
    random = np.random.default_rng(seed)
    evidence = CanaryEvidence.begin(share)
    for _ in range(requests // look):
        canary = int(random.binomial(look, share))
        evidence = evidence.observe(
            canary=canary,
            champion=look - canary,
            canary_bad=int(random.binomial(canary, p1)),
            champion_bad=int(random.binomial(look - canary, p0)),
        )
        if evidence.log_e >= math.log(1 / 0.05):
            return True, evidence.stages[-1].canary
    return False, evidence.stages[-1].canary


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_an_identical_canary_is_seldom_rolled_back_however_often_one_looks(share: float) -> None:
    runs = [run_canary(0.01, 0.01, share, 40_000, seed) for seed in range(200)]

    assert np.mean([rolled for rolled, _ in runs]) <= 0.05


def test_a_bad_canary_is_caught_early_and_always() -> None:
    runs = [run_canary(0.01, 0.05, 0.05, 40_000, seed) for seed in range(60)]
    terrible = [run_canary(0.01, 0.5, 0.05, 40_000, seed) for seed in range(60)]

    assert all(rolled for rolled, _ in runs + terrible)
    assert np.median([n for _, n in runs]) <= 250
    assert np.median([n for _, n in terrible]) <= 25


def test_the_e_value_is_the_formula() -> None:
    stage = CanaryStage(share=0.1, canary=100, champion=900, canary_bad=9, champion_bad=11)

    expected = special.betaln(2 + 9, 18 + 11) - special.betaln(2, 18) - 9 * math.log(0.1) - 11 * math.log(0.9)
    assert stage.log_e == pytest.approx(expected, rel=1e-12)


@given(st.floats(0.01, 0.99), st.integers(1, 60))
def test_the_e_value_is_one_on_average_if_the_rates_are_the_same(share: float, n: int) -> None:
    def log_e(k: int) -> float:
        return CanaryStage(share=share, canary_bad=k, champion_bad=n - k).log_e

    mean = sum(math.exp(log_e(k)) * math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(n + 1))

    assert mean <= 1 + 1e-9


def test_a_canary_with_fewer_bad_events_is_never_rolled_back() -> None:
    evidence = CanaryEvidence.begin(0.5).observe(canary=10_000, champion=10_000, canary_bad=0, champion_bad=500)

    assert evidence.log_e <= 0


def test_a_canary_that_is_busier_than_its_share_is_not_taken_for_a_bad_one() -> None:
    fair = CanaryEvidence.begin(0.05).observe(canary=2_000, champion=8_000, canary_bad=20, champion_bad=80)

    assert fair.log_e <= 0
    assert CanaryStage(share=0.05, canary_bad=20, champion_bad=80).log_e > 3


def test_stages_multiply_their_evidence() -> None:
    evidence = CanaryEvidence.begin(0.05).observe(canary=500, champion=9_500, canary_bad=12, champion_bad=95)
    second = evidence.advance(0.5).observe(canary=5_000, champion=5_000, canary_bad=80, champion_bad=50)

    assert second.log_e == pytest.approx(sum(stage.log_e for stage in second.stages))
    assert second.log_e > evidence.log_e > 0
    assert CanaryEvidence.from_json(json.loads(json.dumps(second.to_json()))) == second


def grow(canary_bad: float, champion_bad: float, n: int) -> CanaryEvidence:
    return CanaryEvidence.begin(0.5).observe(
        canary=n, champion=n, canary_bad=round(n * canary_bad), champion_bad=round(n * champion_bad)
    )


def test_the_verdict_tells_the_four_ends_apart() -> None:
    bad, healthy, young = grow(0.05, 0.01, 5_000), grow(0.01, 0.01, 50_000), grow(0.01, 0.01, 300)

    assert verdict({"errors": bad, "latency": healthy}, margin=0.005).decision == "rollback"
    assert verdict({"errors": healthy, "latency": healthy}, margin=0.005).decision == "promotable"
    assert verdict({"errors": healthy, "latency": young}, margin=0.005).decision == "continue"
    assert verdict({"errors": young}, margin=0.005, is_over=True).decision == "inconclusive"
    assert verdict({"errors": bad}, margin=0.5, is_over=True).decision == "rollback"


def test_neither_time_nor_silence_promotes() -> None:
    empty = CanaryEvidence.begin(0.05)

    assert verdict({"errors": empty}, margin=0.01).decision == "continue"
    assert verdict({"errors": empty}, margin=0.01, is_over=True).decision == "inconclusive"
    quick = grow(0.0, 0.0, 999)
    assert verdict({"errors": quick}, margin=0.5).decision == "continue"
    assert verdict({"errors": quick}, margin=0.5, min_requests=999).decision == "promotable"


def test_more_guards_ask_for_more_evidence_each() -> None:
    bad = CanaryEvidence.begin(0.05).observe(canary=300, champion=5_700, canary_bad=12, champion_bad=57)
    calm = grow(0.01, 0.01, 6_000)

    assert verdict({"a": bad}, margin=0.01).decision == "rollback"
    many = verdict({"a": bad, **{f"g{i}": calm for i in range(20)}}, margin=0.01)
    assert many.decision != "rollback"
    json.dumps(many.to_json(), allow_nan=False)
    assert many.guards["a"].evidence == bad
    assert verdict({"a": calm}, margin={"a": 0.9}).decision == "promotable"


def test_a_canary_at_the_margin_is_seldom_promoted_however_often_one_looks() -> None:
    random = np.random.default_rng(3)
    promoted = 0
    for _ in range(100):
        evidence = CanaryEvidence.begin(0.5)
        for _ in range(40):
            bad = random.binomial(500, [0.03, 0.02])
            evidence = evidence.observe(canary=500, champion=500, canary_bad=int(bad[0]), champion_bad=int(bad[1]))
            if verdict({"errors": evidence}, margin=0.01).decision == "promotable":
                promoted += 1
                break

    assert promoted / 100 <= 0.05


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(Invalid, match="more than 0"):
        CanaryEvidence.begin(1.0)
    with pytest.raises(Invalid, match="more bad events than requests"):
        CanaryEvidence.begin(0.5).observe(canary=1, canary_bad=2)
    with pytest.raises(Invalid, match="at least one guard"):
        verdict({}, margin=0.1)


def test_rate_bounds_hold_at_every_moment_at_once() -> None:
    random = np.random.default_rng(4)
    for rate in (0.005, 0.2):
        missed = 0
        for _ in range(200):
            k = np.cumsum(random.binomial(50, rate, size=80))
            missed += any(
                not low <= rate <= high
                for low, high in (rate_bounds(int(k[i]), 50 * (i + 1), alpha=0.1) for i in range(0, 80, 2))
            )
        assert missed / 200 <= 0.1


def test_rate_bounds_at_the_ends_are_sane() -> None:
    assert rate_bounds(0, 0, alpha=0.05) == (0.0, 1.0)
    low, high = rate_bounds(0, 1000, alpha=0.05)
    assert low == 0.0
    assert 0.003 < high < 0.02
    low, high = rate_bounds(1000, 1000, alpha=0.05)
    assert high == 1.0
    assert 0.98 < low < 0.997


# ---------------------------------------------------------------- mean loss


def test_a_mean_loss_bound_holds_at_every_moment_at_once() -> None:
    random = np.random.default_rng(5)
    missed = 0
    for _ in range(300):
        losses = random.beta(0.5, 2.0, 3000)
        n = np.arange(1, 3001)
        means = np.cumsum(losses) / n
        before = np.concatenate([[0.5], means[:-1]])
        v = np.cumsum((losses - before) ** 2)
        lower = means[::25] - np.array([stitched_boundary(float(x), 0.1) for x in v[::25]]) / n[::25]
        missed += bool((lower > 0.2).any())

    assert missed / 300 <= 0.1


def test_the_stream_may_come_in_any_portions() -> None:
    losses = np.random.default_rng(6).random(1000)

    whole = RiskSequence().observe(losses)
    parts = RiskSequence().observe(losses[:1]).observe([]).observe(losses[1:300]).observe(losses[300:])

    assert parts.n == whole.n
    assert parts.total == pytest.approx(whole.total, rel=1e-12)
    assert parts.variation == pytest.approx(whole.variation, rel=1e-9)
    assert whole.lower_bound(0.05) < losses.mean() < whole.upper_bound(0.05)


REFERENCE = Figure(name="brier", value=0.16, lo=0.15, hi=0.17, n=5000)


def test_a_drop_is_alarmed_and_no_drop_is_not() -> None:
    random = np.random.default_rng(7)
    same = RiskSequence().observe(random.beta(1.6, 8.4, 20_000))
    worse = RiskSequence().observe(random.beta(2.4, 7.6, 20_000))

    assert not judge_risk(same, REFERENCE, tolerance=0.01).is_dropped
    found = judge_risk(worse, REFERENCE, tolerance=0.01)
    assert found.is_dropped
    assert found.limit == pytest.approx(0.18)
    assert found.lower > found.limit
    assert "above" in found.reason


def test_no_losses_and_no_reference_alarm_nobody() -> None:
    assert not judge_risk(RiskSequence(), REFERENCE, tolerance=0.0).is_dropped
    with pytest.raises(Invalid, match="insufficient"):
        judge_risk(RiskSequence(), Figure(name="brier", value=None, n=3, reason="3 rows"), tolerance=0.0)
    with pytest.raises(Invalid, match=r"in 0\.\.1"):
        RiskSequence().observe([0.5, 3.0])
    with pytest.raises(Invalid, match=r"in 0\.\.1"):
        RiskSequence().observe([math.nan])
