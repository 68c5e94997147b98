# SPDX-License-Identifier: Apache-2.0
"""A folder that only MLflow itself can load: what it is handed, what is made of its answers, and what it may not do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import pyfunc as mlflow
from mlflow.models import ModelSignature
from mlflow.types.schema import ColSpec, Schema, TensorSpec

from mainstay import formats
from mainstay.domain.errors import Invalid
from mainstay.formats import Model, limited, mlmodel

# The client's own advice on signatures and type hints.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

COLUMNS = Schema([ColSpec("double", "a"), ColSpec("long", "b"), ColSpec("boolean", "c"), ColSpec("double", "d", False)])
TABLE = {
    "a": np.array([0.5, np.nan, 2.0]),
    "b": np.array([1.0, 2.0, 3.0]),
    "c": np.array([1.0, 0.0, 1.0]),
    "d": np.full(3, np.nan),
}
NUMBER = Schema([ColSpec("double")])


def folder(
    tmp_path: Path, predict: Any, *, inputs: Schema = COLUMNS, outputs: Schema | None = NUMBER, **more: Any
) -> dict[str, Path | bytes]:
    """What the client writes for a class whose ``predict`` is this."""
    model = type("Own", (mlflow.PythonModel,), {"predict": predict})()
    where = tmp_path / "folder"
    told = ModelSignature(inputs, outputs)
    mlflow.save_model(str(where), python_model=model, signature=told, pip_requirements=["no-such-thing==1.2"], **more)
    return {str(file.relative_to(where)): file for file in where.rglob("*") if file.is_file()}


def loaded(files: dict[str, Path | bytes]) -> Model:
    told = mlmodel.read(files)
    assert (told.format, told.lack) == ("pyfunc", "")
    return formats.load("pyfunc", files, environment=told.environment, allow_pickle=True)


def test_it_is_handed_columns_of_the_types_that_its_signature_names(tmp_path: Path) -> None:
    def predict(self: Any, context: Any, model_input: Any, params: Any = None) -> Any:
        assert [str(kind) for kind in model_input.dtypes] == ["float64", "int64", "bool"], model_input.dtypes
        return model_input["a"].fillna(-1) + model_input["b"] * model_input["c"]

    model = loaded(folder(tmp_path, predict))

    assert (model.columns, model.classes, model.scores) == (("a", "b", "c", "d"), None, "value")
    assert model.predict(TABLE).tolist() == [1.5, -1.0, 5.0]
    assert model.predict({name: values[:0] for name, values in TABLE.items()}).shape == (0,)
    with pytest.raises(Invalid, match="expects column 'b'"):
        model.predict({"a": TABLE["a"]})
    with pytest.raises(Invalid, match="cannot score these rows"):
        model.predict({**TABLE, "b": np.array([1.0, np.nan, 3.0])})


def test_it_is_handed_a_tensor_of_the_shape_that_its_signature_names(tmp_path: Path) -> None:
    def predict(self: Any, context: Any, model_input: Any, params: Any = None) -> Any:
        assert model_input.shape[1:] == (2, 3) and model_input.dtype == np.float32
        return model_input[:, 1, :]

    inputs = Schema([TensorSpec(np.dtype("float32"), (-1, 2, 3))])
    model = loaded(folder(tmp_path, predict, inputs=inputs, outputs=Schema([TensorSpec(np.dtype("float32"), (-1, 3))])))

    rows = np.arange(12.0).reshape(2, 6)
    assert model.columns == ("x0", "x1", "x2", "x3", "x4", "x5")
    assert model.predict(rows).tolist() == [[3.0, 4.0, 5.0], [9.0, 10.0, 11.0]]
    assert model.predict(rows[:0]).shape == (0, 3)


def test_several_named_answers_are_classes_by_their_names(tmp_path: Path) -> None:
    def predict(self: Any, context: Any, model_input: Any, params: Any = None) -> Any:
        return model_input[["a", "b", "b"]].set_axis(["low", "mid", "high"], axis=1)

    outputs = Schema([ColSpec("double", name) for name in ("low", "mid", "high")])
    model = loaded(folder(tmp_path, predict, outputs=outputs))

    assert (model.classes, model.predict(TABLE).shape) == (["low", "mid", "high"], (3, 3))


@pytest.mark.parametrize(
    ("classes", "expected"),
    [(["no", "yes"], [0.0, 0.0, 1.0]), (["no", "yes", "odd"], [[1, 0, 0], [1, 0, 0], [0, 1, 0]])],
)
def test_texts_are_numbers_where_the_folder_names_them_all(tmp_path: Path, classes: list[str], expected: Any) -> None:
    def predict(self: Any, context: Any, model_input: Any, params: Any = None) -> Any:
        return ["yes" if a > 1 else "no" for a in model_input["a"]]

    model = loaded(folder(tmp_path, predict, outputs=Schema([ColSpec("string")]), metadata={"classes": classes}))

    assert (model.classes, model.predict(TABLE).tolist()) == (classes, expected)


def test_texts_that_nobody_named_are_refused_with_the_way_out(tmp_path: Path) -> None:
    def predict(self: Any, context: Any, model_input: Any, params: Any = None) -> Any:
        return ["yes"] * len(model_input)

    files = folder(tmp_path, predict, outputs=Schema([ColSpec("string")]))

    with pytest.raises(Invalid, match=r"answers 'yes', and a prediction is a number here.*metadata="):
        loaded(files).predict(TABLE)


def test_an_answer_that_is_not_one_a_row_is_refused(tmp_path: Path) -> None:
    def predict(self: Any, context: Any, model_input: Any, params: Any = None) -> Any:
        return [1.0]

    with pytest.raises(Invalid, match=r"an answer of shape \(1,\) for 3 rows"):
        loaded(folder(tmp_path, predict)).predict(TABLE)


def test_what_is_missing_is_named_with_what_the_requirements_ask_for(tmp_path: Path) -> None:
    def predict(self: Any, context: Any, model_input: Any, params: Any = None) -> Any:
        return model_input["a"]

    files = folder(tmp_path, predict)
    described = (tmp_path / "folder" / "MLmodel").read_text()
    files["MLmodel"] = described.replace("loader_module: mlflow.pyfunc.model", "loader_module: no_such_module").encode()

    with pytest.raises(Invalid, match=r"needs module 'no_such_module'.*ask for no-such-thing==1.2\. Install"):
        loaded(files)


BROUGHT = """
def _load_pyfunc(path):
    return Own()

