# SPDX-License-Identifier: Apache-2.0
"""Requests completed by what feature views know, and versions refused whose views do not fit."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mainstay.domain.errors import Conflict, Corrupt, Invalid, Unavailable
from mainstay.features import definitions, sources, transforms
from mainstay.gateway import routing, versions
from mainstay.gateway.batching import Batcher
from mainstay.gateway.routing import Schemas, Table
from mainstay.gateway.shelf import Shelf
from mainstay.gateway.versions import Library, Loaded

NOW = datetime(2024, 6, 1, tzinfo=UTC)
SPEND = definitions.make("spend", entity=["who", "shop"], time="at", ttl="30d", available_after="1h")
INPUTS = [
    {"name": "basket", "type": "float"},
    {"name": "total", "type": "float", "nullable": True},
    {"name": "n", "type": "int", "nullable": True},
    {"name": "shop", "type": "str", "categories": ["x", "y"]},
]


def signature(number: int = 1, inputs: list[Any] = INPUTS, columns: list[str] | None = None) -> dict[str, Any]:
    pin = {"view": "spend", "version": number, "digest": f"d{number}", "definition": SPEND.to_json()}
    pin |= {"columns": columns or ["total", "n"]}
    pin |= {"entity": [{"name": "who", "type": "int"}, {"name": "shop", "type": "str"}]}
    return {"inputs": inputs, "output": {"type": "regression"}, "views": [pin]}


class World:
    """Online tables as files, and a gateway's table made of variants that pin them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shelf = Shelf(lambda digest: folder / digest)
        self.schemas = Schemas()
        self.library = Library(lambda digest: folder / digest)

    def online(self, total: float, at: datetime = NOW - timedelta(days=1)) -> dict[str, Any]:
        moments = pa.array([at, at], pa.timestamp("us", "UTC"))
        rows = {"who": [1, 2], "shop": ["x", "x"], "at": moments, "total": [total, None], "n": [3, 4]}
        sink = io.BytesIO()
        pq.write_table(pa.table(rows), sink)
        digest = hashlib.sha256(sink.getvalue()).hexdigest()
        (self.folder / digest).write_bytes(sink.getvalue())
        return {"blob": digest, "rows": 2, "watermark": "", "sequence": 1}

    def variant(
        self, number: int, online: dict[str, Any] | None, role: str = "champion", **more: Any
    ) -> dict[str, Any]:
        own = more.pop("signature", signature(number))
        routed = [pin | {"online": online, "fault": f"no spend/{number} here."} for pin in own.get("views", [])]
        told = {"release": number, "model": "m", "version": number, "role": role, "share_bp": 5000, "format": "fine"}
        return told | {"digest": f"m{number}", "signature": own, "views": routed} | more

    def table(self, *variants: dict[str, Any]) -> tuple[Table, list[routing.Fault]]:
        item = {"name": "d", "signature": variants[0]["signature"], "variants": list(variants)}
        wire = {"generation": 1, "deployments": [item]}
        return routing.assemble(wire, Table(generation=0), self.library, self.schemas, self.shelf)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    def load(variant: Any, schema: Any, fetch: Any) -> Loaded:
        batcher = Batcher(lambda rows: None, one_row_s=1.0)  # type: ignore[arg-type, return-value]
        return Loaded(digest=variant["digest"], schema=schema, batcher=batcher, classes=None, one_row_s=1.0)

    monkeypatch.setattr(versions, "load", load)
    return World(tmp_path)


@pytest.fixture
def ask(world: World) -> Callable[..., Any]:
    deployment = world.table(world.variant(1, world.online(7.5)))[0].deployments["d"]

    def complete(*rows: dict[str, Any], at: datetime = NOW) -> Any:
        body = json.dumps({"rows": rows, "at": at.isoformat()}).encode()
        return deployment.champion.lookups.complete(deployment.schema.decode(body))  # type: ignore[union-attr]

    return complete


def as_logged(row: Any) -> dict[str, Any]:
    return json.loads(msgspec.json.encode(row))


