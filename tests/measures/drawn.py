# SPDX-License-Identifier: Apache-2.0
"""Labels and scores that are drawn by dice, for the tests of this room."""

from __future__ import annotations

import numpy as np


def draw(n: int, seed: int, *, edge: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities that rank them with some skill; ties on purpose."""
    random = np.random.default_rng(seed)
    y = random.random(n) < 0.3
    z = random.standard_normal(n) + edge * y
    return y, np.round(1 / (1 + np.exp(-z)), 2)


def draw_days(random: np.random.Generator, days: int = 40, a_day: int = 40) -> tuple[np.ndarray, ...]:
    """Rows of days that each have their own luck: of how many are positive, and of how well either model does."""
    day = np.repeat(np.arange(days), a_day)
    y = random.random(len(day)) < 1 / (1 + np.exp(1 - random.standard_normal(days)))[day]
    signal = y + random.standard_normal(len(day))
    a, b = (signal + random.standard_normal(days)[day] * 0.7 for _ in range(2))
    return day, y, a, b
