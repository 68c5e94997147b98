# SPDX-License-Identifier: Apache-2.0
"""scikit-learn: many estimators come back as they were, and what is not on the list does not come in."""

from __future__ import annotations

import contextlib
import io
import json
import warnings
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import (
    calibration,
    compose,
    discriminant_analysis,
    ensemble,
    feature_extraction,
    feature_selection,
    gaussian_process,
    impute,
    isotonic,
    linear_model,
    model_selection,
    multiclass,
    naive_bayes,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    svm,
    tree,
)
from skops import io as skops_io

from mainstay import formats
from mainstay.domain.errors import Invalid
from mainstay.formats import sklearn_types, skops_archive
from mainstay.formats.sklearn import FILE

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

DICE = np.random.default_rng(0)
ROWS = DICE.normal(size=(120, 5))
TARGET = ROWS[:, 0] * 2 + ROWS[:, 1] ** 2
LABELS = np.digitize(TARGET, [0.0, 2.0])
WORDS = np.array(["low", "middle", "high"])[LABELS]

CLASSIFIERS = [
    linear_model.LogisticRegression(),
    linear_model.RidgeClassifier(),
    linear_model.SGDClassifier(random_state=0),
    tree.DecisionTreeClassifier(random_state=0),
    ensemble.RandomForestClassifier(8, random_state=0, n_jobs=-1),
    ensemble.ExtraTreesClassifier(8, random_state=0),
    ensemble.GradientBoostingClassifier(n_estimators=5, random_state=0),
    ensemble.HistGradientBoostingClassifier(max_iter=5, random_state=0),
    ensemble.AdaBoostClassifier(n_estimators=5, random_state=0),
    ensemble.BaggingClassifier(random_state=0),
    ensemble.VotingClassifier(
        [("a", linear_model.LogisticRegression()), ("b", tree.DecisionTreeClassifier())], voting="soft"
    ),
    ensemble.StackingClassifier([("a", naive_bayes.GaussianNB()), ("b", tree.DecisionTreeClassifier(random_state=0))]),
    neighbors.KNeighborsClassifier(algorithm="kd_tree"),
    neighbors.KNeighborsClassifier(algorithm="ball_tree"),
    neighbors.KNeighborsClassifier(algorithm="brute"),
    neural_network.MLPClassifier((8,), max_iter=20, random_state=0),
    svm.SVC(),
    svm.LinearSVC(),
    naive_bayes.GaussianNB(),
    discriminant_analysis.LinearDiscriminantAnalysis(),
    discriminant_analysis.QuadraticDiscriminantAnalysis(),
    gaussian_process.GaussianProcessClassifier(),
    calibration.CalibratedClassifierCV(linear_model.LogisticRegression(), cv=2),
    calibration.CalibratedClassifierCV(naive_bayes.GaussianNB(), method="isotonic", cv=2),
    multiclass.OneVsRestClassifier(linear_model.LogisticRegression()),
    model_selection.GridSearchCV(linear_model.LogisticRegression(), {"C": [0.1, 1.0]}, cv=2, scoring="roc_auc_ovr"),
    pipeline.make_pipeline(
        impute.SimpleImputer(),
        preprocessing.QuantileTransformer(n_quantiles=20),
        feature_selection.SelectKBest(k=3),
        linear_model.LogisticRegression(),
    ),
    pipeline.make_pipeline(preprocessing.FunctionTransformer(np.abs), linear_model.LogisticRegression()),
]
REGRESSORS = [
    linear_model.LinearRegression(),
    linear_model.RidgeCV(),
    linear_model.LassoCV(cv=2),
    linear_model.HuberRegressor(),
    tree.DecisionTreeRegressor(random_state=0),
    ensemble.RandomForestRegressor(8, random_state=0),
    ensemble.GradientBoostingRegressor(n_estimators=5, random_state=0),
    ensemble.HistGradientBoostingRegressor(max_iter=5, random_state=0),
    ensemble.HistGradientBoostingRegressor(loss="quantile", quantile=0.9, max_iter=5, random_state=0),
    neighbors.KNeighborsRegressor(),
    neural_network.MLPRegressor(hidden_layer_sizes=(8,), max_iter=20, random_state=0),
    svm.SVR(),
    svm.NuSVR(),
    gaussian_process.GaussianProcessRegressor(),
    pipeline.make_pipeline(preprocessing.PolynomialFeatures(), linear_model.Lasso()),
    compose.TransformedTargetRegressor(linear_model.Ridge(), transformer=preprocessing.StandardScaler()),
    ensemble.IsolationForest(n_estimators=5, random_state=0),
]


