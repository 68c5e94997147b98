# SPDX-License-Identifier: Apache-2.0
"""Transforms as they are written: what a function may say becomes an expression, and the rest is refused with its line."""

from __future__ import annotations

import datetime as dt
import math
from math import log
from typing import Any

import pyarrow as pa
import pytest

import mainstay as ms
from mainstay.domain.errors import Invalid
from mainstay.features import transforms

LIMIT = 10.0
SHOPS = ("s1", "s2")


def plainly(basket: float, total: float, n: int, shop: str, now: dt.datetime) -> float:
    """Everything that may stand in a body."""
    usual = total / n if n != 0 else 0.0
    is_late = now.hour >= 22 or now.weekday() in (5, 6)
    if total is None:
        return -1.0
    if shop.lower() == "s1" and not is_late:
        return max(basket, usual, LIMIT) ** 0.5
    elif 1 < basket <= 50:
        more: float = log(1 + basket) + math.floor(usual)
        return more
    else:
        return round(-usual, 2) + abs(basket - LIMIT) + len(shop) % 3


spoken = ms.on_request(time="now")(plainly)


@pytest.mark.parametrize("basket", [0.5, 7.0, 90.0])
@pytest.mark.parametrize("shop", ["S1", "s2"])
@pytest.mark.parametrize("hour", [3, 23])
@pytest.mark.parametrize("n", [0, 4])
def test_an_expression_gives_what_the_function_gives(basket: float, shop: str, hour: int, n: int) -> None:
    now = dt.datetime(2024, 3, 1, hour)

    assert spoken(basket, 50.0, n, shop, now=now) == plainly(basket, 50.0, n, shop, now)


def test_what_is_missing_is_missing_unless_the_function_says_what_then_holds() -> None:
    now = dt.datetime(2024, 3, 1)

    assert spoken(1.0, None, 3, "s1", now) == -1.0
    assert spoken(None, 50.0, 3, "s1", now) is None


def test_training_holds_it_as_a_request_would_give_it() -> None:
    @ms.feature_view(entity="who", time="at")
    def spend(tx: pa.Table) -> pa.Table:
        return tx

    @ms.on_request
    def share(basket: float, total: float) -> float:
        return basket / total

    @ms.on_request(time="now")
    def at_night(now: dt.datetime, share: float) -> bool:
        return now.hour < 6 and share > 0.1

    moments = [dt.datetime(2024, 1, 2, hour, tzinfo=dt.UTC) for hour in (3, 12, 4)]
    labels = pa.table({"who": [1, 1, 2], "asked": moments, "basket": [5.0, 5.0, 1.0]})
    table = pa.table({"who": [1], "at": [dt.datetime(2024, 1, 1, tzinfo=dt.UTC)], "total": [10.0]})

    found = ms.get_training(labels, [spend.of(table), share, at_night], time="asked")

    assert found["share"].to_pylist() == [0.5, 0.5, None]
    assert found["at_night"].to_pylist() == [True, False, None]


def test_a_constant_of_the_module_is_part_of_the_transform() -> None:
    @ms.on_request
    def over(basket: float) -> float:
        return basket - LIMIT * 2

    assert over.transform.expression == ["-", ["input", "basket"], ["*", ["value", 10.0], ["value", 2]]]
    assert transforms.from_json(over.transform.to_json()).apply([25.0]) == 5.0


def loops(a: float) -> float:
    for _ in range(3):
        a += 1
    return a


def reaches_out(a: float) -> float:
    return float(open("/etc/passwd").read())


def imports(a: float) -> float:
    return __import__("os").getpid() * a


def calls_its_own(a: float) -> float:
    return plainly(a, a, 1, "x", None)  # type: ignore[arg-type]


def comprehends(a: float) -> float:
    return sum(each for each in (a, a))


def ends_without(a: float) -> float:
    if a > 1:
        return a


def has_no_type(a, b: float) -> float:
    return a + b


def mixes(a: float, s: str) -> float:
    return a + s  # type: ignore[operator]


def has_default(a: float = 1.0) -> float:
    return a


def grows(a: float) -> float:
    b = a + a
    c = b + b + b + b + b + b + b + b
    d = c + c + c + c + c + c + c + c
    return d + d + d + d + d + d + d + d


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (
            loops,
            r"line \d+: transform 'loops' cannot be read as an expression at `for _ in range\(3\):`: only assignments",
        ),
        (reaches_out, "is none of the functions"),
        (imports, "is none of the functions"),
        (calls_its_own, "'plainly' is none of the functions"),
        (comprehends, "'sum' is none of the functions"),
        (ends_without, "may end without a return"),
        (has_no_type, "says no type of parameter 'a'"),
        (mixes, "'\\+' takes no float and str"),
        (has_default, "without defaults"),
        (grows, "more than 500 parts"),
    ],
)
def test_a_function_that_says_more_is_refused_where_it_is_written(function: Any, told: str) -> None:
    with pytest.raises(Invalid, match=told):
        ms.on_request(function)


def test_a_function_without_a_source_is_refused() -> None:
    space: dict[str, Any] = {}
    exec("def f(a: float) -> float:\n    return a", space)

    with pytest.raises(Invalid, match="write it in a file"):
        ms.on_request(space["f"])
