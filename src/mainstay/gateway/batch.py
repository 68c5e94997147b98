# SPDX-License-Identifier: Apache-2.0
"""Batch: a whole file answered by what is live now, offline, into the same prediction log.

In: a session and a Parquet or Arrow file. Out: a Parquet file in the layout of the log, which the control plane takes
in as one sealed part. The model is loaded, checked and asked by the same code as in the gateway's process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainstay.client.session import Session
from mainstay.domain.errors import Conflict
from mainstay.domain.names import parse_numbered
from mainstay.features import definitions
from mainstay.features.definitions import Definition
from mainstay.gateway import offline


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What became of a file."""

    release: str
    version: str
    scored: offline.Scored
    part: str | None  # None: not handed into the log


def score_file(
    session: Session,
    deployment: str,
    source: Path,
    destination: Path,
    *,
    key: str | None = None,
    at: str | None = None,
    log: bool = True,
) -> Batch:
    """Answer every row of ``source`` by the champion of ``deployment``.

    Args:
        key, at: columns with the caller's key and the event time. log: hand the predictions into the prediction log.

    Raises:
        Conflict: nothing is live. Invalid: the file does not fit the model's signature.
    """
    champion = _champion(session, deployment)
    model, number = parse_numbered(champion["version"], "/", kind="version")
    version = session.get(f"/models/{model}/versions/{number}")
    variant = {
        "release": champion["release"],
        "model": model,
        "version": number,
        "format": version["format"],
        "environment": version["environment"],
        "role": "champion",
        "allow_pickle": version["permission"] is not None,
    }
    scored = offline.predict_file(
        source,
        destination,
        variant=variant,
        files={name: session.blob_path(file["digest"]) for name, file in version["files"].items()},
        signature=version["signature"],
        deployment=deployment,
        views=[_online(session, pin) for pin in version["signature"].get("views", [])],
        key=key,
        at=at,
        rules=session.get(f"/models/{model}/versions/{number}/rules")["items"],
    )
    part = _hand_in(session, deployment, champion["release"], destination) if log else None
    return Batch(release=champion["release"], version=champion["version"], scored=scored, part=part)


def _online(session: Session, pin: Mapping[str, Any]) -> tuple[Definition, Path]:
    """The view that a signature pins, and what it is answered from.

    Raises:
        Conflict: nothing was made of that version.
    """
    versions = session.get(f"/features/{pin['view']}")["versions"]
    found = next((each for each in versions if each["digest"] == pin["digest"]), None)
    if found is None or found["online"] is None:
        raise Conflict(f"nothing of view {pin['view']}/{pin['version']} is materialised; `mainstay run` it first.")
    return definitions.from_json(pin["definition"]), session.blob_path(found["online"]["blob"])


def _champion(session: Session, deployment: str) -> Mapping[str, Any]:
    for variant in session.get(f"/deployments/{deployment}")["variants"]:
        if variant["role"] == "champion":
            found: Mapping[str, Any] = variant
            return found
    raise Conflict(f"nothing is live on {deployment!r}; release a version to it first: `mainstay release`.")


def _hand_in(session: Session, deployment: str, release: str, scored: Path) -> str:
    number = parse_numbered(release, "#", kind="release")[1]
    body = {"deployment": deployment, "release": number, "blob": session.put_blob(scored)}
    return str(session.post("/segments/batch", body | {"reason": "scored offline"})["part"])
