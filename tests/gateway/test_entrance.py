# SPDX-License-Identifier: Apache-2.0
"""What the contracts of the data ask of a request: refused values, and names that somebody accepted."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from mainstay.domain.contracts import Column
from mainstay.domain.errors import Invalid
from mainstay.formats.signature import Signature
from mainstay.gateway import entrance
from mainstay.gateway.entrance import Entrance
from mainstay.gateway.fields import read_fields
from mainstay.gateway.validation import Schema

from .conftest import ROW, SIGNATURE, ControlServer, Start, Trained

SCHEMA = Schema(read_fields(Signature.from_json(SIGNATURE)))


def rule(name: str, kind: str, **more: Any) -> dict[str, Any]:
    return Column(name=name, type=kind, nullable=True, on_violation="refuse", **more).content()


RULES = [
    rule("carrier", "text", pattern="[A-Z]{2}", aliases=("airline",)),
    rule("distance", "number", minimum=1.0, maximum=6_000.0),
    rule("wind_speed", "number", aliases=("wind_spd", "wind")),
]
OPEN = Entrance(SCHEMA, RULES)


def decode(row: dict[str, Any], gate: Entrance = OPEN) -> Any:
    return gate.decode(json.dumps({"rows": [ROW, row]}).encode()).rows[1]


def refused(row: dict[str, Any], gate: Entrance = OPEN) -> Invalid:
    with pytest.raises(Invalid) as caught:
        decode(row, gate)
    return caught.value


def without(name: str, **more: Any) -> dict[str, Any]:
    return {key: value for key, value in ROW.items() if key != name} | more


@pytest.mark.parametrize(
    ("row", "path", "told"),
    [
        (ROW | {"distance": 0}, "rows[1].distance", "by the data's contract 1 to 6000 is expected"),
        (ROW | {"distance": 6_001}, "rows[1].distance", "is 6001.0"),
        (ROW | {"carrier": "UAL"}, "rows[1].carrier", "text that matches [A-Z]{2}"),
    ],
)
def test_a_value_that_breaks_a_rule_is_refused_with_its_place(row: dict[str, Any], path: str, told: str) -> None:
    error = refused(row)

    assert error.facts["problems"][0]["path"] == path and told in error.message


def test_a_value_that_breaks_none_passes_and_so_does_a_missing_one() -> None:
    row = ROW | {"wind_speed": None, "distance": 6_000}

    assert decode(row) == decode(row, Entrance(SCHEMA))


@pytest.mark.parametrize("alias", ["wind_spd", "wind"])
def test_a_request_may_use_an_accepted_alias(alias: str) -> None:
    renamed = without("wind_speed", **{alias: 12.0})

    assert decode(renamed) == decode(ROW)
    assert refused(renamed, Entrance(SCHEMA)).facts["problems"][0]["problem"] == "missing"


def test_a_name_and_its_alias_at_once_are_refused() -> None:
    problems = refused(ROW | {"wind_spd": 3.0}).facts["problems"]

    assert [(problem["path"], problem["problem"]) for problem in problems] == [("rows[1].wind_spd", "unknown")]


def test_a_rule_holds_for_what_comes_under_an_alias() -> None:
    assert refused(without("carrier", airline="Delta")).facts["problems"][0]["path"] == "rows[1].carrier"


def test_a_file_is_held_against_the_same_rules_and_names() -> None:
    table = pa.table({"airline": ["UA", "Delta", "x"], "distance": [1, 2, 3]})

    renamed = entrance.rename(table, RULES)
    with pytest.raises(Invalid, match=r"carrier in row 1 \(and 1 more\) is the text 'Delta'"):
        entrance.check({name: renamed[name] for name in renamed.column_names}, RULES)

    assert renamed.column_names == ["carrier", "distance"]
    entrance.check({"distance": pa.chunked_array([[1, 6_000]])}, RULES)


def test_an_alias_that_is_accepted_while_a_gateway_serves_is_understood_without_loading_anything_anew(
    control: ControlServer, start: Start, models: list[Trained]
) -> None:
    champion = control.variant(models[0], 1)
    control.publish(champion)
    gateway = start().ready()
    renamed = without("wind_speed", wind_spd=12.0)

    before = gateway.predict(renamed)
    control.publish(champion, rules=RULES)
    after = gateway.until(lambda: (found := gateway.predict(renamed)).status_code == 200 and found)
    broken = gateway.predict(ROW | {"distance": 0})

    assert before.status_code == 422 and broken.status_code == 422
    assert after.json()["predictions"][0]["value"] == gateway.predict(ROW).json()["predictions"][0]["value"]
    assert "by the data's contract" in broken.json()["error"]["message"]
