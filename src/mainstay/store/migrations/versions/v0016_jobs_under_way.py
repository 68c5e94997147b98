# SPDX-License-Identifier: Apache-2.0
"""A job knows what it is about, since when its worker has it, and how far that worker is."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Jobs from before are about nothing: what they asked for is in their body still."""
    op.add_column("jobs", sa.Column("subject", sa.String()))
    op.add_column("jobs", sa.Column("leased_at", sa.BigInteger()))
    op.add_column("jobs", sa.Column("progress", sa.Text()))
    op.create_index("ix_jobs_subject_created_at", "jobs", ["subject", "created_at"])
