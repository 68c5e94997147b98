# SPDX-License-Identifier: Apache-2.0
"""Versions: numbered, immutable results of runs.

In: a run, files by digest, and what was known of them. Out: a `Version` whose digest covers all that decides its
answers. There is no verb here that changes files, signature or metrics. `mark` moves the state, `describe` says something
else of a version, and `delete` takes away one that nobody counts on; its number stays taken. A *reference* is a version of
which only a name was registered: it has no bytes, and so cannot be released.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from mainstay.domain import states
from mainstay.domain.digests import canonical_json
from mainstay.domain.errors import Conflict, Invalid, NotFound
from mainstay.domain.events.registry import VersionChanged, VersionMarked, VersionRegistered, VersionRepeated
from mainstay.domain.registry import (
    PROMPT,
    REFERENCE,
    ROLES,
    File,
    Used,
    Version,
    check_description,
    check_file_name,
    check_source,
    check_tags,
    manifest_digest,
)
from mainstay.lifecycle.data import lineage as data_lineage
from mainstay.lifecycle.data import snapshots as data_snapshots
from mainstay.lifecycle.registry import models, tables
from mainstay.lifecycle.tracking import runs
from mainstay.lifecycle.tracking.logged_models import models as logged_models
from mainstay.store import Change, View

MOST_FILES = 1_000
LARGEST_RECORD = 1 << 20


def register(
    change: Change,
    *,
    model: str,
    run_id: str | None,
    format: str,
    files: Mapping[str, str],
    environment: Mapping[str, Any],
    signature: Mapping[str, Any],
    metrics: Mapping[str, float] | None = None,
    evaluation_blob: str | None = None,
    snapshots: Iterable[tuple[str, str]] = (),
    description: str = "",
    source: str = "",
    claims: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    once: bool = True,
) -> Version:
    """Give a run's result the next number of ``model``. The same content from the same run again is the same version.

    Args:
        files: digests by name; every blob must be here and sound.
        snapshots: (``flights@3``, role) with role train, holdout or input.
        source: where the caller had the files from, in the caller's words. claims: see `Version`.
        once: False gives a new number even to what is registered already.

    Raises:
        NotFound: no such model, run, snapshot or blob. Corrupt: a blob was damaged. Invalid: anything that cannot be
        kept.
    """
    models.lock(change, model)
    if run_id is not None:
        runs.get(change, run_id)
    check_tags(f"a version of model {model!r}", tags or {})
    check_description(f"a version of model {model!r}", description)
    kept = _files(change, model, files)
    used = _snapshots(change, snapshots)
    _check(model, format=format, environment=environment, signature=signature, metrics=metrics or {})
    if evaluation_blob is not None:
        change.blobs.path(evaluation_blob)
    digest = manifest_digest(format=format, files=files, environment=environment, signature=signature)
    if once and run_id and (known := tables.version_with_digest(change, model, digest, run_id)):
        change.record(VersionRepeated(model=model, number=known.number, digest=digest, run_id=run_id))
        return replace(known, is_known=True)
    return _kept(
        change,
        model=model,
        run_id=run_id,
        digest=digest,
        format=format,
        files=kept,
        environment=dict(environment),
        signature=dict(signature),
        metrics=dict(metrics or {}),
        evaluation_blob=evaluation_blob,
        snapshots=used,
        description=description,
        source=source,
        claims=dict(claims or {}),
        tags=dict(tags or {}),
    )


def refer(
    change: Change,
    *,
    model: str,
    source: str,
    run_id: str | None = None,
    claims: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    description: str = "",
    text: str = "",
) -> Version:
    """Give the next number to the name of some bytes that are elsewhere, or that nobody has seen.

    The version of a prompt is its text; it is kept in the same way, and ``source`` may then be anything.

    Raises:
        NotFound: no such model or run. Invalid: ``source`` is a place on a disk, or something that cannot be kept.
    """
    is_prompt = models.lock(change, model).kind == "prompt"
    if run_id is not None:
        runs.get(change, run_id)
    if not is_prompt:
        check_source(source)
    format, signature = (PROMPT, {"text": text}) if is_prompt else (REFERENCE, {"source": source})
    check_tags(f"a version of model {model!r}", tags or {})
    check_description(f"a version of model {model!r}", description)
    return _kept(
        change,
        model=model,
        run_id=run_id,
        digest=manifest_digest(format=format, files={}, environment={}, signature=signature),
        format=format,
        signature=signature,
        description=description,
        source=source,
        claims=dict(claims or {}),
        tags=dict(tags or {}),
    )


def describe(
    change: Change,
    *,
    model: str,
    number: int,
    description: str | None = None,
    tags: Mapping[str, str | None] | None = None,
) -> Version:
    """Say something else of a version; None leaves a thing as it is, and a tag that is None is taken away.

    Raises:
        NotFound: there is no such version. Invalid: an unusable description or tag.
    """
    models.lock(change, model)
    before = get(change, model, number)
    check_tags(f"version {before.id}", {key: value for key, value in (tags or {}).items() if value is not None})
    changes: dict[str, Any] = {}
    if description is not None:
        changes["description"] = check_description(f"version {before.id}", description)
        tables.set_version(change, model, number, description=description, updated_at=change.now())
    if tags:
        tables.set_version_tags(change, model, number, tags)
    told = changes | ({"tags": dict(tags)} if tags else {})
    change.record(VersionChanged(model=model, number=number, changes=told))
    kept = {key: value for key, value in (before.tags | dict(tags or {})).items() if value is not None}
    return replace(before, **changes, tags=kept, updated_at=change.now() if changes else before.updated_at)


def delete(change: Change, *, model: str, number: int) -> Version:
    """Take a version away. Its number stays taken, and its events stay.

    Raises:
        NotFound: there is no such version. Conflict: a release, a deployment or an alias names it; the message says which.
    """
    models.lock(change, model)
    before = get(change, model, number)
    held = [subject for _, subject in tables.uses(change, model, number)]
    held += [f"alias:{alias.name}" for alias in tables.aliases_of(change, model) if alias.version == number]
    if held:
        raise Conflict(
            f"version {before.id} cannot be deleted: {', '.join(held[:3])} "
            f"{'names' if len(held) == 1 else 'name'} it. An alias can be moved; what was released is kept as evidence.",
            held_by=held[:100],
        )
    return mark(change, model=model, number=number, state="deleted")


def mark(change: Change, *, model: str, number: int, state: str) -> Version:
    """Move a version to another state: candidate, released, retired, deleted.

    Raises:
        NotFound: there is no such version. Conflict: the move is not allowed.
    """
    models.lock(change, model)
    before = get(change, model, number)
    if state not in states.VERSION:
        raise Invalid(f"version {before.id} cannot become {state!r}; the states are {', '.join(states.VERSION)}.")
    states.check_move(states.VERSION, f"version {before.id}", before.state, state)
    tables.set_version(change, model, number, state=state, updated_at=change.now())
    models.touched(change, model)
    change.record(VersionMarked(model=model, number=number, before=before.state, after=state))
    return replace(before, state=state, updated_at=change.now())


def get(view: View, model: str, number: int) -> Version:
    """One version.

    Raises:
        NotFound: there is no such model or number.
    """
    found = tables.version(view, model, number)
    if found is None:
        models.get(view, model)
        if tables.is_deleted(view, model, number):
            raise NotFound(
                f"version {model}/{number} was deleted; `mainstay models show {model}` lists those there are."
            )
        newest = next(iter(listed(view, model=model, limit=1)), None)
        there = f"its versions go up to {newest.number}" if newest else "it has none yet"
        raise NotFound(f"model {model!r} has no version {number}; {there}. `mainstay models show {model}` lists them.")
    return found


def listed(view: View, *, model: str, before: int | None = None, limit: int = 100) -> list[Version]:
    """Versions of ``model``, newest first, from below number ``before``."""
    return tables.versions_of(view, model, before=before, limit=limit)


def newest_by_tag(view: View, *, models: Iterable[str], key: str) -> list[Version]:
    """The newest version of each model for each value that a tag has, and for those without it; by model and number."""
    return tables.newest_by_tag(view, models, key)


def told(view: View, version: Version) -> dict[str, float]:
    """The numbers told of a version: those it was registered with, and those that its run and its logged model tell by now.

    Whoever logs a folder often registers it first and tells the figures a moment later, as autologging does: then the later
    word counts. What was given with files of our own was meant for that version, and stays.
    """
    readings = logged_models.metrics_of(view, version.claims.get("model_id", ""), version.run_id)
    since = {key: value for key, value in readings.items() if math.isfinite(value)}
    given = dict(version.metrics)
    return given | since if version.source else since | given


def verify(view: View, version: Version) -> None:
    """Hash every file again, and the manifest.

    Raises:
        NotFound, Corrupt: a file is gone or damaged. Invalid: the record does not give its digest.
    """
    for file in version.files.values():
        for _ in view.blobs.pieces(file.digest):  # where it is kept; a path may be that of a copy
            pass
    files = {name: file.digest for name, file in version.files.items()}
    found = manifest_digest(
        format=version.format, files=files, environment=version.environment, signature=version.signature
    )
    if found != version.digest:
        raise Invalid(f"the record of version {version.id} gives digest {found}, {version.digest} was registered.")


def _kept(change: Change, *, model: str, **facts: Any) -> Version:
    """A candidate with the next number of ``model``."""
    given: dict[str, Any] = {"files": {}, "environment": {}, "metrics": {}, "evaluation_blob": None, "snapshots": ()}
    new = Version(
        model=model,
        number=tables.take_number(change, model),
        state="candidate",
        created_at=change.now(),
        updated_at=change.now(),
        actor=change.actor,
        **(given | facts),
    )
    tables.put_version(change, new)
    models.touched(change, new.model)
    for used in new.snapshots:
        data_lineage.use(change, snapshot=used.id, subject=f"version:{new.id}", role=used.role)
    change.record(
        VersionRegistered(
            model=new.model,
            number=new.number,
            digest=new.digest,
            format=new.format,
            files={name: file.digest for name, file in new.files.items()},
            run_id=new.run_id,
            snapshots=[{"id": used.id, "role": used.role} for used in new.snapshots],
            evaluation_blob=new.evaluation_blob,
            source=new.source,
            description=new.description,
            tags=new.tags,
        )
    )
    return new


def _files(view: View, model: str, files: Mapping[str, str]) -> dict[str, File]:
    if not 1 <= len(files) <= MOST_FILES:
        raise Invalid(f"a version of model {model!r} has 1 to {MOST_FILES} files; {len(files)} were named.")
    found = {}
    for name, digest in sorted(files.items()):
        check_file_name(name)
        # Hashed now, not only looked for: a number must never be given to damaged bytes.
        found[name] = File(digest=digest, size=view.blobs.path(digest).stat().st_size)
    return found


def _snapshots(view: View, snapshots: Iterable[tuple[str, str]]) -> tuple[Used, ...]:
    found = {}
    for name, role in snapshots:
        if role not in ROLES:
            raise Invalid(f"snapshot {name!r} cannot be used as {role!r}; the roles are {', '.join(ROLES)}.")
        used = Used(id=data_snapshots.named(view, name).id, role=role)
        found[used] = used
    return tuple(sorted(found, key=lambda used: (used.id, used.role)))


def _check(
    model: str,
    *,
    format: str,
    environment: Mapping[str, Any],
    signature: Mapping[str, Any],
    metrics: Mapping[str, float],
) -> None:
    what = f"a version of model {model!r}"
    if not format.strip() or len(format) > 60:
        raise Invalid(f"{what} needs the name of its format, such as 'sklearn'; {format[:60]!r} is none.")
    if odd := next((key for key, value in metrics.items() if not math.isfinite(value)), None):
        raise Invalid(f"metric {odd!r} of {what} is {metrics[odd]}; only finite numbers are kept.")
    try:
        size = len(canonical_json([environment, signature, metrics]))
    except ValueError as error:
        raise Invalid(f"environment or signature of {what} holds a number that is not finite; leave it out.") from error
    if size > LARGEST_RECORD:
        raise Invalid(f"environment, signature and metrics of {what} take {size} bytes; at most {LARGEST_RECORD} fit.")
