# SPDX-License-Identifier: Apache-2.0
"""XGBoost and LightGBM: what their own files do not say is kept beside them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mainstay import formats
from mainstay.domain.errors import Invalid

ROWS = np.random.default_rng(0).normal(size=(200, 3))
LABELS = (ROWS[:, 0] + ROWS[:, 1] > 0).astype(int)
NAMES = ["age", "fare", "delay"]
FRAME = pd.DataFrame(ROWS, columns=NAMES)


def back(model: Any) -> formats.Model:
    saved = formats.save(model)
    return formats.load(saved.format, saved.files, environment=saved.environment)


def boosted(library: str, **settings: Any) -> Any:
    module = pytest.importorskip(library)
    if library == "xgboost":
        return module.XGBClassifier(n_estimators=20, n_jobs=1, **settings)
    return module.LGBMClassifier(n_estimators=20, n_jobs=1, verbose=-1, **settings)


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_columns_are_taken_by_name(library: str) -> None:
    fitted = boosted(library).fit(FRAME, LABELS)

    model = back(fitted)

    assert model.columns == tuple(NAMES)
    table = {name: FRAME[name].to_numpy() for name in reversed(NAMES)}
    np.testing.assert_array_equal(model.predict(table), fitted.predict_proba(FRAME)[:, 1])


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_missing_values_go_where_training_sent_them(library: str) -> None:
    rows = ROWS.copy()
    rows[::3, 0] = np.nan
    fitted = boosted(library).fit(rows, LABELS)

    np.testing.assert_array_equal(back(fitted).predict(rows), fitted.predict_proba(rows)[:, 1])


def test_early_stopping_is_remembered() -> None:
    fitted = boosted("xgboost", early_stopping_rounds=2, eval_metric="logloss")
    fitted.fit(ROWS[:100], LABELS[:100], eval_set=[(ROWS[100:], 1 - LABELS[100:])], verbose=False)

    assert fitted.best_iteration < fitted.get_booster().num_boosted_rounds() - 1
    np.testing.assert_array_equal(back(fitted).predict(ROWS), fitted.predict_proba(ROWS)[:, 1])


def test_labels_that_are_words_come_back() -> None:
    fitted = boosted("lightgbm").fit(ROWS, np.array(["no", "yes"])[LABELS])

    assert back(fitted).classes == ["no", "yes"]


def test_a_bare_booster_is_saved_and_softmax_gives_probabilities() -> None:
    xgboost = pytest.importorskip("xgboost")
    data = xgboost.DMatrix(ROWS, np.digitize(ROWS[:, 0], [-0.5, 0.5]))
    settings = {"num_class": 3, "nthread": 1, "seed": 0}
    soft = xgboost.train({**settings, "objective": "multi:softprob"}, data, 5)
    hard = xgboost.train({**settings, "objective": "multi:softmax"}, data, 5)

    found = back(hard)

    assert found.classes == [0, 1, 2]
    np.testing.assert_allclose(found.predict(ROWS), soft.predict(data), rtol=1e-6)


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_pandas_categories_are_refused_with_a_way_out(library: str) -> None:
    frame = FRAME.assign(carrier=pd.Categorical(np.array(["UA", "AA"])[LABELS]))
    settings = {"enable_categorical": True} if library == "xgboost" else {}
    fitted = boosted(library, **settings).fit(frame, LABELS)

    with pytest.raises(Invalid, match=r"category type.*OrdinalEncoder"):
        formats.save(fitted)


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
def test_texts_are_refused_by_column(library: str) -> None:
    model = back(boosted(library).fit(FRAME, LABELS))

    with pytest.raises(Invalid, match="column 'fare' holds no numbers"):
        model.predict({"age": ROWS[:2, 0], "fare": np.array(["a", "b"], dtype=object), "delay": ROWS[:2, 2]})


@pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
@pytest.mark.parametrize("change", [{"scores": "truth"}, {"classes": "ab"}, {"columns": [1]}, {"more": 1}])
def test_facts_that_are_not_sound_are_found_by_inspection(library: str, change: dict[str, Any]) -> None:
    saved = formats.save(boosted(library).fit(FRAME, LABELS))
    facts = {**json.loads(saved.files["facts.json"]), **change}

    found = formats.inspect(library, {**saved.files, "facts.json": json.dumps(facts).encode()})

    assert found == ["facts.json does not say columns, classes and scores as it should."]


def test_a_text_cut_at_the_end_of_any_line_of_its_trees_is_found_by_inspection() -> None:
    """Cut in this way, LightGBM itself would often read it, with trees missing."""
    saved = formats.save(boosted("lightgbm", max_depth=2).fit(FRAME, LABELS))
    text = saved.files["model.txt"]
    ends = [place + 1 for place in range(text.index(b"end of trees")) if text[place : place + 1] == b"\n"]

    assert len(ends) > 100
    for end in ends:
        assert formats.inspect("lightgbm", {**saved.files, "model.txt": text[:end]})
