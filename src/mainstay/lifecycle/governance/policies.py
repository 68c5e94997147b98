# SPDX-License-Identifier: Apache-2.0
"""Policies: what must hold before something goes live, as CEL expressions; a change is a new version, never an edit."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mainstay.domain.digests import digest_of
from mainstay.domain.errors import Invalid, NotFound
from mainstay.domain.events.governance import PolicyChanged
from mainstay.domain.governance import Policy
from mainstay.domain.names import check_name
from mainstay.lifecycle.governance import expressions, tables
from mainstay.measures import kinds
from mainstay.store import Change, View

MOST_GATES = 50
_METRIC = re.compile(r"""\b(?:better|not_worse)\(\s*(["'])(.*?)\1|["']metric["']\s*:\s*(["'])(.*?)\3""")


def put(change: Change, *, name: str, gates: Sequence[str], approvals: int = 1, not_author: bool = True) -> Policy:
    """Write a policy down. The same content again is the same version.

    Raises:
        Invalid: a gate that does not compile, or a number of approvals outside 0 to 10.
    """
    check_name("policy", name)
    if not 0 <= approvals <= 10:
        raise Invalid(f"policy {name!r} asks for {approvals} approvals; from 0 to 10 are possible.")
    if len(gates) > MOST_GATES:
        raise Invalid(f"policy {name!r} has {len(gates)} gates; at most {MOST_GATES} are possible.")
    for gate in gates:
        expressions.check(gate, what=f"gate of policy {name!r}")
        _check_metrics(gate, name)
    content = {"gates": list(gates), "approvals": {"count": approvals, "not_author": not_author}}
    digest = digest_of(content)
    before = tables.policy(change, name)
    if before and before.digest == digest:
        change.record(PolicyChanged(name=name, version=before.version, digest=digest, content=content))
        return before
    new = Policy(
        name=name,
        version=before.version + 1 if before else 1,
        gates=tuple(gates),
        approvals=approvals,
        not_author=not_author,
        digest=digest,
        created_at=change.now(),
        actor=change.actor,
    )
    tables.put_policy(change, new)
    change.record(PolicyChanged(name=name, version=new.version, digest=digest, content=content))
    return new


def _check_metrics(gate: str, policy: str) -> None:
    """Raises Invalid: a comparison names a metric that no kind of model is compared by."""
    for _, compared, _, sliced in _METRIC.findall(gate):
        if (metric := compared or sliced) not in kinds.METRICS:
            raise Invalid(
                f"gate {gate!r} of policy {policy!r} compares by {metric!r}; models are compared by {', '.join(kinds.METRICS)}."
            )


def get(view: View, name: str, version: int | None = None) -> Policy:
    """A policy, by default its newest version.

    Raises:
        NotFound: there is none.
    """
    found = tables.policy(view, name, version)
    if found is None:
        wanted = f"policy {name!r}" + (f" version {version}" if version else "")
        raise NotFound(f"there is no {wanted}; declare it in mainstay.toml or with `mainstay policy put`.")
    return found


def listed(view: View) -> list[Policy]:
    """The newest version of each."""
    return tables.newest_policies(view)
