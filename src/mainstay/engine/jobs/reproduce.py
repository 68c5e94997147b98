# SPDX-License-Identifier: Apache-2.0
"""Reproducing a run for somebody else: in a process of its own, as ``mainstay reproduce`` does it.

In: a run or a version. Out: the verdict, which the engine has put on record by then; meanwhile, how many steps are done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from mainstay.domain.errors import Unavailable
from mainstay.engine.jobs import child
from mainstay.engine.notices import Notice
from mainstay.engine.platform import Platform
from mainstay.engine.repeating import reproduction


def carry_out(
    platform: Platform,
    body: Mapping[str, Any],
    *,
    is_wanted: Callable[[], bool] = lambda: True,
    tell: child.Tell = child.silent,
) -> dict[str, Any]:
    """``subject``, and what else `mainstay.engine.repeating.reproduction.reproduce` takes: ``env``, ``tolerance``.

    Raises:
        Unavailable: the job was not wanted any more when the next step ended.
    """
    done: set[str] = set()

    def notify(notice: Notice) -> None:
        if not is_wanted():
            raise Unavailable("the job was given up: its worker is stopping or has lost its lease.")
        if notice.what == "done":
            done.add(notice.label)
        if notice.total is not None:
            tell({"done": len(done), "total": notice.total})

    found = reproduction.reproduce(
        str(body["subject"]),
        env=bool(body.get("env")),
        tolerance=float(body.get("tolerance", reproduction.TOLERANCE)),
        session=platform,
        notify=notify,
    )
    return asdict(found)
