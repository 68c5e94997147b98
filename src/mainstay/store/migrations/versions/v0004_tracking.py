# SPDX-License-Identifier: Apache-2.0
"""Runs and experiments can be put away and restored, records amended; metrics take NaN, and are found in order of their value.

A metric of a run is a series with a number of its own, so that a point is four numbers; parameters and tags are kept as a text
whose beginning an index can hold; logged models and what a run read of other tools' datasets have a place.
"""

import json
import math

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_INDEXED = 200
_REBUILT = ("run_params", "run_tags", "run_metrics", "metric_points")


def upgrade() -> None:
    """Make what is new, and carry over what was logged."""
    _experiments_and_runs()
    for name in _REBUILT:  # what is made as a select of a table takes none of its constraints' names along
        op.execute(f"create table former_{name} as select * from {name}")
        op.drop_table(name)
    _logged()
    _carry_over()
    for name in _REBUILT:
        op.drop_table(f"former_{name}")
    _logged_models()


def _experiments_and_runs() -> None:
    op.add_column("experiments", sa.Column("updated_at", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("experiments", sa.Column("deleted_at", sa.BigInteger(), nullable=True))
    op.execute("update experiments set updated_at = created_at")
    op.create_table(
        "experiment_tags",
        sa.Column("experiment", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("experiment", "key", name=op.f("pk_experiment_tags")),
    )
    op.add_column("runs", sa.Column("claimed_by", sa.String(), nullable=True))
    for name in ("closed_at", "amended_at", "deleted_at"):
        op.add_column("runs", sa.Column(name, sa.BigInteger(), nullable=True))
    op.execute("update runs set closed_at = ended_at where kind <> 'step'")
    for name in ("ix_runs_experiment_id", "ix_runs_kind_id"):
        op.drop_index(op.f(name), table_name="runs")
    op.create_index(op.f("ix_runs_experiment_started_at_id"), "runs", ["experiment", "started_at", "id"], unique=False)
    op.create_index(op.f("ix_runs_kind_started_at_id"), "runs", ["kind", "started_at", "id"], unique=False)
    op.create_index(op.f("ix_runs_started_at_id"), "runs", ["started_at", "id"], unique=False)
    op.create_index(op.f("ix_runs_amended_at"), "runs", ["amended_at"], unique=False)
    op.add_column("run_links", sa.Column("place", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("run_links", sa.Column("step", sa.BigInteger(), nullable=True))
    op.add_column("run_links", sa.Column("context", sa.Text(), nullable=True))
    op.add_column("run_links", sa.Column("tags", sa.Text(), nullable=True))
    op.create_table(
        "seen_datasets",
        sa.Column("experiment", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("source_type", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("schema", sa.Text(), nullable=True),
        sa.Column("profile", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("experiment", "name", "digest", name=op.f("pk_seen_datasets")),
    )


def _logged() -> None:
    op.create_table(
        "run_params",
        sa.Column("run", sa.String(length=32), nullable=False),
        sa.Column("experiment", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value", sa.String(length=_INDEXED), nullable=False),
        sa.Column("more", sa.Text(), nullable=True),
        sa.Column("is_text", sa.Boolean(), nullable=False),
        sa.Column("number", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("run", "key", name=op.f("pk_run_params")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_run_params_experiment_key_value"), "run_params", ["experiment", "key", "value"], unique=False
    )
    op.create_index(
        op.f("ix_run_params_experiment_key_number"), "run_params", ["experiment", "key", "number"], unique=False
    )
    op.create_table(
        "run_tags",
        sa.Column("run", sa.String(length=32), nullable=False),
        sa.Column("experiment", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value", sa.String(length=_INDEXED), nullable=False),
        sa.Column("more", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("run", "key", name=op.f("pk_run_tags")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_run_tags_experiment_key_value"), "run_tags", ["experiment", "key", "value"], unique=False)
    op.create_table(
        "run_metrics",
        sa.Column("series", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("run", sa.String(length=32), nullable=False),
        sa.Column("experiment", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("series", name=op.f("pk_run_metrics")),
        sa.UniqueConstraint("run", "key", name=op.f("uq_run_metrics_run_key")),
    )
    op.create_index(
        op.f("ix_run_metrics_experiment_key_value_run"),
        "run_metrics",
        ["experiment", "key", "value", "run"],
        unique=False,
    )
    op.create_table(
        "metric_points",
        sa.Column("series", sa.BigInteger(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
    )
    op.create_index(
        op.f("ix_metric_points_series_step_at_value"), "metric_points", ["series", "step", "at", "value"], unique=False
    )


def _carry_over() -> None:
    connection = op.get_bind()
    table = sa.table("run_params", *(sa.column(name) for name in _PARAM))
    former = "select p.run, r.experiment, p.key, p.value from former_run_params p join runs r on r.id = p.run"
    if rows := [dict(zip(_PARAM, _param(*row), strict=True)) for row in connection.execute(sa.text(former))]:
        connection.execute(table.insert(), rows)
    op.execute(
        "insert into run_tags (run, experiment, key, value, more) "
        f"select t.run, r.experiment, t.key, substr(t.value, 1, {_INDEXED}), "
        f"case when length(t.value) > {_INDEXED} then substr(t.value, {_INDEXED + 1}) end "
        "from former_run_tags t join runs r on r.id = t.run"
    )
    op.execute(
        "insert into run_metrics (run, experiment, key, step, at, value) "
        "select m.run, r.experiment, m.key, m.step, m.at, m.value from former_run_metrics m join runs r on r.id = m.run"
    )
    op.execute(
        "insert into metric_points (series, step, at, value) select m.series, p.step, p.at, p.value "
        "from former_metric_points p join run_metrics m on m.run = p.run and m.key = p.key"
    )


_PARAM = ("run", "experiment", "key", "value", "more", "is_text", "number")


def _param(run: str, experiment: int, key: str, stored: str | None) -> tuple[object, ...]:
    value = json.loads(stored or "null")
    is_text = isinstance(value, str)
    text = value if is_text else stored or "null"
    return run, experiment, key, text[:_INDEXED], text[_INDEXED:] or None, is_text, _number(value)


def _number(value: object) -> float | None:
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _logged_models() -> None:
    op.create_table(
        "logged_models",
        sa.Column("id", sa.String(length=34), nullable=False),
        sa.Column("experiment", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("run", sa.String(length=32), nullable=True),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_logged_models")),
    )
    op.create_index(
        op.f("ix_logged_models_experiment_created_at_id"),
        "logged_models",
        ["experiment", "created_at", "id"],
        unique=False,
    )
    op.create_index(op.f("ix_logged_models_run"), "logged_models", ["run"], unique=False)
    for name in ("logged_model_params", "logged_model_tags"):
        op.create_table(
            name,
            sa.Column("model", sa.String(length=34), nullable=False),
            sa.Column("key", sa.String(), nullable=False),
            sa.Column("value", sa.Text(), nullable=False),
            sa.PrimaryKeyConstraint("model", "key", name=op.f(f"pk_{name}")),
        )
    op.create_table(
        "logged_model_metrics",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("model", sa.String(length=34), nullable=True),
        sa.Column("run", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("dataset_name", sa.String(), nullable=True),
        sa.Column("dataset_digest", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_logged_model_metrics")),
    )
    op.create_index(op.f("ix_logged_model_metrics_model_key"), "logged_model_metrics", ["model", "key"], unique=False)
    op.create_index(op.f("ix_logged_model_metrics_run_key"), "logged_model_metrics", ["run", "key"], unique=False)
    op.create_table(
        "logged_model_artifacts",
        sa.Column("model", sa.String(length=34), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("media_type", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("model", "path", name=op.f("pk_logged_model_artifacts")),
    )
    op.create_index(op.f("ix_logged_model_artifacts_digest"), "logged_model_artifacts", ["digest"], unique=False)
