# SPDX-License-Identifier: Apache-2.0
"""``mainstay release MODEL@VERSION --to DEPLOYMENT``: ask for a version to go live."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import printing, references, releases
from mainstay.cli.connection import connected, has_server, reasoned
from mainstay.domain.errors import Unavailable

if TYPE_CHECKING:
    from mainstay.client.session import Session

LOOKS_EVERY_S = 0.2
ENDED_BADLY = ("refused", "failed", "rejected")


@click.command()
@click.argument("version", metavar="MODEL@VERSION")
@click.option("--to", "deployment", required=True, help="The deployment that is to serve it.")
@click.option("--wait", is_flag=True, help="Wait until it is judged; exit status 1 if it is refused.")
@click.option("--timeout", type=click.FloatRange(0), default=600, show_default=True, help="Seconds to wait at most.")
@reasoned(required=False)
@connected
def release(
    session: Session,
    as_json: bool,
    because: dict[str, Any],
    version: str,
    deployment: str,
    wait: bool,
    timeout: float,
) -> int:
    """Ask for a version to go live.

    MODEL@3 is a number, MODEL@champion an alias, and MODEL@candidate what somebody made the candidate, else the newest
    version that was not released yet. It is judged by the deployment's policy; then it waits for approval where the policy
    asks for one.
    """
    model, number = references.version(session, version)
    body = {"model": model, "version": number} | because
    found = session.post(references.path("deployments", deployment, "releases"), body)
    if wait:
        found = _judged(session, found, timeout)
    printing.answer(found, as_json, lambda asked: _say(asked, is_embedded=not has_server(session)))
    return 1 if found["state"] in ENDED_BADLY else 0


def _judged(session: Session, found: dict[str, Any], timeout: float) -> dict[str, Any]:
    if not has_server(session):
        raise Unavailable(f"{found['id']} was asked for, and no worker is here to judge it; `mainstay up` runs one.")
    end = time.monotonic() + timeout
    while found["state"] == "judging":
        if time.monotonic() > end:
            raise Unavailable(f"{found['id']} was not judged within {timeout:g} s; `mainstay jobs list` shows why.")
        time.sleep(LOOKS_EVERY_S)
        found = references.release(session, found["id"])
    return found


def _say(asked: dict[str, Any], *, is_embedded: bool) -> None:
    if asked["state"] != "judging":
        releases.print_release_and_next(asked)
        return
    what = f"release {asked['id']} of {asked['model']}/{asked['version']}"
    printing.say(f"{what} is being judged; its digest is {asked['digest']}")
    worker = " A worker judges it: `mainstay up` runs one." if is_embedded else ""
    printing.say(f"`mainstay releases show {asked['id']}` says how it went.{worker}")
