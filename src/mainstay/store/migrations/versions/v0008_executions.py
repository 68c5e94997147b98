# SPDX-License-Identifier: Apache-2.0
"""Runs of pipelines are leased to the process that carries them out, and what their steps write is kept line by line."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make the tables; runs from before have no lease and are left as they are."""
    op.create_table(
        "pipeline_leases",
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("worker", sa.String(), nullable=False),
        sa.Column("leased_until", sa.BigInteger(), nullable=True),
        sa.Column("executor", sa.String(), nullable=False),
        sa.Column("params", sa.Text(), nullable=True),
        sa.Column("outline", sa.Text(), nullable=False),
        sa.Column("running", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_pipeline_leases")),
    )
    op.create_index(op.f("ix_pipeline_leases_leased_until"), "pipeline_leases", ["leased_until"])
    op.create_table(
        "step_lines",
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("stream", sa.String(length=8), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "seq", name=op.f("pk_step_lines")),
    )
