# SPDX-License-Identifier: Apache-2.0
"""Containers that hold tables, arrays or files at any depth, and plain values of further kinds, come back as they were."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from mainstay.domain.errors import Invalid
from mainstay.engine import materialise


@dataclass
class Parts:
    table: pa.Table
    note: str


class Pair(NamedTuple):
    left: Any
    right: Any


class Settings(msgspec.Struct):
    depth: int
    until: date


class Days(enum.Flag):
    SATURDAY = enum.auto()
    SUNDAY = enum.auto()


TABLE = pa.table({"x": [1, 2]})
NESTED = {
    "list of lists of tables": [[TABLE], [TABLE, TABLE.slice(1)]],
    "dict beside plain values": {"table": TABLE, "rows": 2, "when": date(2013, 1, 1)},
    "dataclass": Parts(TABLE, "all of it"),
    "named tuple": Pair(TABLE, [Parts(TABLE, "inner"), None]),
    "tuple": (TABLE, {"deep": (TABLE, 1.5)}),
}


@pytest.mark.parametrize("name", NESTED)
def test_a_container_of_tables_comes_back_as_it_was(platform: Any, name: str) -> None:
    value = NESTED[name]

    kept = materialise.write(value, platform)

    assert kept.kind == "nested"
    assert materialise.read(kept, platform) == value
    assert materialise.write(value, platform) == kept


def test_an_array_at_any_depth_comes_back(platform: Any) -> None:
    kept = materialise.write({"a": [np.arange(3)]}, platform)

    assert materialise.read(kept, platform)["a"][0].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "value", [2**300, -(2**70), Settings(6, date(2013, 1, 1)), Days.SATURDAY | Days.SUNDAY, range(1, 9, 2), 1 + 2j]
)
def test_a_plain_value_of_a_further_kind_comes_back(platform: Any, value: Any) -> None:
    kept = materialise.write([value], platform)

    assert kept.kind == "json"
    assert materialise.read(kept, platform) == [value]


def test_a_model_of_pydantic_comes_back_without_being_validated_again(platform: Any) -> None:
    global Order
    pydantic = pytest.importorskip("pydantic")
    Order = pydantic.create_model("Order", __module__=__name__, depth=(int, ...))

    kept = materialise.write(Order(depth=3), platform)

    assert materialise.read(kept, platform) == Order(depth=3)


@pytest.mark.parametrize("value", [[object()], {"a": [TABLE, object()]}, Parts(object(), "")])  # type: ignore[arg-type]
def test_what_nothing_keeps_is_refused_with_the_ways_out(platform: Any, value: Any) -> None:
    with pytest.raises(Invalid, match="Three ways out"):
        materialise.write(value, platform)


def test_half_a_character_is_refused_with_a_sentence(platform: Any) -> None:
    with pytest.raises(Invalid, match="half a character"):
        materialise.write("a\ud800", platform)


def test_a_family_of_ones_own_comes_before_plain_values(platform: Any) -> None:
    import mainstay as ms

    class Money(float):
        pass

    @ms.materialiser("money")
    class Moneys:
        kinds = ("money",)

        def accepts(self, value: Any) -> bool:
            return isinstance(value, Money)

        def write(self, value: Any, blobs: Any) -> Any:
            content = repr(float(value)).encode()
            return materialise.Artifact(kind="money", digest=blobs.put_blob(content), size=len(content))

        def read(self, artifact: Any, blobs: Any, wanted: Any) -> Any:
            return Money(blobs.get_blob(artifact.digest))

    try:
        kept = materialise.write([Money(2.5), TABLE], platform)
        assert [type(each).__name__ for each in materialise.read(kept, platform)] == ["Money", "Table"]
    finally:
        materialise._families.pop("money")
