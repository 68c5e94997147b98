# SPDX-License-Identifier: Apache-2.0
"""Contracts over HTTP: read and written as JSON, or as the TOML that people edit."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from mainstay.domain import contract_toml
from mainstay.domain.contracts import Column, Contract
from mainstay.lifecycle.data import contracts, snapshots
from mainstay.server.routes import Body, Routes
from mainstay.store import Change, View

routes = Routes("data")


class AliasIn(Body):
    column: str
    alias: str


class ColumnIn(Body, omit_defaults=True):
    name: str
    type: str
    nullable: bool
    minimum: float | None = None
    maximum: float | None = None
    categories: list[str] | None = None
    aliases: list[str] = msgspec.field(default_factory=list)
    unique: bool = False
    pattern: str | None = None
    freshness: str | None = None
    on_violation: Literal["refuse", "warn"] | None = None


class ContractIn(Body):
    columns: list[ColumnIn]
    rows_low: int | None = 1
    rows_high: int | None = None
    on_rows: Literal["refuse", "warn"] | None = None
    keys: list[list[str]] = msgspec.field(default_factory=list)


class TomlIn(Body):
    toml: str


class ContractOut(msgspec.Struct, kw_only=True):
    dataset: str
    version: int
    columns: list[Column]
    rows_low: int
    rows_high: int
    on_rows: str
    keys: list[list[str]]
    digest: str
    created_at: datetime
    actor: str


class TomlOut(msgspec.Struct, kw_only=True):
    """A contract as people edit it. ``version``: None where it is only what a snapshot shows."""

    dataset: str
    version: int | None
    toml: str


class Contracts(msgspec.Struct):
    items: list[ContractOut]


@routes.get("/datasets/{name}/contract", permission="read")
def show_contract(view: View, name: str, version: int | None = None) -> ContractOut:
    """The contract in force, or an earlier version of it."""
    return shape(contracts.get(view, name, version))


@routes.get("/datasets/{name}/contracts", permission="read")
def list_contracts(view: View, name: str, limit: int = 100) -> Contracts:
    """Every version of the contract, newest first."""
    return Contracts(items=[shape(each) for each in contracts.versions(view, name, limit)])


@routes.get("/datasets/{name}/contract/toml", permission="read")
def write_contract(view: View, name: str, version: int | None = None) -> TomlOut:
    """The contract as the TOML that people edit."""
    found = contracts.get(view, name, version)
    return TomlOut(dataset=name, version=found.version, toml=contracts.to_toml(found))


@routes.get("/snapshots/{snapshot}/contract", permission="read")
def infer_contract(view: View, snapshot: str) -> TomlOut:
    """The contract that a snapshot would yield if it were the first, as TOML; nothing is changed."""
    found = snapshots.named(view, snapshot)
    title = f"What {found.id} shows."
    toml = contract_toml.write(found.dataset, contracts.shown_by(view, found), title=title)
    return TomlOut(dataset=found.dataset, version=None, toml=toml)


@routes.post("/datasets/{name}/contract", permission="write", status=201)
def revise_contract(change: Change, name: str, body: ContractIn) -> ContractOut:
    """Replace the contract by a new version: for a column that is new, gone, or of another type from now on."""
    return shape(
        contracts.revise(
            change,
            dataset=name,
            columns=[msgspec.to_builtins(column) for column in body.columns],
            rows_low=body.rows_low,
            rows_high=body.rows_high,
            on_rows=body.on_rows,
            keys=body.keys,
        )
    )


@routes.post("/datasets/{name}/contract/toml", permission="write", status=201)
def apply_contract(change: Change, name: str, body: TomlIn) -> ContractOut:
    """Make the section `[contract.NAME]` of a TOML text the contract; content that is in force already is no new version."""
    return shape(contracts.apply(change, dataset=name, toml=body.toml))


@routes.post("/datasets/{name}/aliases", permission="write", status=201)
def accept_alias(change: Change, name: str, body: AliasIn) -> ContractOut:
    """From now on a column may arrive under another name, in a batch and in a request alike."""
    return shape(contracts.accept_alias(change, dataset=name, column=body.column, alias=body.alias))


def shape(contract: Contract) -> ContractOut:
    """A contract as it is sent."""
    return ContractOut(
        dataset=contract.dataset,
        version=contract.version,
        columns=list(contract.columns),
        rows_low=contract.rows_low,
        rows_high=contract.rows_high,
        on_rows=contract.on_rows,
        keys=[list(key) for key in contract.keys],
        digest=contract.digest,
        created_at=contract.created_at,
        actor=contract.actor,
    )
