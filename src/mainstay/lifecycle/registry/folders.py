# SPDX-License-Identifier: Apache-2.0
"""Folders: a model as a client logged it, file by file, becomes a version.

In: the folder's files by digest, pinned at this moment: what is uploaded to the run later changes nothing. Out: a version whose
format, signature and environment were read from the folder (`formats.mlmodel`), without loading anything. A folder that no
format can load has a number all the same, and is refused when somebody wants to release it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mainstay.domain.errors import Invalid, NotFound
from mainstay.domain.registry import Version
from mainstay.domain.tracking import Artifact
from mainstay.formats import mlmodel
from mainstay.lifecycle.registry import versions
from mainstay.lifecycle.tracking import logged_models, logs, runs
from mainstay.store import Change, View

PLAIN = "files"  # the format of a folder that does not say how it is to be loaded
_TOLD_IN = (mlmodel.FILE, "requirements.txt")


def register(
    change: Change,
    *,
    model: str,
    files: Mapping[str, str],
    run_id: str | None,
    source: str,
    metrics: Mapping[str, float] | None = None,
    claims: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    description: str = "",
    once: bool = False,
) -> Version:
    """Give a folder the next number of ``model``.

    Raises:
        NotFound: no such model, run or blob. Corrupt: a blob was damaged. Invalid: anything that cannot be kept.
    """
    told = described(change, files)
    return versions.register(
        change,
        model=model,
        run_id=run_id,
        format=told.format,
        files=files,
        environment=told.environment,
        signature=told.signature,
        metrics=metrics,
        source=source,
        claims=claims,
        tags=tags,
        description=description,
        once=once,
    )


def of_run(view: View, run_id: str, path: str) -> dict[str, str]:
    """Digests of a run's artifacts below ``path``, by their names there; "" is the run's whole folder.

    Raises:
        NotFound: no such run, or nothing at ``path``.
    """
    runs.get(view, run_id)
    if found := _below(path, logs.artifacts_of(view, run_id)):
        return found
    raise NotFound(f"run {run_id} has no artifacts below {path!r}; log the model first, then register it.")


def of_logged_model(view: View, identity: str, path: str = "") -> dict[str, str]:
    """The same of a logged model, also of one that was put away: its files stay.

    Raises:
        NotFound: no such logged model, or nothing at ``path``.
    """
    logged_models.get(view, identity, also_deleted=True)
    if found := _below(path, logged_models.artifacts_of(view, identity)):
        return found
    raise NotFound(f"logged model {identity} has no files below {path!r}; log its files first, then register it.")


def described(view: View, files: Mapping[str, str]) -> mlmodel.Described:
    """What a folder says of itself; one that says nothing we can read is plain files."""
    if mlmodel.FILE not in files:
        return mlmodel.Described(format=PLAIN, signature={}, environment={}, lack=f"its folder has no {mlmodel.FILE}")
    try:
        return mlmodel.read({name: view.blobs.path(files[name]) for name in _TOLD_IN if name in files})
    except Invalid as error:
        return mlmodel.Described(format=PLAIN, signature={}, environment={}, lack=error.message)


def _below(path: str, artifacts: Iterable[Artifact]) -> dict[str, str]:
    below = f"{path.strip('/')}/" if path.strip("/") else ""
    return {each.path.removeprefix(below): each.digest for each in artifacts if each.path.startswith(below)}
