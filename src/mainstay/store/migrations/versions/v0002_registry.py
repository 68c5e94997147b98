# SPDX-License-Identifier: Apache-2.0
"""Models and versions have tags and sources, may be renamed or deleted, and may need an admin's permission."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add what can be said of models and versions; a version may have no run of ours."""
    op.add_column("models", sa.Column("kind", sa.String(), nullable=False, server_default="model"))
    op.add_column("models", sa.Column("updated_at", sa.BigInteger(), nullable=True))
    op.add_column("models", sa.Column("is_gone", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("models", sa.Column("renamed_to", sa.String(), nullable=True))
    op.execute("UPDATE models SET updated_at = created_at")
    # SQLite cannot loosen a column in place: the table is written anew, by the same names.
    with op.batch_alter_table("versions") as versions:
        versions.alter_column("run_id", existing_type=sa.String(length=32), nullable=True)
        versions.add_column(sa.Column("source", sa.Text(), nullable=False, server_default=""))
        versions.add_column(sa.Column("claims", sa.Text(), nullable=False, server_default="{}"))
        versions.add_column(sa.Column("said_run", sa.String(), nullable=True))
        versions.add_column(sa.Column("updated_at", sa.BigInteger(), nullable=True))
    op.execute("UPDATE versions SET updated_at = created_at, said_run = run_id")
    op.create_index(op.f("ix_versions_said_run"), "versions", ["said_run"], unique=False)
    op.create_index(op.f("ix_versions_updated_at"), "versions", ["updated_at"], unique=False)
    op.create_table(
        "model_tags",
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("model", "key", name=op.f("pk_model_tags")),
    )
    op.create_index(op.f("ix_model_tags_key"), "model_tags", ["key"], unique=False)
    op.create_table(
        "version_tags",
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("model", "number", "key", name=op.f("pk_version_tags")),
    )
    op.create_index(op.f("ix_version_tags_key"), "version_tags", ["key"], unique=False)
    op.create_table(
        "model_uses",
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_model_uses")),
    )
    op.create_index(op.f("ix_model_uses_model"), "model_uses", ["model"], unique=False)
    # Until now the tables of deployments alone knew which model they serve.
    op.execute("INSERT INTO model_uses (subject, model) SELECT 'deployment:' || name, model FROM deployments")
    op.create_table(
        "model_permissions",
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("event", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("model", "number", "what", name=op.f("pk_model_permissions")),
    )
    op.create_table(
        "webhooks",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("events", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("webhook", sa.String(length=32), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_deliveries")),
    )
    op.create_index(op.f("ix_webhook_deliveries_state_due_at"), "webhook_deliveries", ["state", "due_at"], unique=False)
    op.create_index(op.f("ix_webhook_deliveries_webhook"), "webhook_deliveries", ["webhook"], unique=False)
