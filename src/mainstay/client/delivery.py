# SPDX-License-Identifier: Apache-2.0
"""Delivery: how what waits in a spool reaches the control plane, oldest first, each once.

A refusal that would be the same tomorrow (a key that is no key, a run that has ended) is set aside with what was said,
so that it neither gets lost nor stands in the way. Everything else (nobody there, no room, no right) keeps the request
where it is: somebody can mend that.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mainstay.client import spool as spools
from mainstay.client.session import Session
from mainstay.client.spool import Request, Spool
from mainstay.domain.errors import Conflict, MainstayError

FINAL = frozenset({"malformed", "invalid", "not_found", "conflict", "too_large"})
FOLDER = "outbox"


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """What became of one run's requests."""

    run: str
    requests: int
    refused: int
    elsewhere: str | None = None  # the address that these are meant for, and that was not asked now


def send(session: Session, spool: Spool, request: Request) -> None:
    """Have one request answered.

    Raises:
        MainstayError: what was answered; of kind `FINAL`, or worth another try later.
    """
    # A blob goes once its request was answered: where it is gone, only the mark of that answer was lost in a kill.
    if request.blob and spool.blob(request.blob).exists():
        session.put_blob(spool.blob(request.blob), retry_s=0)
    try:
        session.wire.ask(
            "POST",
            "/api" + request.path,
            content=request.body,
            content_type="application/json",
            key=request.key,
            retry_s=0,
        )
    except Conflict:
        # The first answer got lost so long ago that the server has forgotten the key: it ended the run then.
        if not (request.path.endswith("/finish") and session.get(f"/runs/{request.run}")["ended_at"]):
            raise


def target_of(session: Session) -> str:
    """For whom a spool is meant: a server by its address, or the workspace that it lies in."""
    return "workspace" if session.workspace else session.wire.url


def sync(session: Session, root: Path, *, unaddressed: bool = True, elsewhere: bool = False) -> list[Delivered]:
    """Deliver what dead processes and offline runs left below ``root``, in the order in which it was said.

    Args:
        unaddressed: also what was recorded offline, for nobody in particular. elsewhere: also what is for another server.

    Raises:
        MainstayError: no answer. What was delivered until then is not sent again.
    """
    target = target_of(session)
    with _claimed(root) as found:
        here = [spool for spool in found if spool.target == target or (elsewhere if spool.target else unaddressed)]
        done = _deliver(session, here)
        away = [(head.run, spool.target) for spool in found if spool not in here and (head := spool.head())]
    return done + [Delivered(run=run, requests=0, refused=0, elsewhere=place) for run, place in away if place]


def _deliver(session: Session, found: Sequence[Spool]) -> list[Delivered]:
    sent: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    # By time across all of them: a child run begins after its parent, though perhaps in another process.
    waiting = [(head.key, number, head) for number, spool in enumerate(found) if (head := spool.head())]
    heapq.heapify(waiting)
    while waiting:
        _, number, request = heapq.heappop(waiting)
        spool = found[number]
        try:
            send(session, spool, request)
            spool.done(request)
        except MainstayError as error:
            if error.kind not in FINAL:
                raise
            spool.set_aside(request, error.message)
            refused[request.run] += 1
        sent[request.run] += 1
        if head := spool.head():
            heapq.heappush(waiting, (head.key, number, head))
    return [Delivered(run=run, requests=sent[run], refused=refused[run]) for run in sent]


def root_of(folder: Path) -> Path:
    """Where the spools are: in ``folder``, or in the workspace that it is or holds."""
    for place in (folder / ".mainstay" / FOLDER, folder / FOLDER):
        if place.is_dir():
            return place
    return folder


@contextmanager
def _claimed(root: Path) -> Iterator[list[Spool]]:
    found = list(spools.leftovers(root))
    try:
        yield found
    finally:
        for spool in found:
            spool.release()
