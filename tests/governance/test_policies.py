# SPDX-License-Identifier: Apache-2.0
"""Policies and their expressions: versions are never edited, and whatever cannot be decided is not satisfied."""

from __future__ import annotations

from typing import Any

import pytest

from mainstay.domain.digests import digest_of
from mainstay.domain.errors import Invalid, NotFound
from mainstay.domain.governance import Policy
from mainstay.lifecycle.governance import expressions, policies
from mainstay.store import Store, ledger


def put(store: Store, *gates: str, **more: Any) -> Policy:
    with store.change(actor="ana") as change:
        return policies.put(change, name="prod", gates=gates, **more)


def test_changed_content_is_a_new_version_and_the_old_one_stays(store: Store) -> None:
    first, second = put(store, "auc > 0.7"), put(store, "auc > 0.8")

    with store.view() as view:
        assert [policies.get(view, "prod", n) for n in (1, 2, None)] == [first, second, second]
        assert policies.listed(view) == [second]
    assert (first.version, second.version, first.digest != second.digest) == (1, 2, True)


def test_the_same_content_again_is_the_same_version_and_an_earlier_content_a_new_one(store: Store) -> None:
    first = put(store, "auc > 0.7")
    assert put(store, "auc > 0.7") == first

    put(store, "auc > 0.8")
    again = put(store, "auc > 0.7")

    assert (again.version, again.digest) == (3, first.digest)


def test_the_digest_covers_everything_that_the_policy_asks(store: Store) -> None:
    one = put(store, "auc > 0.7", approvals=1, not_author=True)
    others = [
        put(store, "auc > 0.7", approvals=2),
        put(store, "auc > 0.7", not_author=False),
        put(store, "true", "auc > 0.7"),
    ]

    assert len({one.digest, *(other.digest for other in others)}) == 4
    assert one.digest == digest_of(one.content())
    with store.view() as view:
        assert ledger.search(view, newest_first=False)[0].body["content"] == one.content()


@pytest.mark.parametrize(
    "wrong",
    [
        {"gates": ["auc >"]},
        {"gates": [""]},
        {"gates": ["x" * 2001]},
        {"gates": ["true"] * 51},
        {"gates": ["true"], "approvals": -1},
        {"gates": ["true"], "approvals": 11},
        {"gates": ["(" * 900 + "true" + ")" * 900]},
        {"gates": ["\x00"]},
    ],
    ids=lambda wrong: str(wrong)[:30],
)
def test_a_policy_that_could_never_be_decided_is_refused(store: Store, wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        put(store, *wrong.pop("gates"), **wrong)

    with pytest.raises(NotFound), store.view() as view:
        policies.get(view, "prod")


# Expressions


FACTS: dict[str, Any] = {
    "auc": 0.8,
    "rows": 100,
    "name": "flights",
    "slices": [{"auc": 0.9}, {"auc": 0.7}],
    "labels": None,
}


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("auc >= 0.8", True),
        ("auc > 0.8", False),
        ("rows > 50 && name == 'flights'", True),
        ("slices.all(s, s.auc >= 0.7)", True),
        ("slices.all(s, s.auc >= 0.8)", False),
        ("better('auc', 0.75)", True),
    ],
)
def test_an_expression_is_decided_by_the_facts(expression: str, result: bool) -> None:
    better = {"better": lambda metric, floor: FACTS[metric] > floor}

    assert expressions.holds(expression, facts=FACTS, functions=better) is result


@pytest.mark.parametrize(
    "expression",
    [
        "missing > 0.8",
        "labels > 0.8",
        "auc",
        "rows",
        "'true'",
        "1",
        "null",
        "auc > 'x'",
        "rows / 0 > 1",
        "nothing('auc')",
        "slices[9].auc > 0",
        "name.auc > 0",
        "auc >",
        "missing == null",
        "failing('x')",
        "",
        "rows.missing > 1",
    ],
)
def test_whatever_cannot_be_decided_is_an_error_and_never_a_pass(expression: str) -> None:
    def failing(_: str) -> bool:
        raise ZeroDivisionError

    with pytest.raises(Invalid) as refusal:
        expressions.holds(expression, facts=FACTS, functions={"failing": failing})

    assert "\n" not in refusal.value.message


def test_the_variables_of_an_expression_are_known_before_it_is_asked() -> None:
    assert expressions.check("auc > 0.7 && rows > 5") == {"auc", "rows"}
