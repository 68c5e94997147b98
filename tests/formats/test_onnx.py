# SPDX-License-Identifier: Apache-2.0
"""ONNX: conversions are proved, and a graph may not reach out of its file."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import compose, ensemble, impute, linear_model, pipeline, preprocessing

from mainstay import formats
from mainstay.domain.errors import Invalid

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("skl2onnx")

from mainstay.formats import onnx as onnx_format  # noqa: E402 - only where there is something to test

ROWS = np.random.default_rng(0).normal(size=(200, 3))
LABELS = (ROWS[:, 0] > 0).astype(int)
FRAME = pd.DataFrame(ROWS, columns=["age", "fare", "delay"])


def graph() -> Any:
    return onnx_format.convert(linear_model.LogisticRegression().fit(ROWS, LABELS), ROWS)


@pytest.mark.parametrize(
    "estimator",
    [
        pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression()),
        ensemble.RandomForestClassifier(8, random_state=0),
        ensemble.GradientBoostingClassifier(n_estimators=5, random_state=0),
        pipeline.make_pipeline(
            compose.ColumnTransformer([("n", impute.SimpleImputer(), ["delay", "age"])]),
            linear_model.LogisticRegression(),
        ),
    ],
    ids=["logistic", "forest", "boosting", "columns by name"],
)
def test_a_converted_model_keeps_columns_labels_and_scores(estimator: Any) -> None:
    words = np.array(["fine", "late"])[LABELS]
    estimator.fit(FRAME, words)
    saved = formats.save(
        onnx_format.convert(estimator, FRAME.to_dict("series") and {n: FRAME[n].to_numpy() for n in FRAME})
    )

    model = formats.load("onnx", saved.files)

    table = {name: FRAME[name].to_numpy() for name in ("delay", "fare", "age")}
    np.testing.assert_allclose(model.predict(table), estimator.predict_proba(FRAME)[:, 1], atol=1e-5)
    assert model.columns == ("age", "fare", "delay")
    assert model.classes == ["fine", "late"]
    assert estimator.feature_names_in_.tolist() == ["age", "fare", "delay"]


def test_a_conversion_that_scores_differently_is_refused() -> None:
    model = linear_model.LogisticRegression().fit(ROWS, LABELS)

    with pytest.raises(Invalid, match=r"differs from the estimator by .* Serve the original"):
        onnx_format.convert(model, ROWS, tolerance=0.0)


def test_what_cannot_be_converted_is_told_to_stay() -> None:
    with pytest.raises(Invalid, match="cannot convert this HistGradientBoostingClassifier; serve the original"):
        onnx_format.convert(ensemble.HistGradientBoostingClassifier(max_iter=2).fit(ROWS, LABELS), ROWS)


def test_a_probability_is_never_more_than_one() -> None:
    model = ensemble.RandomForestClassifier(30, random_state=0).fit(ROWS, LABELS)

    found = formats.load("onnx", formats.save(onnx_format.convert(model, ROWS)).files).predict(ROWS)

    assert found.min() >= 0 and found.max() <= 1


def test_labels_are_read_from_a_graph_that_others_made() -> None:
    from skl2onnx import to_onnx

    fitted = linear_model.LogisticRegression().fit(ROWS, np.digitize(ROWS[:, 0], [-0.5, 0.5]))
    foreign = to_onnx(fitted, ROWS[:1].astype(np.float32), options={id(fitted): {"zipmap": False}})

    model = formats.load("onnx", formats.save(foreign).files)

    assert model.classes == [0, 1, 2]
    np.testing.assert_allclose(model.predict(ROWS), fitted.predict_proba(ROWS), atol=1e-5)


def test_a_graph_that_answers_mappings_is_told_how_to_convert() -> None:
    from skl2onnx import to_onnx

    foreign = to_onnx(linear_model.LogisticRegression().fit(ROWS, LABELS), ROWS[:1].astype(np.float32))

    with pytest.raises(Invalid, match="`zipmap` off"):
        formats.save(foreign)


def test_one_input_a_column_takes_numbers_and_texts() -> None:
    fitted = pipeline.make_pipeline(
        compose.ColumnTransformer([("c", preprocessing.OneHotEncoder(), [0]), ("n", "passthrough", [1])]),
        linear_model.LogisticRegression(),
    )
    carrier = np.array(["UA", "AA"], dtype=object)[LABELS]
    rows = np.column_stack([carrier, ROWS[:, 0]]).astype(object)
    fitted.fit(rows, LABELS)
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    inputs = [("carrier", StringTensorType([None, 1])), ("age", FloatTensorType([None, 1]))]
    foreign = to_onnx(fitted, initial_types=inputs, options={id(fitted): {"zipmap": False}})

    model = formats.load("onnx", formats.save(foreign).files)

    assert model.columns == ("carrier", "age")
    found = model.predict({"age": ROWS[:, 0], "carrier": carrier})
    np.testing.assert_allclose(found, fitted.predict_proba(rows)[:, 1], atol=1e-5)


def test_weights_in_another_file_are_refused() -> None:
    reaching = graph()
    tensor = onnx.helper.make_tensor("secret", onnx.TensorProto.FLOAT, [1], [0.0])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../secret.bin"
    reaching.graph.initializer.append(tensor)
    files = {"model.onnx": reaching.SerializeToString()}

    assert "weights in other files" in formats.inspect("onnx", files)[0]
    with pytest.raises(Invalid, match="weights in other files"):
        formats.load("onnx", files)


def test_operators_of_other_libraries_are_refused() -> None:
    foreign = graph()
    foreign.graph.node[0].domain = "com.example"

    with pytest.raises(Invalid, match=r"operators of com\.example"):
        formats.save(foreign)
