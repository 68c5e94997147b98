# SPDX-License-Identifier: Apache-2.0
"""The budget of the alarm rule: few false alarms at every size of window, and still sharp. Seeds are fixed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from mainstay.measures.distributions import normal_cdf
from mainstay.measures.drift import Calibration, judge_window, persist
from mainstay.measures.profiles import ColumnProfile, Profile, infer_spec, merge_all
from mainstay.measures.specs import ReferenceSpec

COLUMNS = 20
REFERENCE_WINDOWS = 30


def make_spec() -> ReferenceSpec:
    values = np.random.default_rng(5).standard_normal(100_000)
    return infer_spec(pa.table({f"x{i:02d}": values for i in range(COLUMNS)}))


def draw(spec: ReferenceSpec, random: np.random.Generator, n: int, *, wobble: float, shift: float = 0.0) -> Profile:
    """A window of n rows of independent normal columns: each moved by a harmless wobble, the first by ``shift`` too."""
    columns = {}
    for i, column in enumerate(spec.columns):
        move = wobble * random.standard_normal() + (shift if i == 0 else 0.0)
        below = np.array([0.0, *(normal_cdf(bound - move) for bound in column.bounds), 1.0])
        counts = np.zeros(column.size, dtype=np.int64)
        counts[6:] = random.multinomial(n, np.diff(below))
        columns[column.name] = ColumnProfile(counts=counts, low=-4.0, high=4.0, new={})
    return Profile(spec=spec.digest(), n=n, columns=columns)


def judge_days(n: int, *, wobble: float, shift: float, rounds: int, days: int) -> np.ndarray:
    """Whether each column drifted, shape (rounds, days, columns); each round has its own reference."""
    spec, random = make_spec(), np.random.default_rng(17)
    out = []
    for _ in range(rounds):
        windows = [draw(spec, random, n, wobble=wobble) for _ in range(REFERENCE_WINDOWS)]
        reference, calibration = merge_all(spec, windows), Calibration.from_windows(spec, windows)
        judged = [
            judge_window(spec, reference, draw(spec, random, n, wobble=wobble, shift=shift), calibration)
            for _ in range(days)
        ]
        out.append([[drift.is_drifted for drift in day] for day in judged])
    return np.array(out)


@pytest.mark.parametrize("n", [500, 5_000, 100_000])
@pytest.mark.parametrize("wobble", [0.0, 0.03])
def test_at_most_three_days_in_a_hundred_see_a_false_alarm(n: int, wobble: float) -> None:
    drifted = judge_days(n, wobble=wobble, shift=0.0, rounds=6, days=20)

    assert drifted.any(axis=2).mean() <= 0.03


def test_a_false_alarm_hardly_ever_persists() -> None:
    drifted = judge_days(5_000, wobble=0.03, shift=0.0, rounds=6, days=20)

    persisted = [persist(list(round_[: t + 1, c])) for round_ in drifted for t in range(20) for c in range(COLUMNS)]

    assert np.mean(persisted) <= 0.001


@pytest.mark.parametrize("wobble", [0.0, 0.03])
def test_a_fifth_of_a_standard_deviation_is_seen_in_five_thousand_rows(wobble: float) -> None:
    drifted = judge_days(5_000, wobble=wobble, shift=0.2, rounds=6, days=20)

    assert drifted[:, :, 0].mean() >= 0.95


def test_half_a_standard_deviation_is_seen_in_five_hundred_rows() -> None:
    drifted = judge_days(500, wobble=0.03, shift=0.5, rounds=4, days=20)

    assert drifted[:, :, 0].mean() >= 0.99
