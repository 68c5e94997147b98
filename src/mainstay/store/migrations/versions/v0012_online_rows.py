# SPDX-License-Identifier: Apache-2.0
"""Online tables stand in the database, key by key, so that one that no gateway's memory holds can be answered from.

What was materialised before has no rows there; gateways that hold it whole go on, and the next refresh writes all of them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Make the table; the next refresh of each view fills it."""
    op.create_table(
        "online_rows",
        sa.Column("view", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=True),
        sa.Column("cells", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("view", "version", "key", "sequence", name=op.f("pk_online_rows")),
        sqlite_with_rowid=False,
    )
    op.add_column("online_tables", sa.Column("changed", sa.BigInteger(), nullable=True))
    op.create_index(op.f("ix_online_rows_view_version_sequence"), "online_rows", ["view", "version", "sequence"])
