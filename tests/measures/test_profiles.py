# SPDX-License-Identifier: Apache-2.0
"""Cells, exact counting, and the laws of merging."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.domain.errors import Invalid
from mainstay.measures import readings
from mainstay.measures.profiles import (
    NEW_NAMES,
    Profile,
    ReferenceSpec,
    describe,
    infer_spec,
    merge,
    merge_all,
    profile,
)
from mainstay.measures.specs import FIRST, SPECIALS, quantile_edges

NULL, NAN = SPECIALS.index("null"), SPECIALS.index("nan")


def make_table(n: int = 400, seed: int = 1) -> pa.Table:
    """A bit of everything that a frame holds in practice."""
    random = np.random.default_rng(seed)
    x = random.standard_normal(n) * 10
    x[::37] = np.nan
    x[5:7] = np.inf, -np.inf
    start = datetime(2026, 3, 1, tzinfo=UTC)
    return pa.table(
        {
            "x": pa.array(x, mask=random.random(n) < 0.1),
            "whole": random.integers(0, 5, n),
            "city": random.choice(["rome", "oslo", "lima"], n),
            "code": [f"k{i}" for i in random.integers(0, 200, n)],
            "flag": random.random(n) < 0.3,
            "at": pa.array([start + timedelta(hours=int(h)) for h in range(n)], pa.timestamp("us", tz="UTC")),
            "note": [f"the words of note number {i} " * (1 + i % 3) for i in range(n)],
            "score": random.random(n),
        }
    )


REFERENCE = make_table()
SPEC = infer_spec(REFERENCE, score="score")


def test_each_column_gets_the_kind_its_values_suggest() -> None:
    kinds = {column.name: column.kind for column in SPEC.columns}

    assert kinds == {
        "x": "numeric",
        "whole": "numeric",
        "city": "category",
        "code": "category",
        "flag": "boolean",
        "at": "datetime",
        "note": "text",
        "score": "score",
    }


def test_a_spec_and_a_profile_survive_json() -> None:
    counted = profile(REFERENCE, SPEC)

    again = ReferenceSpec.from_json(json.loads(json.dumps(SPEC.to_json())))
    assert again == SPEC
    assert again.digest() == SPEC.digest()
    assert Profile.from_json(json.loads(json.dumps(counted.to_json(), allow_nan=False))) == counted


def test_the_digest_does_not_notice_a_store_that_writes_floats_as_whole_numbers() -> None:
    spec = infer_spec(pa.table({"x": [1.0, 2.0, 3.0, 4.0]}))

    text = json.dumps(spec.to_json()).replace(".0,", ",").replace(".0]", "]").replace(".0}", "}")

    assert ReferenceSpec.from_json(json.loads(text)).digest() == spec.digest()


def test_every_row_is_counted_once_in_every_column() -> None:
    other = make_table(317, seed=2)
    counted = profile(other, SPEC)

    assert counted.n == 317
    assert {name: int(column.counts.sum()) for name, column in counted.columns.items()} == dict.fromkeys(
        counted.columns, 317
    )


def test_missing_values_have_cells_of_their_own() -> None:
    spec = infer_spec(pa.table({"x": [1.0, 2.0, 3.0]}))
    x = pa.array([None, math.nan, math.inf, -math.inf, 0.5, 9.0, 2.0], pa.float64())

    counts = profile(pa.table({"x": x}), spec).columns["x"].counts

    assert dict(zip(SPECIALS, counts[:FIRST].tolist(), strict=True)) == {
        "absent": 0,
        "invalid": 0,
        "null": 1,
        "nan": 1,
        "-inf": 1,
        "+inf": 1,
    }
    assert (counts[FIRST], counts[-1]) == (1, 1)


def test_a_missing_column_and_a_column_of_another_type_are_findings() -> None:
    spec = infer_spec(pa.table({"x": [1.0, 2.0], "y": [1.0, 2.0], "t": ["a", "b"]}))

    counted = profile(pa.table({"x": ["1.5", "many", None], "t": [[1], [2], None]}), spec)

    assert counted.columns["y"].counts[SPECIALS.index("absent")] == 3
    assert counted.columns["x"].counts[SPECIALS.index("invalid")] == 1
    assert counted.columns["x"].counts[NULL] == 1
    assert counted.columns["x"].low == 1.5
    assert counted.columns["t"].counts[SPECIALS.index("invalid")] == 2


@given(st.lists(st.floats(width=64), max_size=60), st.lists(st.floats(width=64), min_size=1, max_size=60))
def test_any_floats_at_all_are_counted_where_a_binary_search_would_put_them(
    window: list[float], ref: list[float]
) -> None:
    spec = infer_spec(pa.table({"x": pa.array(ref, pa.float64())}))
    column = spec.columns[0]

    found = profile(pa.table({"x": pa.array(window, pa.float64())}), spec).columns["x"]

    x = np.array([v for v in window if math.isfinite(v)])
    assert found.counts[NAN] == sum(map(math.isnan, window))
    assert found.counts.sum() == len(window)
    if column.low is None or column.high is None:
        assert found.counts[-1] == len(x)
    else:
        inside = x[(x >= column.low) & (x <= column.high)]
        expected = np.bincount(np.searchsorted(column.edges, inside), minlength=len(column.edges) + 1)
        assert found.counts[FIRST + 1 : -1].tolist() == expected.tolist()


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.floats(1e-200, 1e200), st.floats(-1e6, 1e6))
def test_the_lookup_table_is_exactly_a_binary_search(seed: int, scale: float, move: float) -> None:
    random = np.random.default_rng(seed)
    edges = np.unique(np.round(random.standard_normal(31), 2) * scale + move)
    values = np.concatenate([edges, np.nextafter(edges, np.inf), np.nextafter(edges, -np.inf)])
    values = np.concatenate([values, random.standard_normal(500) * scale * 3 + move, [1e308, -1e308]])

    found = readings.count_cells(values, readings.make_lookup(edges))

    assert found.tolist() == np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1).tolist()


@given(st.lists(st.integers(0, 40) | st.floats(-50, 50), min_size=1, max_size=300))
def test_edges_rise_stay_few_and_give_heavy_values_cells_of_their_own(values: list[float]) -> None:
    ordered = np.sort(np.asarray(values, float))

    edges = quantile_edges(ordered, float(ordered[-1]))

    assert len(edges) <= 31
    assert all(a < b for a, b in pairwise(edges.tolist()))
    bounds = [-np.inf, *edges.tolist(), float(ordered[-1])]
    distinct, counts = np.unique(ordered, return_counts=True)
    heaviest = float(distinct[np.argmax(counts)])
    if counts.max() > len(ordered) / 8:
        cell = int(np.searchsorted(bounds, heaviest)) - 1
        in_cell = distinct[(distinct > bounds[cell]) & (distinct <= bounds[cell + 1])]
        assert in_cell.tolist() == [heaviest]


def test_seventy_per_cent_of_one_value_leaves_the_rest_finely_cut() -> None:
    x = np.where(np.arange(10_000) % 10 < 7, 0.0, np.random.default_rng(0).standard_normal(10_000))

    column = infer_spec(pa.table({"x": x})).columns[0]
    counts = profile(pa.table({"x": x}), infer_spec(pa.table({"x": x}))).columns["x"].counts

    assert counts.max() == 7_000
    assert len(column.edges) >= 10


def test_inference_takes_the_same_rows_every_time_and_does_not_beat_with_a_period() -> None:
    x = np.arange(1_000_000) % 5

    first, second = infer_spec(pa.table({"x": x})), infer_spec(pa.table({"x": x}))

    assert first.digest() == second.digest()
    counts = profile(pa.table({"x": x}), first).columns["x"].counts
    assert counts[counts > 0].tolist() == [200_000] * 5


def test_many_categories_are_named_hashed_or_new() -> None:
    names = [f"c{i}" for i in range(300) for _ in range(300 - i)]
    spec = infer_spec(pa.table({"c": names}))
    column = spec.columns[0]

    counted = profile(pa.table({"c": ["c0", "c299", "c298", "new a", "new a", "new b", None]}), spec).columns["c"]

    assert len(column.categories) == 64
    assert column.categories[0] == "c0"
    assert len(column.known) == 236
    assert counted.counts[FIRST] == 1
    assert counted.counts[FIRST + 64 : FIRST + 128].sum() == 2
    assert counted.counts[-1] == 3
    assert counted.new == {"new a": 2, "new b": 1}
    assert counted.counts[NULL] == 1


def test_a_reference_of_too_many_values_calls_nothing_new() -> None:
    spec = infer_spec(pa.table({"id": [f"id{i}" for i in range(100_001)]}))

    counted = profile(pa.table({"id": ["never seen", "id5"]}), spec).columns["id"]

    assert spec.columns[0].is_open
    assert counted.counts[-1] == 0
    assert counted.counts.sum() == 2
    assert counted.new == {}


def test_numbers_and_text_of_the_same_category_are_the_same_category() -> None:
    spec = infer_spec(pa.table({"c": [1, 2, 2]}), kinds={"c": "category"})

    for values in (
        pa.array([1.0, 2.0, math.nan]),
        pa.array(["1", "2", None]),
        pa.array([1, 2, None]).dictionary_encode(),
    ):
        counted = profile(pa.table({"c": values}), spec).columns["c"]
        assert counted.counts[FIRST:].tolist() == [1, 1, 0]
        assert counted.counts[NULL] + counted.counts[NAN] == 1


def test_zero_and_one_fit_a_boolean_column() -> None:
    spec = infer_spec(pa.table({"y": [0, 1, 1]}), kinds={"y": "boolean"})

    counted = profile(pa.table({"y": [True, False, True]}), spec).columns["y"]

    assert counted.counts[FIRST:].tolist() == [1, 2, 0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 350), max_size=6), st.randoms(use_true_random=False), st.integers(0, 99))
def test_any_split_merged_in_any_order_is_bit_for_bit_the_whole(cuts: list[int], random: object, seed: int) -> None:
    table = make_table(350, seed=1000 + seed)
    whole = profile(table, SPEC)
    bounds = [0, *sorted(cuts), 350]
    parts = [profile(table.slice(a, b - a), SPEC) for a, b in pairwise(bounds)]
    random.shuffle(parts)  # type: ignore[attr-defined]

    left = merge_all(SPEC, parts)
    while len(parts) > 1:
        parts = [merge(parts[-1], parts[0]), *parts[1:-1]]

    text = json.dumps(whole.to_json())
    assert json.dumps(left.to_json()) == text
    assert json.dumps(parts[0].to_json()) == text


def test_the_empty_profile_changes_nothing_and_threads_change_nothing() -> None:
    counted = profile(REFERENCE, SPEC)
    empty = Profile.empty(SPEC)

    assert merge(counted, empty) == counted == merge(empty, counted)
    assert profile(REFERENCE.slice(0, 0), SPEC) == empty
    many = pa.concat_tables([REFERENCE] * 600)
    assert profile(many, SPEC, threads=2) == profile(many.combine_chunks(), SPEC, threads=1)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(200, 2000), st.integers(1, 5))
def test_names_of_new_values_are_exact_for_any_split_even_when_too_many_to_keep(seed: int, n: int, parts: int) -> None:
    rows = np.random.default_rng(seed).integers(0, 700, n).tolist()
    spec = infer_spec(pa.table({"c": ["known"]}))
    table = pa.table({"c": [f"n{i}" for i in rows]})
    step = math.ceil(len(rows) / parts)

    whole = profile(table, spec)
    merged = merge_all(spec, (profile(table.slice(i, step), spec) for i in range(0, len(rows), step)))

    assert merged == whole
    new = whole.columns["c"].new
    assert len(new) == min(NEW_NAMES, len(set(rows)))
    assert all(count == rows.count(int(name[1:])) for name, count in new.items())


def test_profiles_in_different_cells_do_not_merge() -> None:
    other = infer_spec(pa.table({"x": [1.0, 2.0]}))

    with pytest.raises(Invalid, match="cannot merge"):
        merge(Profile.empty(SPEC), Profile.empty(other))


def test_minus_zero_is_zero_whatever_the_order() -> None:
    spec = infer_spec(pa.table({"x": [0.0, 1.0]}))
    a, b = (profile(pa.table({"x": [v]}), spec) for v in (0.0, -0.0))

    assert json.dumps(merge(a, b).to_json()) == json.dumps(merge(b, a).to_json())


def test_a_table_that_cannot_be_a_reference_is_refused_in_words() -> None:
    with pytest.raises(Invalid, match="no column 'nope'"):
        infer_spec(REFERENCE, score="nope")
    with pytest.raises(Invalid, match="kinds are numeric"):
        infer_spec(REFERENCE, kinds={"x": "colour"})
    with pytest.raises(Invalid, match="named twice"):
        infer_spec(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]))
    assert infer_spec(pa.table({"v": [[1, 2], [3]]})).skipped == ("v",)


def test_a_score_outside_zero_and_one_is_profiled_as_a_number() -> None:
    assert infer_spec(pa.table({"p": [0.2, 3.0]}), score="p").column("p").kind == "numeric"


# ---------------------------------------------------------------- describe


def test_a_summary_has_the_moments_and_quantiles_of_the_rows() -> None:
    x = np.random.default_rng(3).lognormal(size=50_000)
    spec = infer_spec(pa.table({"x": x}))

    found = describe(profile(pa.table({"x": x}), spec), spec)["columns"]["x"]

    assert found["mean"] == pytest.approx(x.mean(), rel=1e-3)
    assert found["sd"] == pytest.approx(x.std(ddof=1), rel=1e-3)
    assert (found["min"], found["max"]) == (x.min(), x.max())
    for name, share in (("p01", 0.01), ("p25", 0.25), ("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        assert found["quantiles"][name] == pytest.approx(np.quantile(x, share), rel=0.05)


def test_bars_of_baseline_and_window_share_their_edges_and_hold_every_row() -> None:
    random = np.random.default_rng(3)
    spec = infer_spec(pa.table({"x": random.standard_normal(5000), "s": random.random(5000)}), score="s")
    window = pa.table({"x": random.standard_normal(1000) + 50, "s": random.random(1000) ** 2})

    a = describe(Profile.empty(spec), spec)["columns"]
    b = describe(profile(window, spec), spec)["columns"]

    for name in ("x", "s"):
        assert a[name]["histogram"]["edges"] == b[name]["histogram"]["edges"]
        assert sum(b[name]["histogram"]["counts"]) == pytest.approx(1000)
        assert len(b[name]["histogram"]["edges"]) == len(b[name]["histogram"]["counts"]) + 1
    assert b["x"]["histogram"]["cells"]["above"] == 1000
    assert b["x"]["histogram"]["counts"][-1] == pytest.approx(1000)


@pytest.mark.parametrize(
    "values",
    [
        pa.array([], pa.float64()),
        pa.array([None, None], pa.float64()),
        pa.array([None], pa.null()),
        pa.array([7.0] * 50),
        pa.array([math.nan, math.inf]),
        pa.array([1e308, -1e308, 5e-324]),
        pa.array([1.0]),
        pa.array(["a"]),
        pa.array([True, None]),
        pa.array([datetime(1969, 12, 31, 23, tzinfo=UTC)]),
    ],
    ids=str,
)
def test_strange_columns_can_be_reference_and_window_and_described_as_json(values: pa.Array) -> None:
    table = pa.table({"x": values})
    spec = infer_spec(table)
    counted = profile(table, spec)

    assert counted.columns["x"].counts.sum() == len(values)
    json.dumps(describe(counted, spec), allow_nan=False)
    json.dumps(describe(Profile.empty(spec), spec), allow_nan=False)


def test_an_outlier_is_counted_as_clipped_and_does_not_swallow_the_mean() -> None:
    x = np.random.default_rng(0).standard_normal(10_000)
    spec = infer_spec(pa.table({"x": x}))

    found = describe(profile(pa.table({"x": [*x, 1e30]}), spec), spec)["columns"]["x"]

    assert found["clipped"] == 1
    assert found["max"] == 1e30
    assert abs(found["mean"]) < 0.3  # 2048 robust sds, the most one row may weigh, over 10 001 rows


def test_times_are_counted_by_weekday_and_quarter_of_the_day() -> None:
    wednesday = datetime(2026, 3, 4, 13, tzinfo=UTC)
    spec = infer_spec(pa.table({"t": [wednesday]}))

    found = describe(profile(pa.table({"t": [wednesday]}), spec), spec)["columns"]["t"]

    assert [cell["name"] for cell in found["categories"] if cell["count"]] == ["Wed 12-18h"]
    assert found["min"] == "2026-03-04T13:00:00+00:00"
