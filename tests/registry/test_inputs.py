# SPDX-License-Identifier: Apache-2.0
"""Which rules of the data's contracts hold for a request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mainstay.domain.contracts import Column
from mainstay.domain.registry import Version
from mainstay.lifecycle.data import contracts
from mainstay.lifecycle.registry import inputs
from mainstay.lifecycle.serving import traffic
from mainstay.store import Store

A: dict[str, Any] = {"name": "a", "type": "float", "minimum": 1, "maximum": 2}
B: dict[str, Any] = {"name": "b", "type": "str", "categories": ["x", "y"]}
REFUSES = {"on_violation": "refuse"}


def revise(store: Store, *columns: dict[str, Any]) -> None:
    by_name = {"a": "integer", "b": "text"}
    whole = [{"name": c["name"], "type": by_name[c["name"]], "nullable": True, **c} for c in columns]
    with store.change(actor="ana", reason="stricter") as change:
        contracts.revise(change, dataset="flights", columns=whole)


def asked(store: Store, version: Version) -> list[Column]:
    with store.view() as view:
        return inputs.rules_of(view, version)


def made_from(register: Callable[..., Version], *columns: dict[str, Any]) -> Version:
    signature = {"inputs": list(columns), "output": {"type": "regression"}}
    return register(signature=signature, snapshots=[("flights@1", "train")])


def test_a_rule_that_refuses_a_batch_holds_for_a_request_and_one_that_warns_does_not(
    store: Store, register: Callable[..., Version]
) -> None:
    version = made_from(register, A, B)
    revise(store, {"name": "a", "maximum": 9.0}, {"name": "b", "categories": ["x", "y"], **REFUSES})

    [rule] = asked(store, version)

    assert (rule.name, rule.categories, rule.severity("category")) == ("b", ("x", "y"), "refuse")


def test_a_feature_that_took_the_name_of_a_column_is_not_held_against_its_rules(
    store: Store, register: Callable[..., Version]
) -> None:
    scaled = made_from(register, A | {"minimum": -1.5}, B)
    revise(store, {"name": "a", "minimum": 0.0, "aliases": ["aa"], **REFUSES}, {"name": "b"})

    [rule] = asked(store, scaled)

    assert (rule.minimum, rule.aliases) == (None, ("aa",))


def test_another_name_of_one_input_that_is_an_input_itself_is_no_alias(
    store: Store, register: Callable[..., Version]
) -> None:
    version = made_from(register, A, A | {"name": "aa"})
    revise(store, {"name": "a", "aliases": ["aa", "first"]}, {"name": "b"})

    assert [rule.aliases for rule in asked(store, version)] == [("first",)]


def test_a_version_of_another_tool_has_no_rules(store: Store, register: Callable[..., Version]) -> None:
    assert asked(store, register(signature={"inputs": [{"name": "a", "type": "long"}]})) == []


def test_a_changed_contract_is_a_new_generation_of_the_routing_table(store: Store) -> None:
    with store.view() as view:
        before = traffic.generation(view)

    revise(store, {"name": "a", "aliases": ["aa"]}, {"name": "b"})

    with store.view() as view:
        assert traffic.generation(view) > before
