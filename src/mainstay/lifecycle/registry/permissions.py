# SPDX-License-Identifier: Apache-2.0
"""Permissions: an admin's word that what is normally refused may be done with a model.

There is one today, ``allow_pickle``: a version whose format is read by running what is in it may be released. It is given
for one version, or for every version of a model, always with a reason, and it is an event. The release that uses it names it
in its manifest, so that whoever approves sees it.
"""

from __future__ import annotations

from mainstay import formats
from mainstay.domain.errors import Forbidden, Invalid, NotFound
from mainstay.domain.events.registry import PermissionGiven, PermissionTaken
from mainstay.domain.registry import Permission, Version
from mainstay.lifecycle.registry import folders, models, tables, versions
from mainstay.store import Change, View

ALLOW_PICKLE = "allow_pickle"


def give(change: Change, *, model: str, number: int | None = None, what: str = ALLOW_PICKLE) -> Permission:
    """Allow ``what`` for one version, or, without a number, for every version of the model.

    Raises:
        NotFound: there is no such model or version. Invalid: no such permission, or no reason was given.
    """
    models.lock(change, model)
    if number is not None:
        versions.get(change, model, number)
    if what != ALLOW_PICKLE:
        raise Invalid(f"there is no permission {what!r}; {ALLOW_PICKLE!r} is the one there is.")
    if not change.reason.strip():
        raise Invalid(
            f"permission {what!r} for model {model!r} is given with a reason only: say why these bytes are trusted."
        )
    event = change.record(PermissionGiven(model=model, number=number, permission=what))
    given = Permission(
        model=model,
        number=number,
        what=what,
        actor=change.actor,
        at=change.now(),
        reason=change.reason,
        event=event.seq,
    )
    tables.put_permission(change, given)
    return given


def take(change: Change, *, model: str, number: int | None = None, what: str = ALLOW_PICKLE) -> None:
    """Withdraw a permission. What was released under it stays; the next release is refused.

    Raises:
        NotFound: there is no such model or permission.
    """
    models.lock(change, model)
    if tables.permission(change, model, number, what) is None:
        raise NotFound(f"model {model!r} has no permission {what!r}{f' for version {number}' if number else ''}.")
    tables.drop_permission(change, model, number, what)
    change.record(PermissionTaken(model=model, number=number, permission=what))


def of(view: View, model: str) -> list[Permission]:
    """Every permission that stands for a model."""
    return tables.permissions_of(view, model)


def covering(view: View, version: Version) -> Permission | None:
    """The permission under which a version may be unpickled, if one stands."""
    own = tables.permission(view, version.model, version.number, ALLOW_PICKLE)
    return own or tables.permission(view, version.model, None, ALLOW_PICKLE)


def needs_pickle(version: Version) -> bool:
    """Whether reading the version's files is running what is in them."""
    return formats.runs_code(version.format)


def check_releasable(view: View, version: Version) -> Permission | None:
    """Pass if a version can be released at all; the permission that this takes, if it takes one.

    Raises:
        Invalid: only its name is here, or no format of ours can load it. Forbidden: it must be unpickled, and nobody allowed.
    """
    if version.is_reference:
        raise Invalid(
            f"version {version.id} is a reference to {version.source!r}: its bytes were never here, so it cannot be "
            "released. Log the model to a run, and register that."
        )
    if version.format not in formats.names():
        raise Invalid(
            f"version {version.id} is kept as {version.format!r}, which no format can load; it can be downloaded, not "
            f"served. The formats are {', '.join(formats.names())}."
        )
    if not version.signature.get("inputs"):
        lack = folders.described(view, {name: file.digest for name, file in version.files.items()}).lack
        raise Invalid(f"version {version.id} has no signature to check requests by: {lack or 'none was given'}.")
    if not needs_pickle(version):
        return None
    found = covering(view, version)
    if found is None:
        raise Forbidden(
            f"version {version.id} can only be loaded by unpickling, which runs whatever is in its files. An admin may "
            f"allow it: `mainstay models allow {version.model}@{version.number} --reason …`; or log the model in a "
            "format without pickle, such as skops or ONNX.",
            permission=ALLOW_PICKLE,
        )
    return found
