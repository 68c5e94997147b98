# SPDX-License-Identifier: Apache-2.0
"""Autologging: real trainings of real libraries, recorded without a word, and never disturbed by it."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mainstay as ms
from mainstay import formats
from mainstay.client import autologging
from mainstay.client import session as sessions
from mainstay.client.autologging import sklearn as adapter
from mainstay.client.session import Session, connect
from mainstay.domain.errors import Invalid

Rows = tuple[Any, Any]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    opened = connect(workspace=tmp_path_factory.mktemp("autologging") / "workspace")
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def watched(session: Session, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MAINSTAY_CAPTURE_CODE", "0")
    monkeypatch.setenv("MAINSTAY_SYSTEM_METRICS", "0")
    sessions.use(session)
    ms.autolog()
    yield
    ms.autolog(disable=True)
    sessions.use(None)


@pytest.fixture(scope="module")
def rows() -> Rows:
    random = np.random.default_rng(7)
    x = random.normal(size=(300, 3))
    return x, (x[:, 0] + random.normal(size=300) > 0).astype(int)


def newest(session: Session, **asked: Any) -> dict[str, Any]:
    return dict(session.get(f"/runs/{session.get('/runs', limit=1, **asked)['items'][0]['id']}"))


def count(session: Session) -> int:
    return len(session.get("/runs", limit=1000)["items"])


def history(session: Session, run: str, key: str) -> list[float]:
    return [point["value"] for point in session.get(f"/runs/{run}/metrics/{key}")["points"]]


# scikit-learn


def test_a_fit_becomes_a_run_with_parameters_metrics_and_a_model_that_loads(session: Session, rows: Rows) -> None:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=0.5).fit(*rows)

    run = newest(session)
    assert (run["name"], run["state"]) == ("fit", "succeeded")
    assert (run["params"]["estimator_class"], run["params"]["C"]) == ("LogisticRegression", 0.5)
    assert run["metrics"]["training_accuracy"] == pytest.approx(model.score(*rows))
    assert set(run["metrics"]) == {
        f"training_{name}" for name in ["accuracy", "precision", "recall", "f1", "log_loss", "roc_auc"]
    }
    files = {each["path"].removeprefix("model/"): session.get_blob(each["digest"]) for each in run["artifacts"]}
    facts = json.loads(files.pop("mainstay.json"))
    loaded = formats.load(facts["format"], files, environment=facts["environment"])
    assert loaded.predict(rows[0]) == pytest.approx(model.predict_proba(rows[0])[:, 1])


def test_what_is_trained_in_a_run_is_recorded_there(session: Session, rows: Rows) -> None:
    from sklearn.linear_model import Ridge

    with ms.run("tuning") as run:
        Ridge(alpha=0.1).fit(*rows)
        Ridge(alpha=0.2).fit(*rows)

    found = newest(session)
    assert found["id"] == run.id
    assert (found["params"]["alpha"], found["params"]["training_2/alpha"]) == (0.1, 0.2)
    assert set(found["metrics"]) == {"training_r2", "training_rmse", "training_mae"}


def test_the_parts_of_a_training_are_not_recorded_by_themselves(session: Session, rows: Rows) -> None:
    from sklearn.ensemble import BaggingClassifier
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    before = count(session)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), DecisionTreeClassifier()), {"decisiontreeclassifier__max_depth": [1, 2]}
    )
    search.fit(*rows)
    BaggingClassifier(n_estimators=4, n_jobs=2).fit(*rows)  # its parts are fitted in workers

    assert count(session) == before + 2
    run = session.get(f"/runs/{session.get('/runs', limit=2)['items'][1]['id']}")
    assert run["params"]["estimator_class"] == "GridSearchCV"
    assert (
        run["params"]["best_decisiontreeclassifier__max_depth"]
        == search.best_params_["decisiontreeclassifier__max_depth"]
    )
    assert run["metrics"]["best_cv_score"] == pytest.approx(search.best_score_)
    assert not [name for name in run["params"] if name.startswith("training_")]
    assert "cv_results.csv" in {each["path"] for each in run["artifacts"]}


def test_an_estimator_that_is_defined_later_is_watched_too(session: Session, rows: Rows) -> None:
    from sklearn.base import BaseEstimator, ClassifierMixin

    class Constant(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
        def __init__(self, answer: int = 1) -> None:
            self.answer = answer

        def fit(self, X: Any, y: Any) -> Constant:
            self.classes_ = np.unique(y)
            return self

        def predict(self, X: Any) -> Any:
            return np.full(len(X), self.answer)

    Constant(answer=0).fit(*rows)

    run = newest(session)
    assert (run["params"]["estimator_class"], run["params"]["answer"]) == ("Constant", 0)
    assert run["metrics"]["training_accuracy"] == pytest.approx(1 - rows[1].mean())
    assert run["artifacts"] == []  # no format keeps it


def test_a_training_that_fails_fails_as_it_would_and_so_does_its_run(session: Session, rows: Rows) -> None:
    from sklearn.linear_model import LogisticRegression

    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        LogisticRegression().fit(rows[0], rows[1][:5])

    run = newest(session)
    assert run["state"] == "failed"
    assert run["error"].startswith("ValueError: Found input variables")


@pytest.mark.parametrize("broken", ["begin", "end", "_scores", "__init__"])
def test_an_error_of_ours_never_reaches_the_training(
    session: Session, rows: Rows, broken: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from sklearn.linear_model import LogisticRegression

    def breaks(*_: Any) -> Any:
        raise RuntimeError("ours")

    monkeypatch.setattr(adapter.Fit, broken, breaks)

    model = LogisticRegression().fit(*rows)

    assert model.predict(rows[0]).shape == (300,)
    assert "the training is not affected" in caplog.text


def test_a_server_that_is_not_there_never_reaches_the_training(rows: Rows, caplog: pytest.LogCaptureFixture) -> None:
    from sklearn.linear_model import LogisticRegression

    sessions.use(connect("http://127.0.0.1:9", token="mst_a_b", retry_s=0))
    with pytest.warns(UserWarning, match="no answer"):
        assert LogisticRegression().fit(*rows).coef_.shape == (1, 3)


def test_turned_off_every_library_is_as_it_was(session: Session, rows: Rows) -> None:
    import lightgbm
    import xgboost
    from sklearn.base import BaseEstimator
    from sklearn.linear_model import LogisticRegression

    while_on = (LogisticRegression.fit, xgboost.train, lightgbm.train)
    ms.autolog(disable=True)
    before = count(session)
    found = (LogisticRegression.fit, xgboost.train, lightgbm.train)
    LogisticRegression().fit(*rows)

    assert count(session) == before
    assert all(one is not other for one, other in zip(while_on, found, strict=True))
    assert not any(hasattr(each, "__wrapped__") and "autologging" in each.__code__.co_filename for each in found)
    assert "__init_subclass__" not in vars(BaseEstimator)
    assert not any(isinstance(finder, autologging._Finder) for finder in sys.meta_path)


def test_without_models_none_is_kept(session: Session, rows: Rows) -> None:
    from sklearn.linear_model import LogisticRegression

    ms.autolog(models=False)
    LogisticRegression().fit(*rows)

    assert newest(session)["artifacts"] == []


def test_a_library_that_is_not_known_is_refused() -> None:
    with pytest.raises(Invalid, match="autolog knows no library 'prophet'; it knows keras, lightgbm"):
        ms.autolog(libraries=["prophet"])


def test_a_training_in_a_worker_thread_without_a_run_is_nobodys(session: Session, rows: Rows) -> None:
    from sklearn.linear_model import LogisticRegression

    before = count(session)
    work = threading.Thread(target=lambda: LogisticRegression().fit(*rows))
    work.start()
    work.join()

    assert count(session) == before


# Boosters


def test_xgboost_tells_its_rounds(session: Session, rows: Rows) -> None:
    import xgboost

    data = xgboost.DMatrix(*rows)
    xgboost.train(
        {"max_depth": 2, "objective": "binary:logistic"}, data, 5, evals=[(data, "train")], verbose_eval=False
    )

    run = newest(session)
    assert (run["name"], run["params"]["max_depth"], run["params"]["num_boost_round"]) == ("xgboost", 2, 5)
    assert len(history(session, run["id"], "train/logloss")) == 5
    assert "model/model.ubj" in {each["path"] for each in run["artifacts"]}


def test_lightgbm_tells_its_rounds(session: Session, rows: Rows) -> None:
    import lightgbm

    data = lightgbm.Dataset(*rows)
    lightgbm.train(
        {"objective": "binary", "metric": "auc", "verbose": -1}, data, 5, valid_sets=[data], valid_names=["train"]
    )

    run = newest(session)
    assert (run["name"], run["params"]["objective"]) == ("lightgbm", "binary")
    assert len(history(session, run["id"], "train/auc")) == 5
    assert any(each["path"].startswith("model/") for each in run["artifacts"])


@pytest.mark.parametrize(
    ("library", "name", "options"), [("xgboost", "XGBClassifier", {}), ("lightgbm", "LGBMClassifier", {"verbose": -1})]
)
def test_a_booster_with_scikit_learns_face_is_one_training_with_its_curves(
    session: Session, rows: Rows, library: str, name: str, options: dict[str, Any]
) -> None:
    kind = getattr(importlib.import_module(library), name)
    before = count(session)

    kind(n_estimators=5, **options).fit(*rows, eval_set=[rows])

    run = newest(session)
    assert count(session) == before + 1
    assert (run["params"]["estimator_class"], run["params"]["n_estimators"]) == (name, 5)
    (curve,) = [key for key in run["metrics"] if key.endswith("logloss") and "/" in key]
    assert len(history(session, run["id"], curve)) == 5


# Networks, where their libraries are installed


def test_keras_tells_its_epochs(session: Session, rows: Rows) -> None:
    keras = pytest.importorskip("keras")
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(optimizer="adam", loss="mse")

    model.fit(*rows, epochs=3, validation_split=0.25, verbose=0)

    run = newest(session)
    assert (run["name"], run["params"]["epochs"], run["params"]["optimizer"]) == ("keras", 3, "adam")
    assert [len(history(session, run["id"], key)) for key in ("loss", "val_loss")] == [3, 3]
    assert {each["path"] for each in run["artifacts"]} == {"model/architecture.json"}


def test_lightning_tells_its_epochs(session: Session, rows: Rows) -> None:
    lightning, torch = pytest.importorskip("lightning.pytorch"), pytest.importorskip("torch")

    class Line(lightning.LightningModule):  # type: ignore[name-defined, misc]
        def __init__(self, rate: float = 0.1) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.line = torch.nn.Linear(3, 1)

        def training_step(self, batch: Any, _number: int) -> Any:
            loss = ((self.line(batch[0])[:, 0] - batch[1]) ** 2).mean()
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=self.hparams.rate)

    data = torch.utils.data.TensorDataset(*(torch.tensor(each, dtype=torch.float32) for each in rows))
    off = dict.fromkeys(["logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"], False)
    trainer = lightning.Trainer(max_epochs=3, accelerator="cpu", **off)
    trainer.fit(Line(), torch.utils.data.DataLoader(data, batch_size=50))

    run = newest(session)
    assert (run["name"], run["params"]["module"], run["params"]["rate"]) == ("lightning", "Line", 0.1)
    assert len(history(session, run["id"], "loss")) == 3
    assert trainer.callbacks == [each for each in trainer.callbacks if "Epochs" not in type(each).__name__]


# Lazily


def test_a_library_is_watched_once_it_is_imported_and_not_imported_for_it(tmp_path: Path) -> None:
    code = """
        import sys
        import mainstay as ms
        ms.autolog()
        assert not {"sklearn", "xgboost", "lightgbm", "keras", "lightning"} & set(sys.modules), "imported"
        from sklearn.linear_model import Ridge
        with ms.run("later") as run:
            Ridge(alpha=0.25).fit([[0.0], [1.0]], [0.0, 1.0])
        print(ms.connect().get(f"/runs/{run.id}")["params"]["alpha"])
    """
    told = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )

    assert told.stdout.strip() == "0.25", told.stderr