def test_a_request_brings_the_entity_and_gets_what_is_known_of_it(ask) -> None:
    found = ask({"who": 1, "shop": "x", "basket": 2}, {"who": 2, "shop": "x", "basket": 3})

    assert [as_logged(row) for row in found.rows] == [
        {"basket": 2, "total": 7.5, "n": 3, "shop": "x", "who": 1},
        {"basket": 3, "total": None, "n": 4, "shop": "x", "who": 2},
    ]
    assert found.notes == ()


@pytest.mark.parametrize(
    ("row", "at", "note"),
    [
        ({"who": 3, "shop": "x"}, NOW, "unknown:spend"),
        ({"who": 1, "shop": "y"}, NOW, "unknown:spend"),
        ({"who": 1, "shop": "x"}, NOW + timedelta(days=30), "stale:spend"),
        ({"who": 1, "shop": "x"}, NOW - timedelta(hours=23, seconds=1), "early:spend"),
    ],
)
def test_what_is_not_known_is_null_and_the_log_says_why(ask, row: dict[str, Any], at: datetime, note: str) -> None:
    found = ask(row | {"basket": 2}, at=at)

    assert (found.rows[0].f1, found.rows[0].f2, found.notes) == (None, None, [[note]])


def test_a_request_with_the_features_themselves_or_without_the_entity_is_refused(ask) -> None:
    for row in ({"who": 1, "shop": "x", "basket": 1, "total": 2.0}, {"shop": "x", "basket": 1}):
        with pytest.raises(Invalid):
            ask(row)


def test_an_input_that_may_not_be_null_refuses_whom_nobody_knows(world: World) -> None:
    strict = signature(inputs=[each | {"nullable": False} for each in INPUTS])
    deployment = world.table(world.variant(1, world.online(7.5), signature=strict))[0].deployments["d"]
    request = deployment.schema.decode(json.dumps({"rows": [{"who": 9, "shop": "x", "basket": 1}]}).encode())

    with pytest.raises(Invalid, match="view 'spend' has no row for who 9, shop 'x', and input 'total' may not be null"):
        deployment.champion.lookups.complete(request)  # type: ignore[union-attr]


def test_each_variant_looks_up_the_version_that_it_pins(world: World) -> None:
    table, faults = world.table(world.variant(1, world.online(1.0)), world.variant(2, world.online(2.0), role="canary"))

    deployment = table.deployments["d"]
    body = json.dumps({"rows": [{"who": 1, "shop": "x", "basket": 0}], "at": NOW.isoformat()}).encode()
    request = deployment.schema.decode(body)
    assert faults == []
    assert [v.lookups.complete(request).rows[0].f1 for v in deployment.live] == [1.0, 2.0]  # type: ignore[union-attr]


def test_a_version_whose_view_is_not_materialised_or_damaged_is_refused(world: World) -> None:
    online = world.online(1.0)
    damaged = world.online(2.0)
    (world.folder / damaged["blob"]).write_bytes((world.folder / online["blob"]).read_bytes())

    for table, told in ((None, "no spend/1 here."), (damaged, "other bytes than its digest")):
        found, (fault,) = world.table(world.variant(1, table))
        assert found.deployments == {} and told in fault.sentence
    with pytest.raises(Corrupt):
        world.shelf.get(world.variant(1, damaged)["views"][0])


def test_a_canary_that_asks_for_other_fields_gets_its_own_and_the_champion_its_own(world: World) -> None:
    fewer = signature(2, columns=["total"])  # asks for n itself
    plain = [INPUTS[0], {"name": "color", "type": "str"}]
    own = {"inputs": plain, "output": {"type": "regression"}}
    table, faults = world.table(
        world.variant(1, world.online(1.0)),
        world.variant(2, world.online(2.0), role="canary", signature=fewer),
        world.variant(3, None, role="shadow", signature=own, views=[]),
    )

    deployment = table.deployments["d"]
    assert (faults, deployment.schema.names) == ([], ("basket", "shop", "who", "n", "color"))
    row = {"who": 1, "shop": "x", "basket": 5, "n": 9, "color": "red"}
    request = deployment.schema.decode(json.dumps({"rows": [row], "at": NOW.isoformat()}).encode())
    found = [as_logged(v.lookups.complete(request).rows[0]) for v in deployment.live]  # type: ignore[union-attr]
    assert found == [
        {"basket": 5.0, "total": 1.0, "n": 3, "shop": "x", "who": 1},
        {"basket": 5.0, "total": 2.0, "n": 9, "shop": "x", "who": 1},
        {"basket": 5.0, "color": "red"},
    ]
    with pytest.raises(Invalid, match="color"):
        deployment.schema.decode(json.dumps({"rows": [{k: v for k, v in row.items() if k != "color"}]}).encode())


