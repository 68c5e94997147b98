# SPDX-License-Identifier: Apache-2.0
"""Contracts say what too few or too many rows do, and which columns together are a key."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Contracts that are there keep their meaning: rows warn, and there are no keys."""
    op.add_column("contracts", sa.Column("on_rows", sa.String(length=6), nullable=False, server_default="warn"))
    op.add_column("contracts", sa.Column("keys", sa.Text(), nullable=False, server_default="[]"))