def named(estimators: list[Any]) -> list[Any]:
    return [pytest.param(estimator, id=f"{type(estimator).__name__}-{n}") for n, estimator in enumerate(estimators)]


def back(model: Any) -> formats.Model:
    saved = formats.save(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return formats.load(saved.format, saved.files, environment=saved.environment)


def schema_of(archive: bytes) -> Any:
    with zipfile.ZipFile(io.BytesIO(archive)) as members:
        return json.loads(members.read("schema.json"))


def rewritten(archive: bytes, **changes: bytes) -> bytes:
    """``archive`` with some members replaced; ``__`` in a name stands for the dot."""
    with zipfile.ZipFile(io.BytesIO(archive)) as members:
        files = {name: members.read(name) for name in members.namelist()}
    return packed({**files, **{name.replace("__", "."): content for name, content in changes.items()}})


def packed(files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as members:
        for name, content in files.items():
            members.writestr(name, content)
    return buffer.getvalue()


def problems(archive: bytes) -> str:
    return " ".join(formats.inspect("sklearn", {FILE: archive}))


# Round trips


@pytest.mark.parametrize("estimator", named(CLASSIFIERS))
def test_a_classifier_comes_back_as_it_was(estimator: Any) -> None:
    estimator.fit(ROWS, WORDS)
    has_probabilities = hasattr(estimator, "predict_proba")
    expected = estimator.predict_proba(ROWS) if has_probabilities else estimator.decision_function(ROWS)

    model = back(estimator)

    np.testing.assert_allclose(model.predict(ROWS), expected, rtol=1e-12, atol=1e-14)
    assert model.classes == ["high", "low", "middle"]
    assert model.scores == ("probability" if has_probabilities else "margin")


@pytest.mark.parametrize("estimator", named(REGRESSORS))
def test_a_regressor_comes_back_as_it_was(estimator: Any) -> None:
    estimator.fit(ROWS, TARGET)

    model = back(estimator)

    np.testing.assert_allclose(model.predict(ROWS), estimator.predict(ROWS), rtol=1e-12, atol=1e-14)
    assert model.classes is None
    assert model.scores == "value"


@pytest.mark.parametrize("estimator", [svm.SVC(), svm.LinearSVC()])
def test_two_classes_give_one_margin_a_row(estimator: Any) -> None:
    estimator.fit(ROWS, LABELS > 0)

    model = back(estimator)

    assert model.predict(ROWS).shape == (120,)
    assert model.classes == [False, True]


def test_texts_are_read_from_one_column() -> None:
    texts = np.array(["late again", "on time", "late", "very good time"] * 5, dtype=object)
    model = pipeline.make_pipeline(feature_extraction.text.TfidfVectorizer(), linear_model.LogisticRegression())
    model.fit(texts, [1, 0, 1, 0] * 5)

    found = back(model).predict({"comment": texts[:4]})

    np.testing.assert_array_equal(found, model.predict_proba(texts[:4])[:, 1])


def test_a_sparse_fit_comes_back() -> None:
    import scipy.sparse

    model = svm.SVC(kernel="linear").fit(scipy.sparse.csr_matrix(ROWS), LABELS > 0)

    archive = formats.save(model).files[FILE]

    assert formats.save(model).files[FILE] == archive
    np.testing.assert_allclose(formats.load("sklearn", {FILE: archive}).predict(ROWS), model.decision_function(ROWS))


def test_plain_skops_reads_the_canonical_archive() -> None:
    model = linear_model.LogisticRegression().fit(ROWS, LABELS)

    found = skops_io.loads(formats.save(model).files[FILE])

    np.testing.assert_array_equal(found.predict_proba(ROWS), model.predict_proba(ROWS))


# Columns, categories, missing values


def frame(missing: bool = True, kind: str = "category") -> pd.DataFrame:
    carrier = np.array(["AA", "UA", "DL"], dtype=object)[LABELS]
    delay = ROWS[:, 1].copy()
    if missing:
        carrier[::11], delay[::7] = None, np.nan
    return pd.DataFrame({"distance": ROWS[:, 0], "carrier": pd.Series(carrier, dtype=kind), "delay": delay})


def as_table(data: pd.DataFrame) -> dict[str, np.ndarray[Any, Any]]:
    carrier = np.array([None if pd.isna(one) else one for one in data["carrier"]], dtype=object)
    return {"delay": data["delay"].to_numpy(), "carrier": carrier, "distance": data["distance"].to_numpy()}


def by_names(last: Any, kind: str = "category") -> tuple[Any, pd.DataFrame]:
    data = frame(kind=kind)
    encoder = preprocessing.OneHotEncoder(handle_unknown="ignore")
    columns = [("c", encoder, ["carrier"]), ("n", impute.SimpleImputer(), ["distance", "delay"])]
    return pipeline.make_pipeline(compose.ColumnTransformer(columns), last).fit(data, TARGET > 0), data


def boosted(**settings: Any) -> Any:
    return ensemble.HistGradientBoostingClassifier(max_iter=10, random_state=0, min_samples_leaf=5, **settings)


def from_dtype() -> tuple[Any, pd.DataFrame]:
    data = frame()
    return boosted(categorical_features="from_dtype").fit(data, TARGET > 0), data


def encoded_then_boosted() -> tuple[Any, pd.DataFrame]:
    data = frame(kind="str")
    encoder = preprocessing.OrdinalEncoder(max_categories=255, handle_unknown="use_encoded_value", unknown_value=np.nan)
    columns = compose.ColumnTransformer([("c", encoder, ["carrier"])], remainder="passthrough")
    return pipeline.make_pipeline(columns, boosted(categorical_features=[0])).fit(data, TARGET > 0), data


def one_text_column() -> tuple[Any, pd.DataFrame]:
    data = frame(missing=False, kind="str")
    words = feature_extraction.text.CountVectorizer(lowercase=True)
    columns = compose.ColumnTransformer([("t", words, "carrier"), ("n", "passthrough", ["delay"])])
    return pipeline.make_pipeline(columns, linear_model.LogisticRegression()).fit(data, TARGET > 0), data


MIXED = {
    "boosting from dtype": from_dtype,
    "boosting after an encoder": encoded_then_boosted,
    "a text column": one_text_column,
    "columns by name, forest": lambda: by_names(ensemble.RandomForestClassifier(8, random_state=0)),
    "columns by name, texts": lambda: by_names(linear_model.LogisticRegression(), kind="str"),
}


@pytest.mark.parametrize("fitted", MIXED.values(), ids=MIXED)
def test_a_model_fitted_on_a_frame_scores_arrays_by_column_the_same(fitted: Callable[[], Any]) -> None:
    original, data = fitted()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = back(original)
        found = model.predict(as_table(data))
        one = model.predict({name: column[:1] for name, column in as_table(data).items()})

    expected = original.predict_proba(data)[:, 1]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(one, expected[:1], rtol=1e-12)
    assert model.columns == ("distance", "carrier", "delay")
    assert not model.takes_frame


def test_loading_leaves_the_original_alone() -> None:
    original, data = by_names(linear_model.LogisticRegression())
    before = formats.save(original)

    back(original).predict(as_table(data))

    assert formats.save(original) == before
    assert original.feature_names_in_.tolist() == ["distance", "carrier", "delay"]


@pytest.mark.parametrize("how", ["function", "set_output"])
def test_a_part_that_needs_a_frame_gets_one(how: str) -> None:
    data = frame(missing=False)[["distance", "delay"]]
    part = preprocessing.FunctionTransformer(np.abs) if how == "function" else preprocessing.StandardScaler()
    part = part.set_output(transform="pandas") if how == "set_output" else part
    original = pipeline.make_pipeline(part, linear_model.LogisticRegression()).fit(data, LABELS > 0)

    model = back(original)

    assert model.takes_frame
    expected = original.predict_proba(data)[:, 1]
    np.testing.assert_array_equal(model.predict({name: data[name].to_numpy() for name in data}), expected)
    np.testing.assert_array_equal(model.predict(data.to_numpy()), expected)


@pytest.mark.parametrize("fitted", [from_dtype, encoded_then_boosted], ids=["from dtype", "encoder"])
def test_a_category_never_seen_counts_as_missing(fitted: Callable[[], Any]) -> None:
    model = back(fitted()[0])
    numbers = {"distance": ROWS[:3, 0], "delay": ROWS[:3, 1]}

    unknown = model.predict({**numbers, "carrier": np.array(["ZZ"] * 3, dtype=object)})
    missing = model.predict({**numbers, "carrier": np.array([None] * 3, dtype=object)})

    np.testing.assert_array_equal(unknown, missing)


def test_the_recommended_shape_is_fitted_on_an_array_of_objects() -> None:
    rows = np.column_stack([column for _, column in sorted(as_table(frame()).items())]).astype(object)
    original = boosted(categorical_features=[0]).fit(rows, TARGET > 0)

    model = back(original)

    table = {name: column for name, column in sorted(as_table(frame()).items())}
    np.testing.assert_array_equal(model.predict(table), original.predict_proba(rows)[:, 1])
    assert model.columns is None
    assert not model.takes_frame


@given(order=st.permutations(["delay", "carrier", "distance"]), size=st.integers(1, 20))
def test_the_order_and_number_of_columns_given_do_not_matter(order: list[str], size: int) -> None:
    table = {name: as_table(frame())[name][:size] for name in order}

    found = FROM_DTYPE.predict({"flight": np.arange(float(size)), **table})

    np.testing.assert_array_equal(found, FROM_DTYPE_SCORES[:size])


FROM_DTYPE = back(from_dtype()[0])
FROM_DTYPE_SCORES = FROM_DTYPE.predict(as_table(frame()))


def test_values_that_the_model_cannot_take_are_refused_in_one_sentence() -> None:
    model = back(linear_model.LogisticRegression().fit(ROWS, LABELS))

    with pytest.raises(Invalid, match="cannot score these rows: Input X contains NaN") as caught:
        model.predict(np.full((2, 5), np.nan))
    assert "\n" not in caught.value.message


# What does not predict, or not in a way that can be served


def test_what_cannot_be_served_is_refused_at_saving() -> None:
    several = ensemble.RandomForestClassifier(2).fit(ROWS, np.column_stack([LABELS, LABELS]))

    with pytest.raises(Invalid, match="does not predict"):
        formats.save(preprocessing.StandardScaler().fit(ROWS))
    with pytest.raises(Invalid, match="several targets"):
        formats.save(several)
    with pytest.raises(Invalid, match="is not fitted yet"):
        formats.save(linear_model.LogisticRegression())


# Determinism


def test_the_process_s_random_state_is_not_in_the_bytes() -> None:
    model = neural_network.MLPClassifier((4,), max_iter=5).fit(ROWS, LABELS)
    before = formats.save(model)

    np.random.rand(10)  # moves the global generator, which the model holds

    assert model._random_state is np.random.mtrand._rand
    assert formats.save(model) == before
    np.testing.assert_array_equal(back(model).predict(ROWS), model.predict_proba(ROWS))


@pytest.mark.parametrize("estimator", named(CLASSIFIERS[3:16]))
def test_saving_what_plain_skops_loads_gives_the_same_bytes_again(estimator: Any) -> None:
    archive = formats.save(estimator.fit(ROWS, WORDS)).files[FILE]

    again = skops_io.loads(archive, trusted=sorted(sklearn_types.allowed().trusted))

    assert formats.save(again).files[FILE] == archive


def test_an_array_used_twice_stays_one_array() -> None:
    shared = np.arange(3.0)
    model = linear_model.LinearRegression().fit(ROWS, TARGET)
    model.first_, model.second_ = shared, shared

    found = skops_io.loads(formats.save(model).files[FILE])

    assert found.first_ is found.second_


def test_sets_are_saved_in_order() -> None:
    model = linear_model.LinearRegression().fit(ROWS, TARGET)
    model.names_ = {f"name-{n}" for n in range(50)}

    archive = formats.save(model).files[FILE]

    stored = [node for node in skops_archive.nodes(schema_of(archive)) if node["__loader__"] == "SetNode"]
    texts = [item["content"] for item in stored[0]["content"]]
    assert texts == sorted(texts, key=json.dumps)
    assert skops_io.loads(archive).names_ == model.names_


def test_nothing_in_the_archive_tells_time_or_memory() -> None:
    archive = formats.save(ensemble.RandomForestClassifier(3).fit(ROWS, LABELS)).files[FILE]

    with zipfile.ZipFile(io.BytesIO(archive)) as members:
        names = members.namelist()
        assert {entry.date_time for entry in members.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert names == ["schema.json", *(f"{n}.npy" for n in range(len(names) - 1))]
    assert all(node.get("__id__", 0) < 1000 for node in skops_archive.nodes(schema_of(archive)))


# The list


def test_the_shipped_list_is_what_the_installed_version_gives() -> None:
    """Fails on purpose when scikit-learn changes: look at the difference, then ship the new list."""
    collected = sklearn_types.collect()
    shipped = sklearn_types.allowed()

    assert collected["made_from"] == shipped.made_from
    assert set(collected["types"]) == shipped.types
    assert set(collected["functions"]) == shipped.functions


def test_the_list_has_nothing_that_runs_what_it_is_given() -> None:
    allowed = sklearn_types.allowed()

    for name in allowed.types | allowed.functions:
        assert (
            name.startswith(("sklearn.", "numpy.", "scipy.", "builtins.", "collections."))
            or name == "functools.partial"
        )
    dangerous = ("eval", "exec", "open", "compile", "getattr", "object", "type", "__import__", "load", "frompyfunc")
    assert not {name for name in allowed.types | allowed.functions if name.rsplit(".", 1)[-1] in dangerous}


class Homemade(linear_model.LogisticRegression):
    """An estimator that is not scikit-learn's."""


def test_a_type_that_is_not_on_the_list_is_named_at_saving() -> None:
    model = pipeline.make_pipeline(preprocessing.StandardScaler(), Homemade()).fit(ROWS, LABELS)

    with pytest.raises(Invalid, match=r"it holds \S*\.Homemade, not on the list .* use scikit-learn's own") as caught:
        formats.save(model)
    assert caught.value.facts["problems"]


def test_a_lambda_is_named_at_saving_not_at_loading() -> None:
    model = pipeline.make_pipeline(preprocessing.FunctionTransformer(lambda rows: rows), linear_model.Ridge())

    with pytest.raises(Invalid, match="<lambda>"):
        formats.save(model.fit(ROWS, TARGET))


# Poison


@pytest.fixture(scope="module")
def archive() -> bytes:
    return formats.save(tree.DecisionTreeClassifier(random_state=0).fit(ROWS, LABELS)).files[FILE]


def poisoned(archive: bytes, node: dict[str, Any]) -> bytes:
    """``archive`` with ``node`` as one more attribute of the model."""
    schema = schema_of(archive)
    attributes = schema["content"]
    attributes["content"]["extra_"] = node
    attributes["key_types"]["content"].append(attributes["key_types"]["content"][0])
    return rewritten(archive, schema__json=json.dumps(schema).encode())


def test_a_harmless_extra_attribute_passes(archive: bytes) -> None:
    """Or the tests below would pass for the wrong reason."""
    node = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": "1", "is_json": True}

    assert problems(poisoned(archive, node)) == ""
    assert formats.load("sklearn", {FILE: poisoned(archive, node)}).predict(ROWS).shape == (120, 3)


def function(module: str, name: str) -> dict[str, Any]:
    return {"__class__": name, "__module__": module, "__loader__": "FunctionNode"}


EMPTY = {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "content": []}
ATTACKS = {
    "a function": (function("os", "system"), "os.system"),
    "eval": (function("builtins", "eval"), "builtins.eval"),
    "a type": ({"__class__": "Popen", "__module__": "subprocess", "__loader__": "TypeNode"}, "subprocess.Popen"),
    "a constructor": (
        {"__class__": "Popen", "__module__": "subprocess", "__loader__": "ConstructorFromReduceNode", "content": EMPTY},
        "subprocess.Popen",
    ),
    "an estimator as a function": (
        function("sklearn.tree._classes", "DecisionTreeClassifier"),
        "DecisionTreeClassifier",
    ),
    "a method": (
        {
            "__class__": "str",
            "__module__": "builtins",
            "__loader__": "MethodNode",
            "content": {"func": "upper", "obj": EMPTY},
        },
        "MethodNode",
    ),
    "an operator": (
        {"__class__": "methodcaller", "__module__": "operator", "__loader__": "OperatorFuncNode", "attrs": EMPTY},
        "OperatorFuncNode",
    ),
    "a partial": (
        {
            "__class__": "partial",
            "__module__": "functools",
            "__loader__": "PartialNode",
            "content": {"func": function("numpy", "log1p"), "args": EMPTY, "kwds": EMPTY, "namespace": EMPTY},
        },
        "functools.partial",
    ),
    "an unknown node": ({"__class__": "str", "__module__": "builtins", "__loader__": "PickleNode"}, "PickleNode"),
    "a file that is not there": (
        {"__class__": "bytes", "__module__": "builtins", "__loader__": "BytesNode", "file": "../../etc/passwd"},
        "names files that the archive has not",
    ),
}


@pytest.mark.parametrize(("node", "named"), ATTACKS.values(), ids=ATTACKS)
def test_a_poisoned_archive_is_refused_before_anything_runs(node: dict[str, Any], named: str, archive: bytes) -> None:
    bad = poisoned(archive, node)

    assert named in problems(bad)
    with pytest.raises(Invalid, match="is not loaded"):
        formats.load("sklearn", {FILE: bad})


def test_skops_itself_refuses_what_the_inspection_would_miss(archive: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second lock: with the inspection taken away, the list handed to skops still holds."""
    monkeypatch.setattr(skops_archive, "problems", lambda *_, **__: [])

    for node, _ in (ATTACKS["a function"], ATTACKS["a type"], ATTACKS["a constructor"], ATTACKS["a method"]):
        with pytest.raises(Invalid, match=r"Untrusted types|malicious"):
            formats.load("sklearn", {FILE: poisoned(archive, node)})


def test_a_bomb_is_refused_without_unpacking() -> None:
    bomb = packed({"schema.json": b"{}", "0.npy": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)

    assert len(bomb) < 100_000
    assert "compressed" in problems(bomb)


def test_an_array_that_promises_more_than_it_has_is_refused(archive: bytes) -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})

    assert "another size than its header says" in problems(
        rewritten(archive, **{"0__npy": buffer.getvalue() + bytes(80)})
    )


def test_an_array_of_pickled_objects_is_refused(archive: bytes) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([object], dtype=object), allow_pickle=True)

    assert "only pickle could read" in problems(rewritten(archive, **{"0__npy": buffer.getvalue()}))


def test_a_schema_nested_without_end_is_refused(archive: bytes) -> None:
    for depth in (500, 100_000):
        deep = b'{"__loader__":"DictNode","a":' * depth + b"1" + b"}" * depth
        assert problems(rewritten(archive, schema__json=deep))


@given(place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_a_changed_byte_is_refused_or_changes_nothing_dangerous(place: float, byte: int) -> None:
    """Any single damaged byte gives a model, or Invalid; never another error, never a crash."""
    content = bytearray(SMALL)
    content[int(place * len(content))] = byte

    with contextlib.suppress(Invalid):
        formats.load("sklearn", {FILE: bytes(content)}).predict(ROWS)


SMALL = formats.save(tree.DecisionTreeClassifier(max_depth=2, random_state=0).fit(ROWS, LABELS)).files[FILE]


# Indices that compiled code follows without looking


def with_nodes(model: Any, change: Callable[[Any], None]) -> bytes:
    """The archive of ``model`` with its structured array of nodes changed."""
    content = formats.save(model).files[FILE]
    with zipfile.ZipFile(io.BytesIO(content)) as members:
        for name in members.namelist():
            if name.endswith(".npy"):
                array = np.load(io.BytesIO(members.read(name)))
                if array.dtype.names:
                    break
    changed = array.copy()
    change(changed)
    buffer = io.BytesIO()
    np.save(buffer, changed)
    return rewritten(content, **{name.replace(".", "__"): buffer.getvalue()})


def put(field: str, value: int) -> Callable[[Any], None]:
    def change(nodes: Any) -> None:
        nodes[field][0] = value

    return change


TREE = tree.DecisionTreeClassifier(max_depth=3, random_state=0)
BOOSTED = ensemble.HistGradientBoostingClassifier(max_iter=1, max_depth=3, random_state=0)


@pytest.mark.parametrize(
    ("estimator", "field", "value"),
    [
        (TREE, "left_child", 10_000_000),
        (TREE, "right_child", 0),  # a circle: it would never end
        (TREE, "right_child", -2),
        (TREE, "feature", 1_000_000),
        (TREE, "feature", -3),
        (BOOSTED, "left", 4_000_000),
        (BOOSTED, "right", 0),
        (BOOSTED, "feature_idx", 99_999),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "fit") else str(value),
)
def test_a_tree_that_leads_out_of_its_memory_is_refused(estimator: Any, field: str, value: int) -> None:
    estimator.fit(ROWS, LABELS > 0)
    bad = with_nodes(estimator, put(field, value))

    assert problems(bad) == ""  # no list of types can see it
    with pytest.raises(Invalid, match="the model is damaged"):
        formats.load("sklearn", {FILE: bad})


def edited(model: Any, **attributes: Any) -> bytes:
    for name, value in attributes.items():
        setattr(model, name, value)
    return skops_archive.canonical(skops_io.dumps(model))


def test_a_forest_of_trees_for_other_columns_is_refused() -> None:
    forest = ensemble.RandomForestClassifier(2, random_state=0).fit(ROWS, LABELS)
    wide = tree.DecisionTreeClassifier().fit(np.hstack([ROWS, ROWS]), LABELS)

    with pytest.raises(Invalid, match="another number of columns"):
        formats.load("sklearn", {FILE: edited(forest, estimators_=[forest.estimators_[0], wide])})


def test_a_tree_that_no_estimator_owns_is_refused() -> None:
    model = linear_model.LogisticRegression().fit(ROWS, LABELS)
    stray = tree.DecisionTreeClassifier().fit(ROWS, LABELS).tree_

    with pytest.raises(Invalid, match="outside of an estimator"):
        formats.load("sklearn", {FILE: edited(model, coef_=stray)})


def test_a_support_vector_machine_that_miscounts_is_refused() -> None:
    machine = svm.SVC().fit(ROWS, LABELS)

    with pytest.raises(Invalid, match="another number of vectors"):
        formats.load("sklearn", {FILE: edited(machine, _n_support=machine._n_support * 1000)})


def test_a_neighbour_tree_with_foreign_rows_is_refused() -> None:
    model = neighbors.KNeighborsClassifier(algorithm="kd_tree").fit(ROWS, LABELS)
    content = formats.save(model).files[FILE]
    order = np.asarray(model._tree.get_arrays()[1])
    with zipfile.ZipFile(io.BytesIO(content)) as members:
        arrays = {name: members.read(name) for name in members.namelist() if name.endswith(".npy")}
    name = next(name for name, data in arrays.items() if np.array_equal(np.load(io.BytesIO(data)), order))
    buffer = io.BytesIO()
    np.save(buffer, np.full_like(order, 10**9))

    with pytest.raises(Invalid, match="neighbour tree"):
        formats.load("sklearn", {FILE: rewritten(content, **{name.replace(".", "__"): buffer.getvalue()})})


def test_isotonic_regression_alone_comes_back() -> None:
    model = isotonic.IsotonicRegression(out_of_bounds="clip").fit(ROWS[:, :1], TARGET)

    np.testing.assert_allclose(back(model).predict(ROWS[:, :1]), model.predict(ROWS[:, :1]))
