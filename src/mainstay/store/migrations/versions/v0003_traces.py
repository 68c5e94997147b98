# SPDX-License-Identifier: Apache-2.0
"""Traces with their spans and assessments, and what applications are evaluated with: evaluation sets and scorers."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables; there is nothing to move."""
    op.create_table(
        "traces",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("experiment", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("duration_ms", sa.BigInteger(), nullable=True),
        sa.Column("request_preview", sa.Text(), nullable=True),
        sa.Column("response_preview", sa.Text(), nullable=True),
        sa.Column("client_request_id", sa.Text(), nullable=True),
        sa.Column("run", sa.String(), nullable=True),
        sa.Column("session", sa.Text(), nullable=True),
        sa.Column("person", sa.Text(), nullable=True),
        sa.Column("usage", sa.Text(), nullable=True),
        sa.Column("cost", sa.Text(), nullable=True),
        sa.Column("is_told", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_traces")),
    )
    op.create_index(op.f("ix_traces_experiment_requested_at_id"), "traces", ["experiment", "requested_at", "id"])
    op.create_index(op.f("ix_traces_run"), "traces", ["run"])
    op.create_index(op.f("ix_traces_session"), "traces", ["session"])
    for name in ("trace_tags", "trace_metadata"):
        op.create_table(
            name,
            sa.Column("trace", sa.String(length=64), nullable=False),
            sa.Column("key", sa.String(), nullable=False),
            sa.Column("value", sa.Text(), nullable=False),
            sa.PrimaryKeyConstraint("trace", "key", name=op.f(f"pk_{name}")),
        )
    op.create_table(
        "trace_links",
        sa.Column("trace", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("ref", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("trace", "kind", "ref", name=op.f("pk_trace_links")),
    )
    op.create_index(op.f("ix_trace_links_kind_ref"), "trace_links", ["kind", "ref"])
    op.create_table(
        "spans",
        sa.Column("trace", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("parent", sa.String(length=16), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("started_ns", sa.BigInteger(), nullable=False),
        sa.Column("ended_ns", sa.BigInteger(), nullable=True),
        sa.Column("inputs_in", sa.String(), nullable=True),
        sa.Column("outputs_in", sa.String(), nullable=True),
        sa.Column("usage", sa.Text(), nullable=True),
        sa.Column("cost", sa.Text(), nullable=True),
        sa.Column("details", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("trace", "id", name=op.f("pk_spans")),
    )
    op.create_table(
        "span_attributes",
        sa.Column("trace", sa.String(length=64), nullable=False),
        sa.Column("span", sa.String(length=16), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("is_text", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("trace", "span", "key", name=op.f("pk_span_attributes")),
    )
    op.create_table(
        "assessments",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("trace", sa.String(length=64), nullable=False),
        sa.Column("span", sa.String(length=16), nullable=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("number", sa.Double(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("source_kind", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("rationale", sa.Text(), nullable=True),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=True),
        sa.Column("overrides", sa.String(), nullable=True),
        sa.Column("is_valid", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assessments")),
    )
    op.create_index(op.f("ix_assessments_trace_created_at"), "assessments", ["trace", "created_at"])
    op.create_index(op.f("ix_assessments_kind_name"), "assessments", ["kind", "name"])
    op.create_index(op.f("ix_assessments_session"), "assessments", ["session"])
    op.create_table(
        "evaluation_sets",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("schema", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=True),
        sa.Column("updated_by", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluation_sets")),
    )
    op.create_index(op.f("ix_evaluation_sets_name"), "evaluation_sets", ["name"])
    op.create_table(
        "evaluation_set_tags",
        sa.Column("set", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("set", "key", name=op.f("pk_evaluation_set_tags")),
    )
    op.create_table(
        "evaluation_set_experiments",
        sa.Column("set", sa.String(length=64), nullable=False),
        sa.Column("experiment", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("set", "experiment", name=op.f("pk_evaluation_set_experiments")),
    )
    op.create_index(op.f("ix_evaluation_set_experiments_experiment"), "evaluation_set_experiments", ["experiment"])
    op.create_table(
        "evaluation_examples",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("set", sa.String(length=64), nullable=False),
        sa.Column("inputs_digest", sa.String(length=64), nullable=False),
        sa.Column("inputs", sa.Text(), nullable=False),
        sa.Column("outputs", sa.Text(), nullable=True),
        sa.Column("expectations", sa.Text(), nullable=True),
        sa.Column("tags", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=True),
        sa.Column("updated_by", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluation_examples")),
        sa.UniqueConstraint("set", "inputs_digest", name=op.f("uq_evaluation_examples_set_inputs_digest")),
    )
    op.create_index(
        op.f("ix_evaluation_examples_set_created_at_id"), "evaluation_examples", ["set", "created_at", "id"]
    )
    op.create_table(
        "scorers",
        sa.Column("experiment", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("experiment", "name", "version", name=op.f("pk_scorers")),
    )
