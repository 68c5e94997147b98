# SPDX-License-Identifier: Apache-2.0
"""``mainstay import``: bring over what another tool has on record."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mainstay.cli import printing, progress
from mainstay.cli.connection import connected_to_work

if TYPE_CHECKING:
    from mainstay.adoption.history import Source
    from mainstay.adoption.importing import Report
    from mainstay.client.session import Session


@click.group("import")
def import_() -> None:
    """Bring over what another tool has on record."""


@import_.command()
@click.argument("where")
@click.option(
    "--artifacts",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The folder behind mlflow-artifacts:, where a database is read.",
)
@click.option("--source-token", help="What to show to the server that is read (or MLFLOW_TRACKING_TOKEN).")
@connected_to_work
def mlflow(session: Session, where: str, artifacts: Path | None, source_token: str | None, as_json: bool) -> int:
    """Bring over MLflow's record: from its server, its database, or a folder mlruns.

    Experiments, runs with their files, models and aliases. Nothing is written there. Repeated, it goes on where it
    stopped and brings what is new.
    """
    from mainstay.adoption.mlflow import open_source

    token = source_token or os.environ.get("MLFLOW_TRACKING_TOKEN")
    return _bring(session, open_source(where, token=token, artifacts=artifacts), as_json)


@import_.command()
@click.argument("folder", type=click.Path(path_type=Path))
@connected_to_work
def wandb(session: Session, folder: Path, as_json: bool) -> int:
    """Bring over the runs in a folder that Weights & Biases left.

    Runs with their settings, metrics and files; offline ones, too. Nothing is written there, and nobody else is asked.
    Repeated, it brings what is new.
    """
    from mainstay.adoption.wandb.folder import Folder

    return _bring(session, Folder(folder), as_json)


def _bring(session: Session, source: Source, as_json: bool) -> int:
    from mainstay.adoption import importing

    try:
        with progress.counting(source.name, err=as_json) as counted:
            report = importing.bring(source, session, tell=counted)
    finally:
        source.close()
    if as_json:
        printing.print_json(importing.as_json(report))
    else:
        _show(report)
    return 0 if report.is_whole else 1


def _show(report: Report) -> None:
    here, there = vars(report.here), vars(report.there)
    for what, number in there.items():
        mark = "✓" if here[what] == number else "✗"
        click.echo(f"  {mark} {what.replace('_', ' '):<14} {number:>9,} there, {here[what]:>9,} here")
    for sentence in report.left_out:
        click.echo(f"  ▲ left out: {sentence}")
