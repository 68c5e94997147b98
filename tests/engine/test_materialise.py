# SPDX-License-Identifier: Apache-2.0
"""Values to bytes and back: equal values, equal digests; nothing that could execute; a way out for everything else."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainstay.domain.errors import Invalid
from mainstay.engine import materialise
from mainstay.engine.materialise import json


class Colour(enum.Enum):
    RED = 1


@dataclass(frozen=True)
class Conf:
    rate: float
    names: tuple[str, ...] = ()
    more: dict[int, Any] = field(default_factory=dict)


class Pair(NamedTuple):
    left: int
    right: Conf


def there_and_back(value: Any, platform: Any, wanted: Any = None) -> Any:
    return materialise.read(materialise.write(value, platform), platform, wanted)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.dates()
    | st.datetimes()
    | st.timedeltas()
    | st.decimals(allow_nan=False),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(), inner)
        | st.dictionaries(st.integers(), inner)
        | st.frozensets(st.text())
    ),
    max_leaves=20,
)


@given(plain)
def test_a_plain_value_comes_back_as_it_was(value):
    again = json.loads(json.dumps(value))

    assert again == value
    assert type(again) is type(value)


@given(st.dictionaries(st.text(), st.integers()))
def test_the_order_of_a_dict_does_not_change_its_bytes(value):
    assert json.dumps(dict(reversed(value.items()))) == json.dumps(value)


@pytest.mark.parametrize(
    "value",
    [
        Conf(0.5, ("a",), {3: Colour.RED}),
        Pair(1, Conf(float("inf"))),
        {"$date": "not one of ours"},
        [date(2013, 1, 1), datetime(2013, 1, 1, tzinfo=UTC), timedelta(days=1), Decimal("1.10")],
    ],
)
def test_types_survive_json(value, platform):
    assert there_and_back(value, platform) == value


def test_numpy_scalars_are_plain_values():
    assert json.dumps({"auc": np.float64(0.5), "n": np.int32(3)}) == b'{"auc":0.5,"n":3}'


def test_a_stored_class_that_is_not_imported_is_not_imported_for_the_occasion(platform):
    content = b'{"$dataclass":["os:path",{}]}'

    with pytest.raises(Invalid, match="is not imported here"):
        json.loads(content)
    with pytest.raises(Invalid, match="is not imported here"):
        json.loads(b'{"$dataclass":["never_heard_of:Thing",{}]}')


ROWS = {"x": [1, 2, None], "name": ["a", None, "b"], "when": [datetime(2013, 1, 1)] * 3, "share": [0.5, 1.5, -0.0]}


def test_the_same_rows_have_one_digest_whoever_holds_them(platform):
    arrow = pa.table(ROWS)
    chunked = pa.concat_tables([arrow.slice(0, 1), arrow.slice(1)])
    large = arrow.cast(
        pa.schema(
            [("x", pa.int64()), ("name", pa.large_string()), ("when", pa.timestamp("us")), ("share", pa.float64())]
        )
    )

    holders = [
        arrow,
        chunked,
        large,
        pl.from_arrow(arrow),
        pl.from_arrow(arrow).lazy(),
        arrow.replace_schema_metadata({"who": "me"}),
    ]
    holders.append(duckdb.connect().from_arrow(arrow))

    assert len({materialise.write(each, platform).digest for each in holders}) == 1


def test_pandas_and_polars_agree_where_their_types_do(platform):
    rows = {"x": [1, 2], "name": ["a", "b"], "share": [0.5, 1.5]}

    assert (
        materialise.write(pd.DataFrame(rows), platform).digest == materialise.write(pl.DataFrame(rows), platform).digest
    )


@given(cut=st.integers(1, 200_000), more=st.integers(1, 200_000))
@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_how_a_large_table_is_chunked_does_not_change_its_bytes(platform, cut, more):
    table = pa.table({"x": pa.array(range(200_000)), "name": pa.array([str(each % 7) for each in range(200_000)])})
    chunked = pa.concat_tables([table.slice(0, cut), table.slice(cut, more), table.slice(cut + more)])

    assert materialise.write(chunked, platform).digest == materialise.write(table, platform).digest


@pytest.mark.parametrize("wanted", [pa.Table, pd.DataFrame, pl.DataFrame, pl.LazyFrame])
def test_a_table_arrives_as_what_the_consumer_asks_for(platform, wanted):
    found = there_and_back(pa.table(ROWS), platform, wanted)

    assert isinstance(found, wanted)
    rows = found.collect() if wanted is pl.LazyFrame else found
    assert list(pl.DataFrame(rows)["name"]) == ["a", None, "b"]


def test_a_table_arrives_as_what_it_was_where_nobody_asks(platform):
    assert isinstance(there_and_back(pd.DataFrame(ROWS), platform), pd.DataFrame)
    assert isinstance(there_and_back(pl.DataFrame(ROWS), platform), pl.DataFrame)


def test_a_pandas_index_and_categories_survive(platform):
    frame = pd.DataFrame(
        {"c": pd.Categorical(["b", "a", "b"], ordered=True), "x": [1, 2, 3]}, index=pd.Index([5, 7, 9], name="id")
    )

    pd.testing.assert_frame_equal(there_and_back(frame, platform), frame)


def test_an_array_survives_and_its_layout_in_memory_does_not_count(platform):
    array = np.arange(12, dtype=np.int32).reshape(3, 4)

    np.testing.assert_array_equal(there_and_back(array, platform), array)
    assert there_and_back(np.array(3.5), platform).shape == ()
    digests = {
        materialise.write(each, platform).digest for each in (array, np.asfortranarray(array), array.astype(">i4"))
    }
    assert len(digests) == 1


def test_files_and_folders_survive(platform, tmp_path):
    folder = tmp_path / "out"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "deep" / "b.txt").write_text("b")

    assert there_and_back(folder / "a.txt", platform).read_text() == "a"
    again = there_and_back(folder, platform)
    assert {path.relative_to(again).as_posix(): path.read_text() for path in again.rglob("*.txt")} == {
        "a.txt": "a",
        "deep/b.txt": "b",
    }


def test_a_stored_folder_cannot_write_outside_of_itself(platform):
    digest = platform.put_blob(b"x")
    evil = platform.put_blob(b'{"files":{"../evil":["%s",1]}}' % digest.encode())

    with pytest.raises(Invalid, match="points outside"):
        materialise.read(materialise.Artifact(kind="folder", digest=evil, size=1), platform)


def test_a_model_arrives_as_the_estimator_it_was(platform):
    from sklearn.linear_model import LogisticRegression

    rows, labels = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 0, 1, 1])
    model = LogisticRegression().fit(rows, labels)

    again = there_and_back(model, platform)

    np.testing.assert_array_equal(again.predict_proba(rows), model.predict_proba(rows))
    assert (
        materialise.write(model, platform).digest
        == materialise.write(LogisticRegression().fit(rows, labels), platform).digest
    )


@pytest.mark.parametrize("value", [object(), lambda: 1, (each for each in ()), {"a": object()}, pd.Series([1]), Colour])
def test_anything_else_is_refused_with_three_ways_out(value, platform):
    with pytest.raises(Invalid, match="Three ways out"):
        materialise.write(value, platform)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.array([object()]), "array of objects"),
        (pd.DataFrame({"x": [1, "a"]}), "cannot be stored as a table"),
        (pd.DataFrame({1: [1]}), "column 1 of the frame is named by int"),
        (pa.table([[1], [2]], names=["x", "x"]), "more than one column 'x'"),
    ],
)
def test_what_cannot_be_kept_is_named(value, words, platform):
    with pytest.raises(Invalid, match=words):
        materialise.write(value, platform)
