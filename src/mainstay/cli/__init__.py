# SPDX-License-Identifier: Apache-2.0
"""The ``mainstay`` command.

Each command lives in a file of its own and is imported only when it runs: ``--help`` must answer before anybody
wonders. A command reads its arguments, asks the API, and prints: words for people, or with ``--json``
the API's own answer.
Exit status: 0 done, 1 refused or failed, 2 not understood.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from mainstay import __version__
from mainstay.domain.errors import MainstayError

# name: (file, one line of help). The help stands here so that listing the commands imports none of them.
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("demo", "The whole loop on a real year of data; then the web page stays up."),
    "up": ("up", "Control plane, web page, loops, worker and gateway: one command, one process tree."),
    "open": ("open", "Sign in with a browser: print (and open) a link that works once."),
    "run": ("run", "Run a pipeline: FILE.py:FUNCTION and its parameters."),
    "plan": ("plan", "Say what a run would do, and why, without doing it."),
    "resume": ("resume", "Carry on a run that failed, was interrupted, or lost its process."),
    "debug": ("debug", "Call a step of a run again, here, on the inputs it had."),
    "logs": ("logs", "What the steps of a run have written; --follow goes on."),
    "schedules": (
        "schedules",
        "Pipelines that run because it is time: list, show, next, add, apply, pause, resume, remove.",
    ),
    "backfill": ("backfill", "Run a pipeline once for each partition of a stretch of time."),
    "backfills": ("backfill", "Backfills: list, show, cancel."),
    "runs": ("runs", "Runs: list, show, compare, candidate, sync."),
    "experiments": ("experiments", "Experiments: list."),
    "traces": ("traces", "Traces of applications: list, show."),
    "datasets": (
        "datasets",
        "Datasets and snapshots: list, show, add, alias, refer, diff, users, rollback, drop, restore, verify, checkout, export.",
    ),
    "contracts": ("contracts", "Contracts of datasets: list, show, infer, set."),
    "features": ("features", "Feature views: list, show, materialise, lookup, replay, report."),
    "models": (
        "models",
        "Models and versions: list, show, search, create, register, refer, describe, alias, rename, retire, delete, allow, card.",
    ),
    "deployments": ("deployments", "Deployments: list, show, put."),
    "policy": ("policy", "Policies: list, show, put."),
    "release": ("release", "Ask for a version to go live: MODEL@VERSION --to DEPLOYMENT."),
    "releases": ("releases", "Releases: list, show."),
    "approve": ("approvals", "Say yes to a release."),
    "reject": ("approvals", "Say no to a release."),
    "rollout": ("rollout", "A rollout under way: show, pause, resume, abort."),
    "rollback": ("rollback", "Go back to an earlier release, model, data and configuration together."),
    "predict": ("predict", "Ask a deployment: one row, or a whole file offline."),
    "feedback": ("feedback", "Tell what turned out to be true of a prediction."),
    "monitors": ("monitors", "Monitors: list, show, windows, put, judge, review."),
    "alerts": ("alerts", "Alerts: list, show, ack, resolve, mute."),
    "triggers": ("triggers", "Triggers: list, show, put, ask."),
    "decisions": ("decisions", "Decisions of triggers: list, show, accept, decline."),
    "live": ("live", "What is live, as reported by what is loaded."),
    "why": ("why", "The chain behind a prediction, version, release, alert or snapshot."),
    "explain": ("explain", "Why the results of two runs or versions differ."),
    "reproduce": ("reproduce", "Carry a run out again from its record and compare the results."),
    "diff": ("explain", "Two runs or versions beside each other: data, steps, parameters, environment, metrics."),
    "audit": ("audit", "The ledger: list, verify."),
    "people": ("people", "Who may act here: list, add."),
    "tokens": ("tokens", "Tokens: list, create, revoke."),
    "webhooks": ("webhooks", "Webhooks: list, show, add, remove, test."),
    "import": ("imports", "Bring over what another tool has on record: mlflow, wandb."),
    "gc": ("gc", "Blobs that nothing refers to: count them, or take them away."),
    "jobs": ("jobs", "Work for workers: list, show, cancel."),
    "server": ("processes", "Only the control plane (what `up` starts first)."),
    "gateway": ("processes", "Only a gateway (what `up` starts second)."),
    "worker": ("processes", "Only a worker (what `up` starts third)."),
}

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class LateGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"mainstay.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, f"{cmd_name}_" if cmd_name in ("open", "import") else cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # The reader of a pipe had enough: no error. What Python would still write at its end goes nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LateGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mainstay")
def command() -> None:
    """Mainstay keeps machine-learning models useful after the excitement of training is over."""


def main(arguments: list[str] | None = None) -> Any:
    """Entry of the console script: errors become one sentence and a status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a sign is no reason to stop
    try:
        status = command.main(arguments, prog_name="mainstay", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2 if isinstance(error, click.UsageError) else 1)
    except KeyboardInterrupt:
        sys.exit(130)
    except MainstayError as error:
        _refuse(error.message)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        what = f"{Path(error.filename).name} was" if isinstance(error.filename, str) else "what this command makes was"
        _refuse(f"the disk is full: {what} not written to the end. Free some space, then repeat the command.")
    sys.exit(status if isinstance(status, int) else 0)


def _refuse(sentence: str) -> NoReturn:
    colour = False if os.environ.get("NO_COLOR") else None
    click.echo(f"{click.style('refused:', fg='red', bold=True)} {sentence}", err=True, color=colour)
    sys.exit(1)
