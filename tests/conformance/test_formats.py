# SPDX-License-Identifier: Apache-2.0
"""What every format must do: the same suite for each adapter whose library is installed.

A format supplies examples: fitted models by name, with the rows to try and the scores the original gives.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mainstay import formats
from mainstay.domain.errors import Invalid
from mainstay.formats import limited

NAMES = ("age", "fare", "stops", "delay")
KINDS = ("binary", "multiclass", "regression")
ROOT = str(Path(__file__).parents[2])


@dataclass(frozen=True, kw_only=True)
class Example:
    """A fitted model and the scores it gives to ``rows``."""

    model: Any
    rows: np.ndarray[Any, Any]
    scores: np.ndarray[Any, Any]
    classes: list[Any] | None
    tolerance: float = 0.0


def rows_and_target(kind: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    dice = np.random.default_rng(7)
    rows = dice.normal(size=(150, len(NAMES)))
    value = rows[:, 0] * 2 - rows[:, 1] + dice.normal(scale=0.1, size=150)
    if kind == "regression":
        return rows, value
    return rows, np.digitize(value, [0.0] if kind == "binary" else [-1.0, 1.0])


def fit(format: str, kind: str) -> Example:
    """One example of ``format``. Also called by the child of the determinism test, so it must not use fixtures."""
    return {"sklearn": fit_sklearn, "xgboost": fit_xgboost, "lightgbm": fit_lightgbm, "onnx": fit_onnx}[format](kind)


def scored(model: Any, predictor: Any, rows: Any, kind: str, tolerance: float = 0.0) -> Example:
    if kind == "regression":
        return Example(model=model, rows=rows, scores=predictor.predict(rows), classes=None, tolerance=tolerance)
    scores = predictor.predict_proba(rows)
    classes = predictor.classes_.tolist()
    scores = scores[:, 1] if kind == "binary" else scores
    return Example(model=model, rows=rows, scores=scores, classes=classes, tolerance=tolerance)


def fit_sklearn(kind: str) -> Example:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows, target = rows_and_target(kind)
    forest = RandomForestRegressor if kind == "regression" else RandomForestClassifier
    model = make_pipeline(StandardScaler(), forest(8, random_state=0)).fit(rows, target)
    return scored(model, model, rows, kind)


def fit_xgboost(kind: str) -> Example:
    import xgboost

    rows, target = rows_and_target(kind)
    boosted = xgboost.XGBRegressor if kind == "regression" else xgboost.XGBClassifier
    model = boosted(n_estimators=6, random_state=0, n_jobs=1).fit(rows, target)
    return scored(model, model, rows, kind)


def fit_lightgbm(kind: str) -> Example:
    import lightgbm

    rows, target = rows_and_target(kind)
    boosted = lightgbm.LGBMRegressor if kind == "regression" else lightgbm.LGBMClassifier
    model = boosted(n_estimators=6, random_state=0, n_jobs=1, verbose=-1).fit(rows, target)
    return scored(model, model.booster_ if kind == "regression" else model, rows, kind)


def fit_onnx(kind: str) -> Example:
    from sklearn.linear_model import LinearRegression, LogisticRegression

    from mainstay.formats import onnx

    rows, target = rows_and_target(kind)
    model = (LinearRegression() if kind == "regression" else LogisticRegression()).fit(rows, target)
    return scored(onnx.convert(model, rows), model, rows, kind, tolerance=1e-5)


def installed() -> list[str]:
    """Those that save. What only reads, and runs what it reads, stands in tests/formats/test_{mlmodel,pyfunc}.py."""
    saving = [name for name in formats.names() if not formats.runs_code(name)]
    return [name for name in saving if all(map(formats.versions, formats.get(name).libraries))]


@pytest.fixture(scope="module", params=[(name, kind) for name in installed() for kind in KINDS], ids="-".join)
def example(request: pytest.FixtureRequest) -> Example:
    return fit(*request.param)


@pytest.fixture(scope="module", params=installed())
def binary(request: pytest.FixtureRequest) -> Example:
    return fit(request.param, "binary")


def loaded(saved: formats.Saved) -> formats.Model:
    return formats.load(saved.format, saved.files, environment=saved.environment)


def test_every_format_of_the_folder_is_tried_here() -> None:
    assert sorted([*installed(), "pickle", "pyfunc"]) == formats.names()
    assert installed() == ["lightgbm", "onnx", "sklearn", "xgboost"]


def test_a_loaded_model_scores_as_the_original_did(example: Example) -> None:
    model = loaded(formats.save(example.model))

    found = model.predict(example.rows)

    assert found.shape == example.scores.shape
    np.testing.assert_allclose(found, example.scores, rtol=0, atol=example.tolerance)
    assert model.classes == example.classes
    assert model.scores == ("value" if example.classes is None else "probability")


def test_columns_and_an_array_give_the_same_scores(example: Example) -> None:
    model = loaded(formats.save(example.model))
    names = model.columns or NAMES
    table = {name: example.rows[:, place] for place, name in enumerate(names)}

    np.testing.assert_array_equal(model.predict(table), model.predict(example.rows))


def test_no_rows_give_no_scores_of_the_same_kind(example: Example) -> None:
    model = loaded(formats.save(example.model))

    found = model.predict(example.rows[:0])

    assert found.shape == (0, *model.predict(example.rows).shape[1:])


def test_rows_of_another_width_are_refused(example: Example) -> None:
    model = loaded(formats.save(example.model))

    with pytest.raises(Invalid, match="4 columns"):
        model.predict(example.rows[:, :3])


def test_saving_twice_gives_the_same_bytes(example: Example) -> None:
    assert formats.save(example.model) == formats.save(example.model)


def test_two_processes_save_the_same_bytes() -> None:
    def digest_in_a_process(seed: str) -> Any:
        code = (
            "import sys, json; sys.path[:] = json.loads(sys.argv[1]); import importlib;"
            "suite = importlib.import_module(sys.argv[2]); print(json.dumps(suite.digests()))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, json.dumps([ROOT, *sys.path]), __name__],
            env={"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            check=True,
        )
        return json.loads(done.stdout)

    first, second = digest_in_a_process("1"), digest_in_a_process("2")

    assert first == second
    assert len(first) == len(installed()) * len(KINDS)


def digests() -> dict[str, str]:
    found = {}
    for name in installed():
        for kind in KINDS:
            saved = formats.save(fit(name, kind).model)
            content = b"".join(saved.files[file] for file in sorted(saved.files))
            found[f"{name}-{kind}"] = hashlib.sha256(content).hexdigest()
    return found


def test_many_threads_get_the_scores_that_one_gets(binary: Example) -> None:
    model = loaded(formats.save(binary.model))
    parts = np.array_split(binary.rows, 30)

    with ThreadPoolExecutor(8) as threads:
        found = np.concatenate(list(threads.map(model.predict, parts)))

    np.testing.assert_allclose(found, model.predict(binary.rows), rtol=0, atol=1e-12)


def test_what_was_saved_passes_inspection_and_a_limited_child(binary: Example) -> None:
    saved = formats.save(binary.model)

    answer = limited.check_in_child(saved.format, saved.files, probe=binary.rows[:4], environment=saved.environment)

    assert formats.inspect(saved.format, saved.files) == []
    assert answer["ok"], answer
    assert answer["classes"] == binary.classes
    np.testing.assert_allclose(answer["scores"], binary.scores[:4], rtol=0, atol=binary.tolerance)


def test_files_on_disk_load_as_bytes_do(binary: Example, tmp_path: Any) -> None:
    saved = formats.save(binary.model)
    paths = {name: tmp_path / name for name in saved.files}
    for name, path in paths.items():
        path.write_bytes(saved.files[name])

    found = formats.load(saved.format, paths).predict(binary.rows)

    np.testing.assert_array_equal(found, loaded(saved).predict(binary.rows))


def test_a_truncated_file_is_found_by_inspection(binary: Example) -> None:
    saved = formats.save(binary.model)

    for name, content in saved.files.items():
        for part in (0, 1, len(content) // 2, len(content) - 1):
            cut = {**saved.files, name: content[:part]}
            assert formats.inspect(saved.format, cut), f"{name} cut to {part} of {len(content)} bytes"
            with pytest.raises(Invalid):
                formats.load(saved.format, cut)


def test_random_bytes_and_a_pickle_are_found_by_inspection(binary: Example) -> None:
    import pickle

    saved = formats.save(binary.model)
    noise = np.random.default_rng(3).bytes(5000)

    for content in (noise, b"", pickle.dumps({"a": 1}), pickle.dumps([1.0] * 100, protocol=0)):
        broken = {name: content for name in saved.files}
        assert formats.inspect(saved.format, broken)
        with pytest.raises(Invalid):
            formats.load(saved.format, broken)


def test_a_missing_file_is_named(binary: Example) -> None:
    saved = formats.save(binary.model)

    for name in saved.files:
        rest = {other: content for other, content in saved.files.items() if other != name}
        with pytest.raises(Invalid, match=name):
            formats.load(saved.format, rest)


def test_the_environment_says_what_is_needed_to_read_the_bytes(binary: Example) -> None:
    saved = formats.save(binary.model)

    assert {"python", *formats.get(saved.format).libraries} == set(saved.environment)


def test_a_model_saved_by_a_later_library_is_refused_unless_allowed(binary: Example) -> None:
    saved = formats.save(binary.model)
    library = formats.get(saved.format).libraries[0]
    later = {**saved.environment, library: "99.1.0"}

    with pytest.raises(Invalid, match=rf"saved with {library} 99\.1\.0"):
        formats.load(saved.format, saved.files, environment=later)
    formats.load(saved.format, saved.files, environment=later, allow_version_mismatch=True)