def test_a_null_that_only_one_of_two_versions_takes_is_refused_by_the_other(world: World) -> None:
    strict = signature(2, inputs=[INPUTS[0], *INPUTS[1:3], {"name": "shop", "type": "str"}])
    loose = signature(1, inputs=[INPUTS[0] | {"nullable": True}, *INPUTS[1:]])
    table, _ = world.table(
        world.variant(1, world.online(1.0), signature=loose),
        world.variant(2, world.online(1.0), role="canary", signature=strict),
    )
    champion, canary = table.deployments["d"].live
    request = table.deployments["d"].schema.decode(
        json.dumps({"rows": [{"who": 1, "shop": "x", "basket": None}], "at": NOW.isoformat()}).encode()
    )

    assert champion.lookups.complete(request).rows[0].f0 is None  # type: ignore[union-attr]
    with pytest.raises(Invalid, match="takes no null for 'basket'"):
        canary.lookups.complete(request)  # type: ignore[union-attr]


def test_versions_that_take_one_field_for_two_types_cannot_be_asked_together(world: World) -> None:
    other = signature(2, inputs=[{"name": "basket", "type": "str"}, *INPUTS[1:]])

    table, (fault,) = world.table(
        world.variant(1, world.online(1.0)), world.variant(2, world.online(2.0), role="canary", signature=other)
    )

    assert "takes 'basket' as float, another as str" in fault.sentence
    assert [variant.version for variant in table.deployments["d"].live] == [1]


def test_a_table_that_nobody_holds_is_let_go(world: World) -> None:
    routed = world.variant(1, world.online(1.0))["views"][0]

    held = world.shelf.get(routed)

    assert world.shelf.get(routed) is held
    del held
    assert len(world.shelf._known) == 0


class Kept:
    """A control plane that keeps one view's rows by key; it may be away, and counts what it is asked."""

    def __init__(self) -> None:
        self.by_key = {'[1,"x"]': (micro(NOW - timedelta(days=1)), "[7.5,3]"), '[2,"x"]': (micro(NOW), "[null,4]")}
        self.asked: list[list[str]] = []
        self.changes: list[str] | None = []
        self.is_away = False

    def rows(self, view: str, version: int, sequence: int, keys: list[str]) -> list[Any]:
        if self.is_away:
            raise Unavailable("the control plane does not answer.")
        self.asked.append(keys)
        return [self.by_key.get(key) for key in keys]

    def changed(self, view: str, version: int, after: int, until: int) -> list[str] | None:
        return self.changes


