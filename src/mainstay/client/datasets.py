# SPDX-License-Identifier: Apache-2.0
"""A dataset in a script: take a file or a folder in, and get a snapshot out again."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from mainstay.client import checkouts, folders
from mainstay.client import session as sessions
from mainstay.client.checkouts import Laid
from mainstay.client.folders import Told
from mainstay.client.session import Session
from mainstay.domain.contract_toml import Intent
from mainstay.domain.errors import Invalid, NotFound

TABLES = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv"}


class Dataset:
    """A named source; ``at`` is a snapshot's number or a name on one, such as ``"current"``."""

    def __init__(self, name: str, session: Session | None = None) -> None:
        self.name = name
        self._session = session or sessions.default()

    def add(self, path: str | Path, *, source: str | None = None, as_files: bool = False) -> dict[str, Any]:
        """Take a Parquet or CSV file in as a table; any other file, and any folder, as files. The snapshot.

        Args:
            as_files: do not read a Parquet or CSV file, keep it as it is.

        Raises:
            Invalid: it breaks the contract, or holds what cannot be kept. Conflict: it changes meanwhile.
        """
        ensure(self._session, self.name)
        return add(self._session, self.name, Path(path), {"source": source or Path(path).name}, as_files=as_files)

    def verify(self, at: int | str = "current") -> dict[str, Any]:
        """Hash a snapshot again: ``sound``, or what of it is ``damaged`` and who is ``affected``."""
        return verify(self._session, f"{self.name}@{at}")

    def checkout(self, folder: str | Path, at: int | str = "current") -> Laid:
        """Lay a snapshot out in ``folder``; what differs there is not overwritten."""
        return checkouts.checkout(self._session, f"{self.name}@{at}", Path(folder))

    def export(self, file: str | Path, at: int | str = "current") -> dict[str, Any]:
        """Write the rows of a snapshot into a ``.parquet`` or ``.csv`` file that is not there yet."""
        return checkouts.export(self._session, f"{self.name}@{at}", Path(file))

    def contract(self, version: int | None = None) -> dict[str, Any]:
        """The contract in force, or an earlier version of it."""
        found: dict[str, Any] = self._session.get(f"{self._path}/contract", version=version)
        return found

    def set_contract(self, contract: Intent | str | Path, *, reason: str = "") -> dict[str, Any]:
        """Make what `ms.contract` gave, a TOML text or a TOML file the contract, from the next batch on.

        Raises:
            Malformed, Invalid: the message names the key.
        """
        if isinstance(contract, Intent):
            toml = contract.toml(self.name)
        else:
            toml = contract.read_text("utf-8") if isinstance(contract, Path) else contract
        made: dict[str, Any] = self._session.post(f"{self._path}/contract/toml", {"toml": toml, "reason": reason})
        return made

    def alias(self, column: str, alias: str, *, reason: str = "") -> dict[str, Any]:
        """From now on ``column`` may also arrive under the name ``alias``, in a batch and in a request alike."""
        body = {"column": column, "alias": alias, "reason": reason}
        made: dict[str, Any] = self._session.post(f"{self._path}/aliases", body)
        return made

    def users(self, at: int | str = "current") -> dict[str, Any]:
        """Who works with a snapshot downstream, up to what is live."""
        found: dict[str, Any] = self._session.get(f"/snapshots/{quote(self.name, safe='')}@{at}/users")
        return found

    def drop(self, snapshot: int, *, reason: str = "") -> dict[str, Any]:
        """Say that a snapshot is not wanted any more; a later collection takes its bytes, unless something needs them.

        Raises:
            NotFound: there is no such snapshot. Conflict: a name points at it, or it is the newest.
        """
        return self._snapshot(snapshot, "drop", reason)

    def restore(self, snapshot: int, *, reason: str = "") -> dict[str, Any]:
        """Bring back a snapshot that was dropped.

        Raises:
            NotFound: there is no such snapshot. Conflict: it was not dropped, or its bytes were taken away since.
        """
        return self._snapshot(snapshot, "restore", reason)

    def _snapshot(self, snapshot: int, verb: str, reason: str) -> dict[str, Any]:
        path = f"/snapshots/{quote(self.name, safe='')}@{snapshot}/{verb}"
        found: dict[str, Any] = self._session.post(path, {"reason": reason})
        return found

    def rollback(self, to: int, *, reason: str) -> dict[str, Any]:
        """Let ``current`` name an earlier snapshot again; nothing is deleted.

        Raises:
            Conflict: it is there, or behind it, already.
        """
        moved: dict[str, Any] = self._session.post(f"{self._path}/rollback", {"to": to, "reason": reason})
        return moved

    @property
    def _path(self) -> str:
        return f"/datasets/{quote(self.name, safe='')}"


def dataset(name: str) -> Dataset:
    """The dataset called ``name``; it is made when something is added to it."""
    return Dataset(name)


def ensure(session: Session, name: str, *, owner: str | None = None, **more: Any) -> None:
    """Make the dataset if it is new, owned by whoever asks."""
    try:
        session.get(f"/datasets/{quote(name, safe='')}")
    except NotFound:
        made = {"name": name, "owner": owner or session.get("/me")["actor"], "description": ""}
        session.post("/datasets", made | more)


def add(
    session: Session,
    name: str,
    path: Path,
    body: dict[str, Any],
    *,
    as_files: bool = False,
    told: Told = lambda done, total: None,
) -> dict[str, Any]:
    """Bring ``path`` and take it in; ``body`` holds what else the request says."""
    where = f"/datasets/{quote(name, safe='')}/snapshots"
    if path.is_file() and path.suffix.lower() in TABLES and not as_files:
        taken: dict[str, Any] = session.post(
            where, {"blob": session.put_blob(path), "format": TABLES[path.suffix.lower()]} | body
        )
        return taken
    brought = folders.bring(session, path, told=told)
    try:
        taken = session.post(where, {"blob": brought.digest, "format": "files"} | body)
    except Invalid as refusal:
        if "missing" not in refusal.facts:
            raise
        # What the index remembers was collected meanwhile, or the store is another one.
        folders.forget(session, path)
        brought = folders.bring(session, path, told=told)
        taken = session.post(where, {"blob": brought.digest, "format": "files"} | body)
    return taken


def verify(session: Session, snapshot: str) -> dict[str, Any]:
    """Have the server hash a snapshot again; it may take as long as reading all of it."""
    answer = session.wire.ask("POST", f"/api/snapshots/{quote(snapshot, safe='@')}/verify", timeout=24 * 3600)
    found: dict[str, Any] = answer.json()
    return found
