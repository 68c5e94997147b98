# SPDX-License-Identifier: Apache-2.0
"""The two steps that follow a feature view: joined to labels, and cut down to what counts now.

They are steps of this house in pipelines of others: keyed by this file, cached and recorded as any.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from mainstay.domain.clock import from_wire, to_wire
from mainstay.domain.errors import Invalid
from mainstay.engine.materialise.arrow import to_arrow
from mainstay.engine.steps import step
from mainstay.features import asof, definitions, online, training
from mainstay.features.definitions import Definition
from mainstay.features.transforms import added, from_json


@step(salt=f"as of {asof.RULE}")
def join_features(
    labels: Any, tables: list[Any], views: list[dict[str, Any]], time: str, transforms: list[dict[str, Any]]
) -> pa.Table:
    """``labels`` with the features of each view as of ``time``, and then with what each transform makes."""
    known = [definitions.from_json(view) for view in views]
    made = [(each, _made(each, table)) for each, table in zip(known, tables, strict=True)]
    joined = training.joined(to_arrow(labels), made, time=time)
    return added(joined, [from_json(each) for each in transforms], time=time)


@step(salt=f"as of {asof.RULE}")
def latest_rows(table: Any, view: dict[str, Any], watermark: str) -> pa.Table:
    """Of each entity the row that counts at ``watermark``."""
    known = definitions.from_json(view)
    return online.latest(known, _made(known, table), watermark=from_wire(watermark))


def _made(definition: Definition, value: Any) -> pa.Table:
    if value is None:
        raise Invalid(f"view {definition.name!r} made nothing; its function returns a table.")
    return to_arrow(value)


def now() -> str:
    """A moment for a watermark."""
    return to_wire(datetime.now(UTC))
