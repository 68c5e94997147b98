# SPDX-License-Identifier: Apache-2.0
"""Scorers: judges of answers, by experiment and name, in numbered versions. Kept as text and never carried out here."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from mainstay.domain.errors import Invalid, NotFound, TooLarge
from mainstay.domain.evaluation import LARGEST_SCORER, Scorer
from mainstay.domain.tracking import LONGEST_NAME
from mainstay.lifecycle.tracking import experiments
from mainstay.lifecycle.tracking.evaluation import tables
from mainstay.store import Ingest, View


def register(ingest: Ingest, *, experiment: int, name: str, content: str) -> Scorer:
    """Keep a scorer as the next version of its name.

    Raises:
        NotFound: no such experiment. Invalid: an unusable name. TooLarge.
    """
    experiments.get(ingest, experiment)
    if not name.strip() or len(name) > LONGEST_NAME:
        raise Invalid(f"scorer {name[:40]!r} cannot be called so; 1 to {LONGEST_NAME} characters are expected.")
    if len(content) > LARGEST_SCORER:
        raise TooLarge(f"scorer {name!r} has {len(content)} characters; at most {LARGEST_SCORER} are kept.")
    before = tables.scorer_versions(ingest, experiment, name)
    new = Scorer(
        experiment=experiment,
        name=name,
        version=before[-1].version + 1 if before else 1,
        id=before[-1].id if before else str(uuid.uuid4()),
        content=content,
        created_at=ingest.now(),
    )
    tables.put_scorer(ingest, new)
    return new


def newest(view: View, of_experiments: Sequence[int] | None = None) -> list[Scorer]:
    """The newest version of every scorer, by experiment and name."""
    return tables.newest_scorers(view, of_experiments)


def versions(view: View, *, experiment: int, name: str) -> list[Scorer]:
    """Every version of a scorer, oldest first.

    Raises:
        NotFound: there is none.
    """
    experiments.get(view, experiment)
    found = tables.scorer_versions(view, experiment, name)
    if not found:
        raise _unknown(experiment, name)
    return found


def get(view: View, *, experiment: int, name: str, version: int | None = None) -> Scorer:
    """One version of a scorer; without a number the newest.

    Raises:
        NotFound: there is none.
    """
    found = versions(view, experiment=experiment, name=name)
    wanted = [each for each in found if version is None or each.version == version]
    if not wanted:
        raise _unknown(experiment, name, version)
    return wanted[-1]


def remove(ingest: Ingest, *, experiment: int, name: str, version: int | None = None) -> None:
    """Delete one version of a scorer; without a number all of them.

    Raises:
        NotFound: there is none.
    """
    get(ingest, experiment=experiment, name=name, version=version)
    tables.remove_scorer(ingest, experiment, name, version)


def _unknown(experiment: int, name: str, version: int | None = None) -> NotFound:
    which = f"{name[:80]!r}" if version is None else f"{name[:80]!r} and version {version}"
    return NotFound(f"scorer with name {which} not found for experiment {experiment}; list those there are.")
