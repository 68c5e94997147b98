# SPDX-License-Identifier: Apache-2.0
"""Who answers whom: sticky keys, shares, and tables that are taken whole or not at all."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.domain.errors import Corrupt
from mainstay.gateway import routing, versions
from mainstay.gateway.batching import Batcher
from mainstay.gateway.routing import Schemas, Table
from mainstay.gateway.versions import Library, Loaded

SIGNATURE = {"inputs": [{"name": "x", "type": "float"}], "output": {"type": "regression"}}


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    """Versions that load at once; one whose format is ``broken`` does not."""

    def load(variant: Any, schema: Any, fetch: Any) -> Loaded:
        if variant["format"] == "broken":
            raise Corrupt("it is broken.")
        batcher = Batcher(lambda rows: None, one_row_s=1.0)  # type: ignore[arg-type, return-value]
        return Loaded(digest=variant["digest"], schema=schema, batcher=batcher, classes=None, one_row_s=1.0)

    monkeypatch.setattr(versions, "load", load)
    return Library(lambda digest: None)  # type: ignore[arg-type, return-value]


def variant(release: int, role: str = "champion", share_bp: int = 10_000, format: str = "fine") -> dict[str, Any]:
    return {
        "release": release,
        "model": "m",
        "version": release,
        "role": role,
        "share_bp": share_bp,
        "format": format,
        "digest": f"d{release}",
    }


def wire(generation: int, *variants: dict[str, Any], salt: str = "s") -> dict[str, Any]:
    one = {"name": "flights", "salt": salt, "signature": SIGNATURE, "variants": list(variants)}
    return {"generation": generation, "deployments": [one]}


def deployment(library: Library, share_bp: int, salt: str = "s") -> routing.Deployment:
    both = wire(1, variant(1, share_bp=10_000 - share_bp), variant(2, "canary", share_bp), salt=salt)
    table, faults = routing.assemble(both, Table(generation=0), library, Schemas())
    assert faults == []
    return table.deployments["flights"]


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_raising_the_canarys_share_never_moves_a_key_back(low: int, high: int) -> None:
    low, high = sorted((low, high))
    with pytest.MonkeyPatch.context() as patch:
        made = library.__wrapped__(patch)  # type: ignore[attr-defined]
        before, after = deployment(made, low), deployment(made, high)

        for number in range(200):
            key = f"user-{number}"
            if before.pick(key).role == "canary":
                assert after.pick(key).role == "canary"


@pytest.mark.parametrize("share_bp", [0, 1, 500, 2000, 5000, 10_000])
def test_the_share_of_keys_is_the_share_of_the_table(library: Library, share_bp: int) -> None:
    split = deployment(library, share_bp)

    counts = Counter(split.pick(f"{number}").role for number in range(20_000))

    # Five standard deviations of a binomial share.
    allowed = 5 * (share_bp / 10_000 * (1 - share_bp / 10_000) / 20_000) ** 0.5
    assert abs(counts["canary"] / 20_000 - share_bp / 10_000) <= allowed
    assert sum(counts.values()) == 20_000


@given(st.text(), st.text(min_size=1))
def test_a_key_always_falls_into_the_same_one_of_ten_thousand_buckets(salt: str, key: str) -> None:
    salted = salt.encode("utf-8", "replace")

    place = routing.bucket(salted, "flights", key)

    assert 0 <= place < 10_000
    assert place == routing.bucket(salted, "flights", key)


def test_another_salt_deals_the_keys_anew(library: Library) -> None:
    one, two = deployment(library, 5000, "a"), deployment(library, 5000, "b")

    same = sum(one.pick(str(n)).role == two.pick(str(n)).role for n in range(2000))

    assert 800 < same < 1200


def test_a_refused_version_leaves_the_deployment_whole_as_it_was(library: Library) -> None:
    schemas = Schemas()
    before, _ = routing.assemble(wire(1, variant(1)), Table(generation=0), library, schemas)

    after, faults = routing.assemble(
        wire(2, variant(2), variant(3, "canary", 1000, "broken")), before, library, schemas
    )

    assert after.generation == 2
    assert after.deployments["flights"] is before.deployments["flights"]
    assert [(fault.release, fault.sentence) for fault in faults] == [(3, "it is broken.")]


def test_at_first_a_sound_champion_serves_without_its_broken_canary(library: Library) -> None:
    table, faults = routing.assemble(
        wire(1, variant(1, share_bp=9000), variant(2, "canary", 1000, "broken")),
        Table(generation=0),
        library,
        Schemas(),
    )

    assert [v.release for v in table.deployments["flights"].live] == [1]
    assert len(faults) == 1


def test_the_previous_champion_stays_in_memory_and_older_ones_leave_when_nobody_holds_them(library: Library) -> None:
    schemas, table = Schemas(), Table(generation=0)
    seen: list[Loaded] = []
    for release in (1, 2, 3):
        table, _ = routing.assemble(wire(release, variant(release)), table, library, schemas)
        seen.append(table.deployments["flights"].champion.loaded)
        if release == 1:
            seen[0].in_flight += 1
        library.keep(table.held())

    assert [loaded.is_retired for loaded in seen] == [True, False, False]
    assert table.deployments["flights"].previous is not None
    assert table.deployments["flights"].previous.loaded is seen[1]
    seen[0].leave()
    assert seen[0].in_flight == 0


def test_going_back_to_the_previous_release_loads_nothing(library: Library) -> None:
    schemas, table = Schemas(), Table(generation=0)
    for generation, release in enumerate((1, 2)):
        table, _ = routing.assemble(wire(generation, variant(release)), table, library, schemas)
        library.keep(table.held())

    back, faults = routing.assemble(wire(3, variant(1, format="broken")), table, library, schemas)

    assert faults == []  # loading it again would have failed
    assert back.deployments["flights"].champion.release == 1


def test_a_kept_table_is_read_back_and_rubbish_is_none(tmp_path: Any) -> None:
    path = tmp_path / "table.json"
    assert routing.stored(path) is None

    routing.store(path, wire(7, variant(1)))
    assert routing.stored(path) == wire(7, variant(1))

    path.write_text("{")
    assert routing.stored(path) is None
