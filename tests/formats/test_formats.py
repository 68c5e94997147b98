# SPDX-License-Identifier: Apache-2.0
"""The register, and what holds whatever the format."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mainstay import formats
from mainstay.domain.errors import Invalid, Unavailable


@pytest.fixture(scope="module")
def saved() -> formats.Saved:
    rows = np.arange(20.0).reshape(10, 2)
    return formats.save(LogisticRegression().fit(rows, [0, 1] * 5))


def test_an_unknown_format_is_answered_with_the_known_ones(saved: formats.Saved) -> None:
    with pytest.raises(
        Invalid, match=r"no model format 'h5'; the formats are lightgbm, onnx, pickle, pyfunc, sklearn, xgboost"
    ):
        formats.load("h5", saved.files)


@pytest.mark.parametrize("name", ["../sklearn", "sklearn_types", "limited", ""])
def test_only_registered_names_are_formats(name: str, saved: formats.Saved) -> None:
    with pytest.raises(Invalid, match="no model format"):
        formats.load(name, saved.files)


@pytest.mark.parametrize("model", [object(), {"weights": [1]}, lambda rows: rows, "model"])
def test_what_no_format_can_save_is_told_three_ways_out(model: Any) -> None:
    with pytest.raises(Invalid, match=r"Three ways out: .*; .*ONNX.*; or"):
        formats.detect(model)


def test_a_missing_library_is_named_with_its_extra(saved: formats.Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version

    def without_skops(name: str) -> str:
        if name == "skops":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", without_skops)

    with pytest.raises(Unavailable, match=r"needs skops, .* `pip install mainstay\[sklearn\]`"):
        formats.load("sklearn", saved.files)


@pytest.mark.parametrize(("version", "is_fine"), [("1.9.0", True), ("1.9.9", True), ("1.8.2", False), ("2.9.1", False)])
def test_scikit_learn_must_be_of_the_same_minor_version(
    version: str, is_fine: bool, saved: formats.Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = {**saved.environment, "scikit-learn": "1.9.1"}
    monkeypatch.setattr(formats, "versions", lambda *names: {name: here[name] for name in names})
    environment = {"scikit-learn": version}

    if is_fine:
        formats.load("sklearn", saved.files, environment=environment)
    else:
        with pytest.raises(Invalid, match=f"saved with scikit-learn {version}, and 1.9.1 is installed"):
            formats.load("sklearn", saved.files, environment=environment)


def test_a_missing_column_is_named_beside_the_strangers(saved: formats.Saved) -> None:
    import pandas as pd

    frame = pd.DataFrame({"age": [1.0, 2.0, 3.0, 4.0], "fare": [2.0, 1.0, 4.0, 3.0]})
    model = formats.load("sklearn", formats.save(LogisticRegression().fit(frame, [0, 1, 0, 1])).files)

    with pytest.raises(Invalid, match="expects column 'fare', which the table has not; 'fair' is not known to it"):
        model.predict({"age": np.ones(2), "fair": np.ones(2)})


def test_the_package_is_imported_without_any_of_the_libraries() -> None:
    code = (
        "import sys, mainstay.formats as f; f.names(); import mainstay.formats.limited, mainstay.formats.signature;"
        "bad = {'sklearn', 'skops', 'scipy', 'pandas', 'xgboost', 'lightgbm', 'onnx', 'onnxruntime', 'pyarrow'};"
        "sys.exit(' '.join(bad & set(sys.modules)) or 0)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


def test_verify_loads_the_bytes_in_another_process() -> None:
    rows = np.arange(20.0).reshape(10, 2)
    model = LogisticRegression().fit(rows, [0, 1] * 5)

    assert formats.save(model, verify=True) == formats.save(model)
