# SPDX-License-Identifier: Apache-2.0
"""Bring the database to the tables this program knows; forward only, each step one transaction."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, inspect, text

from mainstay.domain.errors import Conflict

_SCRIPTS = Path(__file__).parent / "migrations"
LATEST = "0016"


def upgrade(engine: Engine) -> None:
    """Carry out what is missing.

    Raises:
        Conflict: the database was written by a newer program.
    """
    # Reading one row first spares every normal start the cost of loading Alembic.
    if _revision(engine) == LATEST:
        return
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["engine"] = engine
    found = _revision(engine)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise Conflict(
            f"the workspace was written by a newer Mainstay (tables {found}, this program knows {LATEST}); "
            "upgrade the program, or restore a backup made before."
        )
    command.upgrade(config, "head")


def _revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("select version_num from alembic_version")).scalar()
