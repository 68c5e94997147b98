# SPDX-License-Identifier: Apache-2.0
"""Points of metrics that came together are kept together, as bytes; a metric knows how many points it has.

A request of a thousand points is a few rows now, and a long history is read without an object for each of its points.
"""

import math
import struct
from collections.abc import Iterator
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

_TOGETHER = 10_000
_pack = struct.Struct("<qqd").pack


def upgrade() -> None:
    """Make the table anew, and carry the points over, series by series."""
    op.add_column("run_metrics", sa.Column("points", sa.BigInteger(), nullable=False, server_default="0"))
    op.rename_table("metric_points", "former_metric_points")
    op.create_table(
        "metric_points",
        sa.Column("series", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("first_step", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("place", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("series", "first_step", "place", name=op.f("pk_metric_points")),
        sqlite_with_rowid=False,
    )
    connection = op.get_bind()
    table = sa.table("metric_points", *(sa.column(name) for name in _COLUMNS))
    everything = sa.text("select series, step, at, value from former_metric_points order by series, step, at, value")
    rows = connection.execute(everything.execution_options(yield_per=_TOGETHER))
    for series, several in groupby(rows, key=itemgetter(0)):
        connection.execute(table.insert(), list(_together(series, several)))
    op.execute(
        "update run_metrics set points = "
        "(select count(*) from former_metric_points f where f.series = run_metrics.series)"
    )
    op.drop_table("former_metric_points")


_COLUMNS = ("series", "first_step", "place", "last_step", "data")


def _together(series: int, rows: Iterator[Any]) -> Iterator[dict[str, Any]]:
    place = 0
    while some := list(islice(rows, _TOGETHER)):
        data = b"".join(_pack(step, at, math.nan if value is None else value) for _, step, at, value in some)
        yield dict(zip(_COLUMNS, (series, some[0].step, place, some[-1].step, data), strict=True))
        place += len(some)
