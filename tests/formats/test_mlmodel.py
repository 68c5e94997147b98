# SPDX-License-Identifier: Apache-2.0
"""A folder that MLflow's client logged: read without running it, and loaded by the format that it names."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest
import yaml

from mainstay import formats
from mainstay.domain.errors import Invalid
from mainstay.formats import limited, mlmodel

ROWS = np.random.default_rng(3).normal(size=(80, 3))
LABELS = (ROWS[:, 0] > ROWS[:, 1]).astype(int)
NAMES = ("de lay", "fare", "stops")
TABLE = {name: ROWS[:, place] for place, name in enumerate(NAMES)}


def described(flavour: str, facts: dict[str, Any], **more: Any) -> bytes:
    inputs = json.dumps([{"type": "double", "name": name, "required": True} for name in NAMES])
    outputs = json.dumps([{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}])
    content = {
        "flavors": {flavour: facts, "python_function": {"python_version": "3.11.7"}},
        "signature": {"inputs": inputs, "outputs": outputs, "params": None},
        **more,
    }
    return yaml.safe_dump(content).encode()


def fitted_sklearn() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit(ROWS, LABELS)


def sklearn_folder() -> dict[str, bytes]:
    from skops import io

    facts = {"pickled_model": "model.skops", "serialization_format": "skops", "sklearn_version": "1.9.1"}
    return {"MLmodel": described("sklearn", facts), "model.skops": io.dumps(fitted_sklearn())}


def pickle_folder() -> dict[str, bytes]:
    facts = {"pickled_model": "model.pkl", "serialization_format": "cloudpickle"}
    return {"MLmodel": described("sklearn", facts), "model.pkl": pickle.dumps(fitted_sklearn())}


def xgboost_folder() -> dict[str, bytes]:
    import xgboost

    model = xgboost.XGBClassifier(n_estimators=4, n_jobs=1).fit(ROWS, LABELS)
    facts = {"data": "model.json", "model_class": "xgboost.sklearn.XGBClassifier", "xgb_version": "3.1.0"}
    return {"MLmodel": described("xgboost", facts), "model.json": bytes(model.get_booster().save_raw("json"))}


def lightgbm_folder() -> dict[str, bytes]:
    import lightgbm
    from skops import io

    model = lightgbm.LGBMClassifier(n_estimators=4, n_jobs=1, verbose=-1).fit(ROWS, np.array(["no", "yes"])[LABELS])
    facts = {"data": "model.skops", "serialization_format": "skops", "model_class": "lightgbm.sklearn.LGBMClassifier"}
    return {"MLmodel": described("lightgbm", facts), "model.skops": io.dumps(model)}


FOLDERS = {"sklearn": sklearn_folder, "xgboost": xgboost_folder, "lightgbm": lightgbm_folder, "pickle": pickle_folder}


@pytest.mark.parametrize("format", FOLDERS)
def test_a_folder_names_its_format_and_is_loaded_by_it(format: str) -> None:
    files = FOLDERS[format]()

    told = mlmodel.read(files)
    model = formats.load(told.format, files, allow_pickle=format == "pickle")

    assert (told.format, told.lack) == (format, "")
    assert [column["name"] for column in told.signature["inputs"]] == list(NAMES)
    assert told.signature["output"] == {"type": "classification"}
    scores = model.predict({name: values[:20] for name, values in TABLE.items()})
    assert model.classes == (["no", "yes"] if format == "lightgbm" else [0, 1])
    assert ((scores > 0.5) == (LABELS[:20] == 1)).mean() > 0.8
    assert limited.check_in_child(told.format, files, allow_pickle=format == "pickle")["ok"]


def test_a_pickle_is_not_read_unless_that_was_allowed() -> None:
    class Shell:
        def __reduce__(self) -> Any:
            return exec, ("raise SystemError('it ran')",)

    files = {**pickle_folder(), "model.pkl": pickle.dumps(Shell())}

    with pytest.raises(Invalid, match="nobody has allowed that"):
        formats.load("pickle", files)
    assert "nobody has allowed" in limited.check_in_child("pickle", files)["error"]
    with pytest.raises(Invalid, match="cannot be unpickled: SystemError"):
        formats.load("pickle", files, allow_pickle=True)


def test_nothing_is_saved_as_a_pickle() -> None:
    assert formats.detect(fitted_sklearn()) == "sklearn"
    with pytest.raises(Invalid, match="not saved as a pickle"):
        formats.save(fitted_sklearn(), format="pickle")


@pytest.mark.parametrize(
    ("flavour", "facts", "format"),
    [
        ("pytorch", {"model_data": "data"}, "pytorch"),
        ("keras", {"data": "data"}, "keras"),
        ("statsmodels", {"data": "model.statsmodels"}, "statsmodels"),
        ("onnx", {"data": "model.onnx"}, "onnx"),
        ("lightgbm", {"data": "model.pkl"}, "pickle"),
        ("lightgbm", {"data": "model.lgb", "serialization_format": "cloudpickle"}, "lightgbm"),
        ("sklearn", {"pickled_model": "model.pkl"}, "pickle"),
    ],
)
def test_a_folder_that_nobody_here_can_load_keeps_its_own_word(
    flavour: str, facts: dict[str, Any], format: str
) -> None:
    assert mlmodel.read({"MLmodel": described(flavour, facts)}).format == format


@pytest.mark.parametrize(
    ("flavour", "facts", "format"),
    [
        ("pytorch", {"model_data": "data"}, "pyfunc"),
        ("xgboost", {"data": "model.pkl"}, "pyfunc"),
        ("sklearn", {"pickled_model": "model.pkl"}, "pickle"),
        ("onnx", {"data": "model.onnx"}, "onnx"),
    ],
)
def test_a_folder_that_says_how_it_is_loaded_is_read_by_mlflow_where_nothing_safer_can(
    flavour: str, facts: dict[str, Any], format: str
) -> None:
    flavors = {flavour: facts, "python_function": {"loader_module": f"mlflow.{flavour}"}}
    assert mlmodel.read({"MLmodel": described(flavour, facts, flavors=flavors)}).format == format


def test_an_array_has_columns_by_place_and_the_example_fits_them() -> None:
    spec = json.dumps([{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}}])
    example = {"artifact_path": "input_example.json", "type": "ndarray"}
    files = {
        "MLmodel": described(
            "sklearn", {"pickled_model": "m"}, signature={"inputs": spec}, saved_input_example_info=example
        ),
        "input_example.json": b"[[1.0, 2.0]]",
    }

    assert [column["name"] for column in mlmodel.read(files).signature["inputs"]] == ["x0", "x1"]
    assert mlmodel.example(files) == [{"x0": 1.0, "x1": 2.0}]


@pytest.mark.parametrize(
    ("shape", "example", "row"),
    [
        ([-1], b"[7.0]", {"x0": 7.0}),
        ([-1, 2, 2], b"[[[1.0, 2.0], [3.0, 4.0]]]", {"x0": 1.0, "x1": 2.0, "x2": 3.0, "x3": 4.0}),
    ],
)
def test_an_array_of_another_rank_has_them_too(shape: list[int], example: bytes, row: dict[str, float]) -> None:
    spec = json.dumps([{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": shape}}])
    told = {"artifact_path": "input_example.json", "type": "ndarray"}
    files = {
        "MLmodel": described("sklearn", {}, signature={"inputs": spec}, saved_input_example_info=told),
        "input_example.json": example,
    }

    assert [column["name"] for column in mlmodel.read(files).signature["inputs"]] == list(row)
    assert mlmodel.example(files) == [row]


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 28, -1]}}], "fixed number of values"),
        ([{"type": "object", "name": "o"}], "a row holds plain values"),
        ("nonsense", "cannot be read"),
    ],
)
def test_a_signature_that_no_request_could_be_checked_by_says_why(inputs: Any, words: str) -> None:
    told = mlmodel.read({"MLmodel": described("sklearn", {}, signature={"inputs": json.dumps(inputs)})})

    assert told.signature == {}
    assert words in told.lack


def test_the_environment_comes_from_the_pinned_requirements_and_the_flavour() -> None:
    files = {
        "MLmodel": described("xgboost", {"data": "m", "xgb_version": "3.1.0"}),
        "requirements.txt": b"numpy==2.4.6\nmlflow[extras]==3.17.2\n-r other.txt\ngit+https://x\nPandas==3.1.1 ; x\n",
    }

    assert mlmodel.read(files).environment == {
        "numpy": "2.4.6", "mlflow": "3.17.2", "pandas": "3.1.1", "python": "3.11.7", "xgboost": "3.1.0",
    }  # fmt: skip


BOMB = "a: &a [x]\n" + "\n".join(f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]" for n in range(20))


@pytest.mark.parametrize(
    "content",
    [
        b"flavors: {}", b"[]", b"\xff\xfe\x00", b"flavors: [", b"flavors: {sklearn: 3}", b"x" * (2 << 20), BOMB.encode(),
        b"flavors: !!python/object/apply:os.system ['true']", b"[" * 5000, b"flavors: {a: 2026-99-99}",
    ],
    ids=lambda content: repr(content[:20]),
)  # fmt: skip
def test_what_is_no_description_is_refused_with_a_sentence(content: bytes) -> None:
    with pytest.raises(Invalid) as caught:
        mlmodel.read({"MLmodel": content})

    assert "\n" not in caught.value.message


def test_a_folder_that_names_a_file_outside_of_it_is_refused() -> None:
    files = {"MLmodel": described("sklearn", {"pickled_model": "../../etc/passwd", "serialization_format": "skops"})}

    with pytest.raises(Invalid, match="the folder has no such file"):
        formats.load("sklearn", files)


def test_a_lightgbm_archive_that_holds_something_else_is_refused() -> None:
    files = {**lightgbm_folder(), "model.skops": sklearn_folder()["model.skops"]}

    with pytest.raises(Invalid, match="does not hold a LightGBM estimator"):
        formats.load("lightgbm", files)
