# SPDX-License-Identifier: Apache-2.0
"""Users: who works with a snapshot downstream, up to what is live; and what a dataset's rollback would pass over.

Walked forward along what each room said when it happened: runs that read it, snapshots made from it, versions that came
from either, releases, and the deployments where these answer now.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mainstay.domain.errors import Conflict
from mainstay.domain.names import parse_numbered, parse_subject
from mainstay.lifecycle.answers import hrefs
from mainstay.lifecycle.data import datasets, lineage, snapshots
from mainstay.lifecycle.release import rollouts
from mainstay.store import View

MOST = 1_000


@dataclass(frozen=True, kw_only=True)
class User:
    """``subject`` used ``snapshot``, the one asked about or one made from it, as ``role``. ``is_live``: it answers now;
    None where that is no question."""

    subject: str
    kind: str
    role: str
    snapshot: str
    is_live: bool | None
    href: str | None


@dataclass(frozen=True, kw_only=True)
class Users:
    """Everybody downstream. ``deployments``: where something made from the snapshot answers now."""

    snapshot: str
    items: list[User]
    deployments: list[str]


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What going back to ``to`` would mean. ``passed``: the snapshots behind which ``current`` would go."""

    dataset: str
    before: str
    after: str
    passed: list[str]
    users: list[User]
    deployments: list[str]


def of_snapshot(view: View, name: str) -> Users:
    """Who uses a snapshot, and what was made from it; nearest first.

    Raises:
        Invalid, NotFound: there is no such snapshot.
    """
    first = snapshots.named(view, name)
    items = list(_walk(view, [first.id]))
    return Users(snapshot=first.id, items=items, deployments=_deployments(items))


def preview(view: View, dataset: str, to: int) -> Preview:
    """What follows if the dataset's ``current`` goes back to snapshot ``to``; nothing is changed.

    Raises:
        NotFound: there is no such snapshot. Conflict: ``current`` is there, or behind it, already.
    """
    now = next((ref.number for ref in datasets.refs(view, dataset) if ref.name == datasets.CURRENT), None)
    target = snapshots.get(view, dataset, to)
    if now is None or now <= to:
        raise Conflict(f"{dataset}@{datasets.CURRENT} is {dataset}@{now}; to go back to {target.id} is no way back.")
    passed = [f"{dataset}@{number}" for number in range(now, to, -1)]
    items = list(_walk(view, passed))
    return Preview(
        dataset=dataset,
        before=f"{dataset}@{now}",
        after=target.id,
        passed=passed,
        users=items,
        deployments=_deployments(items),
    )


def _walk(view: View, begin: list[str]) -> Iterator[User]:
    ahead, seen, count = list(begin), set(begin), 0
    while ahead and count < MOST:
        snapshot = ahead.pop(0)
        dataset, number = parse_numbered(snapshot, "@", kind="snapshot")
        for use in lineage.used_by(view, dataset=dataset, number=number, limit=MOST):
            kind, name = parse_subject(use.subject)
            count += 1
            yield User(
                subject=use.subject,
                kind=kind,
                role=use.role,
                snapshot=snapshot,
                is_live=_is_live(view, name) if kind == "release" else None,
                href=hrefs.of(use.subject),
            )
            if kind == "snapshot" and name not in seen:
                seen.add(name)
                ahead.append(name)


def _is_live(view: View, release: str) -> bool:
    deployment, number = parse_numbered(release, "#", kind="release")
    return any(each.number == number for each, _, _ in rollouts.variants(view, deployment))


def _deployments(items: list[User]) -> list[str]:
    found = (parse_subject(user.subject).name.rpartition("#")[0] for user in items if user.is_live)
    return list(dict.fromkeys(found))
