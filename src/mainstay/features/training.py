# SPDX-License-Identifier: Apache-2.0
"""Training tables: labels with the features that were known when each of them was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mainstay.domain.errors import Invalid
from mainstay.features import asof, definitions
from mainstay.features.definitions import Definition

if TYPE_CHECKING:
    import pyarrow as pa


def joined(labels: pa.Table, views: Sequence[tuple[Definition, pa.Table]], *, time: str) -> pa.Table:
    """``labels`` with the features of each view as of ``time``; its rows stay as they are, in their order.

    Raises:
        Invalid: a column is missing, stands twice, or has two types.
    """
    if time not in labels.column_names:
        raise Invalid(f"the labels have no column {time!r}; their columns are {', '.join(labels.column_names)}.")
    for definition, table in views:
        labels = _with(labels, definition, definitions.checked(definition, table), time)
    return labels


def _with(labels: pa.Table, definition: Definition, table: pa.Table, time: str) -> pa.Table:
    for name in definition.entity:
        if name not in labels.column_names:
            there = ", ".join(labels.column_names)
            raise Invalid(f"the labels have no entity {name!r} of view {definition.name!r}; they have {there}.")
    features = [each["name"] for each in definitions.described(definition, table)]
    if twice := [name for name in features if name in labels.column_names]:
        raise Invalid(
            f"feature {twice[0]!r} of view {definition.name!r} stands in the table already; rename one of them."
        )
    chosen = asof.places(
        labels,
        table,
        entity=definition.entity,
        label_time=time,
        event_time=definition.time,
        delay_us=definition.delay_us,
        ttl_us=definition.ttl_us,
    )
    for name, column in zip(features, asof.take(table, features, chosen), strict=True):
        labels = labels.append_column(name, column)
    return labels