def micro(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.fixture
def large(world: World) -> Any:
    """A table of more rows than the gateway holds: the deployment of each of its numbers, and whom it asks."""
    kept = Kept()
    world.shelf = Shelf(lambda digest: world.folder / "never", kept, most=2, most_on_disk=2)  # type: ignore[arg-type]
    columns = [{"name": "total", "type": "float"}, {"name": "n", "type": "int"}]

    def deployment(sequence: int) -> Any:
        told = {"blob": "b", "rows": 3, "sequence": sequence, "by_key": True, "columns": columns, "watermark": ""}
        table, faults = world.table(world.variant(1, told))
        assert faults == []
        return table.deployments["d"]

    return deployment, kept


def looked_up(deployment: Any, *rows: dict[str, Any]) -> list[Any]:
    body = {"rows": [{"shop": "x", "basket": 0} | row for row in rows], "at": NOW.isoformat()}
    request = deployment.schema.decode(json.dumps(body).encode())

    async def complete() -> Any:
        return await deployment.champion.lookups.completed(request, asyncio.get_running_loop().time() + 5)

    found = asyncio.run(complete())
    return [(row.f1, row.f2) for row in found.rows] + [note for each in found.notes for note in each]


def test_a_table_that_does_not_fit_is_asked_by_key_and_only_once(large) -> None:
    deployment, kept = large[0](1), large[1]

    assert looked_up(deployment, {"who": 1}, {"who": 9}, {"who": 1}) == [
        (7.5, 3), (None, None), (7.5, 3), "unknown:spend",
    ]  # fmt: skip
    assert looked_up(deployment, {"who": 9}, {"who": 1})[1] == (7.5, 3)
    assert kept.asked == [['[1,"x"]', '[9,"x"]']]
    assert deployment.champion.lookups.described() == [{"name": "spend", "held": "by key", "rows": 2}]
    assert looked_up(deployment, {"who": 2}) == [(None, None), "early:spend"]  # known from an hour later on
    assert looked_up(deployment, {"who": 1}, {"who": 2}) == [(7.5, 3), (None, None), "early:spend"]


def test_a_refresh_lets_go_of_what_it_changed_and_of_nothing_else(large) -> None:
    make, kept = large
    before = make(1)
    looked_up(before, {"who": 1}, {"who": 9})
    kept.by_key['[9,"x"]'], kept.changes = (micro(NOW - timedelta(days=2)), "[1.0,1]"), ['[9,"x"]']

    after = make(2)

    assert looked_up(after, {"who": 1}, {"who": 9}) == [(7.5, 3), (1.0, 1)]
    assert kept.asked[1:] == [['[9,"x"]']]
    assert looked_up(before, {"who": 9}) == [(None, None), "unknown:spend"]  # a request keeps the table it began with
    kept.changes = None
    looked_up(make(3), {"who": 1})
    assert kept.asked[2:] == [['[1,"x"]']]


def test_a_control_plane_that_is_away_fails_only_who_asks_for_what_is_not_held(large) -> None:
    deployment, kept = large[0](1), large[1]
    looked_up(deployment, {"who": 1})
    kept.is_away = True

    assert looked_up(deployment, {"who": 1}) == [(7.5, 3)]
    with pytest.raises(Unavailable, match="view 'spend' cannot be looked up now: the control plane does not answer"):
        looked_up(deployment, {"who": 2})
    kept.rows = lambda *asked: (_ for _ in ()).throw(Conflict("table 1 is no longer kept by key."))  # type: ignore[method-assign]
    with pytest.raises(Unavailable, match="cannot be looked up now: table 1 is no longer kept"):
        looked_up(deployment, {"who": 2})


@pytest.fixture
def middling(world: World) -> Any:
    """A table of more rows than memory shall hold, though not the disk; and whom a gateway could ask."""
    kept = Kept()
    world.shelf = Shelf(lambda digest: world.folder / digest, kept, most=1, most_on_disk=2)  # type: ignore[arg-type]
    columns = [{"name": "total", "type": "float"}, {"name": "n", "type": "int"}]

    def deployment() -> Any:
        told = world.online(7.5) | {"by_key": True, "columns": columns, "watermark": "2024-05-31T12:00:00Z"}
        table, faults = world.table(world.variant(1, told))
        assert faults == []
        return table.deployments["d"]

    return deployment, kept


def test_a_table_that_memory_does_not_hold_stands_on_the_disk_and_needs_nobody(middling) -> None:
    deployment, kept = middling[0](), middling[1]
    kept.is_away = True

    assert deployment.champion.lookups.described() == [{"name": "spend", "held": "on disk", "rows": 2}]
    assert looked_up(deployment, {"who": 1}, {"who": 9}) == [(7.5, 3), (None, None), "unknown:spend"]
    # So many are looked up beside the event loop.
    assert looked_up(deployment, *[{"who": 1}, {"who": 2}] * 300) == [(7.5, 3), (None, 4)] * 300


def test_where_the_disk_has_no_room_it_is_asked_by_key(middling, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("mainstay.gateway.shelf.OnDisk", full)
    deployment = middling[0]()

    assert deployment.champion.lookups.described()[0]["held"] == "by key"
    assert looked_up(deployment, {"who": 1}) == [(7.5, 3)]


def test_a_damaged_table_is_not_taken_to_the_disk(world: World, middling) -> None:
    told = world.online(7.5) | {"by_key": True, "columns": [], "watermark": ""}
    (world.folder / told["blob"]).write_bytes(b"no")

    _, (fault,) = world.table(world.variant(1, told))

    assert "other bytes than its digest" in fault.sentence


def test_what_may_be_behind_is_marked_with_the_moment_it_was_known_up_to(middling) -> None:
    lookups = middling[0]().champion.lookups
    body = {"rows": [{"shop": "x", "basket": 0, "who": who} for who in (1, 9)], "at": NOW.isoformat()}

    async def notes(is_behind: bool) -> Any:
        request = middling[0]().schema.decode(json.dumps(body).encode())
        end = asyncio.get_running_loop().time() + 5
        return (await lookups.completed(request, end, is_behind=is_behind)).notes

    as_of = "as_of:spend@2024-05-31T12:00:00Z"
    assert asyncio.run(notes(False)) == [[], ["unknown:spend"]]
    assert asyncio.run(notes(True)) == [[as_of], ["unknown:spend", as_of]]
    assert lookups.headers == ((b"known-up-to", b"spend=2024-05-31T12:00:00Z"),)


HOUR = transforms.make(
    "hour", kind="int", inputs=[("now", "datetime")], moment="now", expression=["hour", ["input", "now"]]
)
SHARE = transforms.make(
    "share",
    kind="float",
    inputs=[("basket", "float"), ("n", "int"), ("weight", "float")],
    moment=None,
    expression=["*", ["/", ["input", "basket"], ["input", "n"]], ["input", "weight"]],
)


def computed(*, nullable: bool, views: bool = True) -> dict[str, Any]:
    """The model takes ``hour`` and ``share``, of which the second is made of a feature and of a field that are no inputs."""
    inputs = [{"name": "hour", "type": "int"}, {"name": "share", "type": "float", "nullable": nullable}]
    held = signature(inputs=inputs, columns=["n"]) | {"transforms": [HOUR.to_json(), SHARE.to_json()]}
    if not views:
        held = held | {"views": [], "inputs": inputs[:1], "transforms": [HOUR.to_json()]}
    return held


def test_what_transforms_make_is_not_asked_for_and_logged_with_what_it_was_made_of(world: World) -> None:
    deployment = world.table(world.variant(1, world.online(7.5), signature=computed(nullable=True)))[0].deployments["d"]

    assert deployment.schema.names == ("who", "shop", "basket", "weight")
    rows = [{"who": 1, "shop": "x", "basket": 6, "weight": 0.5}, {"who": 9, "shop": "x", "basket": None, "weight": 1}]
    request = deployment.schema.decode(json.dumps({"rows": rows, "at": NOW.replace(hour=7).isoformat()}).encode())
    found = deployment.champion.lookups.complete(request)  # type: ignore[union-attr]

    assert [as_logged(row) for row in found.rows] == [
        {"hour": 7, "share": 1.0, "who": 1, "shop": "x", "basket": 6.0, "n": 3.0, "weight": 0.5},
        {"hour": 7, "share": None, "who": 9, "shop": "x", "basket": None, "n": None, "weight": 1.0},
    ]
    assert found.notes == [[], ["unknown:spend"]]


def test_the_moment_by_which_features_are_made_is_the_one_that_is_logged(world: World, monkeypatch) -> None:
    deployment = world.table(world.variant(1, world.online(7.5), signature=computed(nullable=True)))[0].deployments["d"]
    body = {
        "rows": [{"who": 1, "shop": "x", "basket": 6, "weight": 0.5}] * 400
    }  # more than one turn of the loop computes
    request = deployment.schema.decode(json.dumps(body).encode())
    monkeypatch.setattr("time.time_ns", lambda: micro(NOW.replace(hour=5)) * 1000)

    async def complete() -> Any:
        return await deployment.champion.lookups.completed(request, asyncio.get_running_loop().time() + 5)  # type: ignore[union-attr]

    found = asyncio.run(complete())

    assert (request.at_us, found.at_us) == (None, micro(NOW.replace(hour=5)))
    assert [row.f0 for row in found.rows] == [5] * 400


def test_a_transform_that_gives_nothing_where_a_value_is_needed_refuses_the_row(world: World) -> None:
    deployment = world.table(world.variant(1, world.online(7.5), signature=computed(nullable=False)))[0].deployments[
        "d"
    ]
    row = {"who": 9, "shop": "x", "basket": 6, "weight": 0.5}

    with pytest.raises(
        Invalid, match="transform 'share' gives nothing for these values, and input 'share' may not be null"
    ):
        deployment.champion.lookups.complete(  # type: ignore[union-attr]
            deployment.schema.decode(json.dumps({"rows": [row]}).encode())
        )


def test_a_model_may_have_transforms_and_no_views_and_a_forged_one_is_refused(world: World) -> None:
    plain = computed(nullable=False, views=False)
    table, faults = world.table(world.variant(1, None, signature=plain, views=[]))
    forged = plain | {"transforms": [HOUR.to_json() | {"expression": ["system", ["value", "true"]]}]}

    assert (faults, table.deployments["d"].schema.names) == ([], ())
    request = table.deployments["d"].schema.decode(json.dumps({"rows": [{}], "at": NOW.isoformat()}).encode())
    assert as_logged(table.deployments["d"].champion.lookups.complete(request).rows[0]) == {"hour": 0}  # type: ignore[union-attr]
    _, (fault,) = world.table(world.variant(1, None, signature=forged, views=[]))
    assert "there is no operation 'system'" in fault.sentence


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> list[list[dict[str, Any]]]:
    """Another feature store of which a gateway knows the name; what it was asked."""
    asked: list[list[dict[str, Any]]] = []

    class Store:
        def get_online(self, entities: pa.Table, features: list[str]) -> pa.Table:
            asked.append(entities.to_pylist())
            rates = {1: 0.5}
            return pa.table(
                {features[0]: pa.array([rates.get(who) for who in entities["who"].to_pylist()], pa.float64())}
            )

    monkeypatch.setattr(sources, "opened", lambda name: Store())
    return asked


def pinned_elsewhere() -> dict[str, Any]:
    held = sources.make("shop", {"stats:rate": "float"}, {"who": "int"}).to_json()
    twice = transforms.make("twice", kind="float", inputs=[("rate", "float")], moment=None,
                            expression=["*", ["input", "rate"], ["value", 2]])  # fmt: skip
    inputs = [{"name": "rate", "type": "float", "nullable": True}, {"name": "twice", "type": "float", "nullable": True}]
    plain = signature(inputs=inputs) | {"views": [], "sources": [held], "transforms": [twice.to_json()]}
    return plain


def test_another_store_is_asked_once_for_a_request_and_transforms_read_what_it_says(world, elsewhere) -> None:
    told = world.variant(1, None, signature=pinned_elsewhere(), views=[])
    table, faults = world.table(told)

    assert (faults, table.deployments["d"].schema.names) == ([], ("who",))
    deployment = table.deployments["d"]
    request = deployment.schema.decode(json.dumps({"rows": [{"who": 1}, {"who": 9}, {"who": 1}]}).encode())

    async def complete() -> Any:
        return await deployment.champion.lookups.completed(request, asyncio.get_running_loop().time() + 5)

    found = asyncio.run(complete())
    assert [as_logged(row) for row in found.rows[:2]] == [
        {"rate": 0.5, "twice": 1.0, "who": 1},
        {"rate": None, "twice": None, "who": 9},
    ]
    assert found.notes[1] == ["unknown:shop"] and elsewhere == [[{"who": 1}, {"who": 9}]]


def test_a_gateway_where_the_store_has_no_name_refuses_the_version(world: World) -> None:
    sources.opened.cache_clear()

    _, (fault,) = world.table(world.variant(1, None, signature=pinned_elsewhere(), views=[]))

    assert "no feature source is named 'shop' here" in fault.sentence