class Own:
    def predict(self, rows, params=None):
        return rows["a"] * 0 + PRICE
"""


def test_the_modules_of_one_folder_are_not_those_of_another(tmp_path: Path) -> None:
    found = []
    for number in (1, 2):
        code = tmp_path / str(number) / "prices.py"
        code.parent.mkdir()
        code.write_text(f"PRICE = {number}.0\n{BROUGHT}")
        where, told = tmp_path / f"folder{number}", ModelSignature(COLUMNS, NUMBER)
        mlflow.save_model(
            str(where), loader_module="prices", code_paths=[str(code)], signature=told, pip_requirements=[]
        )
        found.append(loaded({str(file.relative_to(where)): file for file in where.rglob("*") if file.is_file()}))

    assert [model.predict(TABLE).tolist()[0] for model in found] == [1.0, 2.0]


def test_a_model_that_writes_into_its_folder_changes_no_file_that_was_given(tmp_path: Path) -> None:
    def predict(self: Any, context: Any, model_input: Any, params: Any = None) -> Any:
        Path(context.artifacts["prices"]).write_text("spoilt")
        return model_input["a"]

    (tmp_path / "prices.txt").write_text("sound")
    files = folder(tmp_path, predict, artifacts={"prices": str(tmp_path / "prices.txt")})
    loaded(files).predict(TABLE)

    kept = files["artifacts/prices.txt"]
    assert isinstance(kept, Path) and kept.read_text() == "sound"


def test_nothing_of_it_is_run_unless_that_was_allowed(tmp_path: Path) -> None:
    def predict(self: Any, context: Any, model_input: Any, params: Any = None) -> Any:
        return model_input["a"]

    files = folder(tmp_path, predict)

    assert formats.runs_code("pyfunc")
    with pytest.raises(Invalid, match="nobody has allowed that"):
        formats.load("pyfunc", files)
    assert "nobody has allowed" in limited.check_in_child("pyfunc", files)["error"]
    answer = limited.check_in_child("pyfunc", files, probe=TABLE | {"a": np.ones(3)}, allow_pickle=True)
    assert (answer["ok"], answer.get("scores")) == (True, [1.0, 1.0, 1.0]), answer


@pytest.mark.parametrize("name", ["../out", "/etc/x", "a/../../out"])
def test_a_file_that_would_lie_outside_is_refused(tmp_path: Path, name: str) -> None:
    def predict(self: Any, context: Any, model_input: Any, params: Any = None) -> Any:
        return model_input["a"]

    with pytest.raises(Invalid, match="outside of its folder"):
        loaded({**folder(tmp_path, predict), name: b"x"})
