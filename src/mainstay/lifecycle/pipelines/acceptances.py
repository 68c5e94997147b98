# SPDX-License-Identifier: Apache-2.0
"""Acceptances: a stored result that a person lets stand for a key whose code has changed.

A key covers whole files, so an unrelated function beside a step changes it. Who knows that the result is the same says so,
with a reason; from then on it is a hit, and the ledger tells on whose word.
"""

from __future__ import annotations

from dataclasses import replace

from mainstay.domain.digests import is_digest
from mainstay.domain.errors import Invalid, NotFound
from mainstay.domain.events.pipelines import StepAccepted
from mainstay.domain.pipelines import Published
from mainstay.lifecycle.pipelines import executions, results, tables
from mainstay.store import Change


def accept(change: Change, *, pipeline: str, name: str, key: str, instead_of: str) -> Published:
    """Let the result stored under ``instead_of`` stand for ``key`` as well.

    Raises:
        NotFound: no such pipeline, or no sound result under ``instead_of``. Invalid: ``key`` is no digest.
    """
    executions.named(change, pipeline)
    if not is_digest(key):
        raise Invalid(f"step {name!r} has key {key[:80]!r}; a digest is expected.")
    found = results.lookup(change, [instead_of]).get(instead_of)
    if found is None:
        raise NotFound(f"step {name!r} has no stored result under {instead_of[:12]!r} to accept; run it once.")
    accepted = replace(found, key=key)
    tables.put_published(change, [accepted])
    change.record(StepAccepted(pipeline=pipeline, name=name, key=key, instead_of=instead_of, run=found.run_id))
    return accepted
