# SPDX-License-Identifier: Apache-2.0
"""Reproducing a run for somebody else: in a process of its own, as ``mainstay reproduce`` does it.

In: a run or a version. Out: the verdict, which the engine has put on record by then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mainstay.engine.platform import Platform
from mainstay.engine.repeating import reproduction


def carry_out(platform: Platform, body: Mapping[str, Any]) -> dict[str, Any]:
    """``subject``, and what else `mainstay.engine.repeating.reproduction.reproduce` takes: ``env``, ``tolerance``."""
    tolerance = float(body.get("tolerance", reproduction.TOLERANCE))
    done = reproduction.reproduce(
        str(body["subject"]), env=bool(body.get("env")), tolerance=tolerance, session=platform
    )
    return asdict(done)
