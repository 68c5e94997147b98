# SPDX-License-Identifier: Apache-2.0
"""A snapshot can be dropped, so that a collection may take its bytes."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("snapshots", sa.Column("dropped_at", sa.BigInteger()))
