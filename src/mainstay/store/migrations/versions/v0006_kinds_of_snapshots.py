# SPDX-License-Identifier: Apache-2.0
"""A snapshot is of a kind: a table, as all were until now, or files."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the column; what is there is a table."""
    op.add_column("snapshots", sa.Column("kind", sa.String(), nullable=False, server_default="table"))
