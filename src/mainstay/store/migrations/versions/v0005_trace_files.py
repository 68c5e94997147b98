# SPDX-License-Identifier: Apache-2.0
"""Traces have files: what was attached to them, and the spans of clients that write them into one."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the table; there is nothing to move."""
    op.create_table(
        "trace_files",
        sa.Column("trace", sa.String(length=64), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("media_type", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("trace", "path", name=op.f("pk_trace_files")),
    )
    op.create_index(op.f("ix_trace_files_digest"), "trace_files", ["digest"])
