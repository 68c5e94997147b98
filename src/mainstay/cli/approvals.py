# SPDX-License-Identifier: Apache-2.0
"""``mainstay approve`` and ``mainstay reject``: one person's yes or no to one release, for exactly what they saw.

The release is shown with its digest, and the answer is given for that digest: if the release were another by then, the
answer would be refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mainstay.cli import printing, references, releases, words
from mainstay.cli.connection import connected, reasoned
from mainstay.domain.errors import Conflict

if TYPE_CHECKING:
    from mainstay.client.session import Session


@click.command()
@click.argument("release")
@click.option("--digest", default="", help="Refuse unless the release's digest begins so.")
@reasoned(required=True)
@connected
def approve(session: Session, as_json: bool, because: dict[str, Any], release: str, digest: str) -> None:
    """Say yes to a release that waits.

    RELEASE is such as flights#7, or a deployment: its release that waits. It is shown with its digest, and the answer is
    given for exactly that digest.
    """
    _decide(session, release, "approve", digest=digest, because=because, as_json=as_json)


@click.command()
@click.argument("release")
@click.option("--digest", default="", help="Refuse unless the release's digest begins so.")
@reasoned(required=True)
@connected
def reject(session: Session, as_json: bool, because: dict[str, Any], release: str, digest: str) -> None:
    """Say no to a release that waits.

    RELEASE is such as flights#7, or a deployment: its release that waits. It is shown with its digest, and the answer is
    given for exactly that digest.
    """
    _decide(session, release, "reject", digest=digest, because=because, as_json=as_json)


def _decide(session: Session, text: str, decision: str, *, digest: str, because: dict[str, Any], as_json: bool) -> None:
    seen = references.waiting_release(session, text)
    if not seen["digest"].startswith(digest):
        raise Conflict(
            f"release {seen['id']} has digest {seen['digest'][:12]}…, and you named {digest[:12]}…; look at it again "
            f"with `mainstay releases show {seen['id']}`."
        )
    if not as_json:
        releases.print_release(seen)
        printing.say()
    path = references.path("releases", seen["deployment"], seen["number"], "approvals")
    decided = session.post(path, {"decision": decision, "digest": seen["digest"]} | because)
    printing.answer(decided, as_json, lambda found: _say(found, decision))


def _say(release: dict[str, Any], decision: str) -> None:
    word = "approved" if decision == "approve" else "rejected"
    rollout = release["rollout"]
    then = f"it takes {words.share(rollout['share'])} of the traffic" if rollout else f"it is {release['state']}"
    printing.say(f"{word} {release['id']} with digest {release['digest']}; {then}")
