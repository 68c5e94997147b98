# SPDX-License-Identifier: Apache-2.0
"""The closed list of names that a scikit-learn model's file may hold.

In: nothing. Out: exact names of types and functions, read from ``sklearn_types.json``, which is made from one pinned
version of scikit-learn and reviewed when that version changes: a test fails as soon as the installed one gives another
list. A file may therefore never name what to trust, and no `get_untrusted_types(...)` is passed back to skops.

`python -m mainstay.formats.sklearn_types` prints the list for the installed versions.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_DATA = Path(__file__).with_name("sklearn_types.json")

# Members of fitted public estimators that are no public estimators themselves.
_MEMBERS = [
    "sklearn._loss.link.HalfLogitLink",
    "sklearn._loss.link.IdentityLink",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogLink",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.link.MultinomialLogit",
    "sklearn._loss.loss.AbsoluteError",
    "sklearn._loss.loss.ExponentialLoss",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn._loss.loss.HalfGammaLoss",
    "sklearn._loss.loss.HalfMultinomialLoss",
    "sklearn._loss.loss.HalfPoissonLoss",
    "sklearn._loss.loss.HalfSquaredError",
    "sklearn._loss.loss.HuberLoss",
    "sklearn._loss.loss.PinballLoss",
    "sklearn._loss.loss.HalfTweedieLoss",
    "sklearn._loss.loss.HalfTweedieLossIdentity",
    "sklearn._loss._loss.CyAbsoluteError",
    "sklearn._loss._loss.CyExponentialLoss",
    "sklearn._loss._loss.CyHalfBinomialLoss",
    "sklearn._loss._loss.CyHalfGammaLoss",
    "sklearn._loss._loss.CyHalfMultinomialLoss",
    "sklearn._loss._loss.CyHalfPoissonLoss",
    "sklearn._loss._loss.CyHalfSquaredError",
    "sklearn._loss._loss.CyHalfTweedieLoss",
    "sklearn._loss._loss.CyHalfTweedieLossIdentity",
    "sklearn._loss._loss.CyHuberLoss",
    "sklearn._loss._loss.CyPinballLoss",
    "sklearn.linear_model._sgd_fast.EpsilonInsensitive",
    "sklearn.linear_model._sgd_fast.Hinge",
    "sklearn.linear_model._sgd_fast.ModifiedHuber",
    "sklearn.linear_model._sgd_fast.SquaredEpsilonInsensitive",
    "sklearn.linear_model._sgd_fast.SquaredHinge",
    "sklearn.tree._tree.Tree",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.metrics._dist_metrics.ManhattanDistance64",
    "sklearn.metrics._dist_metrics.MinkowskiDistance64",
    "sklearn.metrics._dist_metrics.ChebyshevDistance64",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.calibration._TemperatureScaling",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.preprocessing._label.LabelBinarizer",
    "sklearn.utils._bunch.Bunch",
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    "sklearn.gaussian_process.kernels.ConstantKernel",
    "sklearn.gaussian_process.kernels.DotProduct",
    "sklearn.gaussian_process.kernels.ExpSineSquared",
    "sklearn.gaussian_process.kernels.Matern",
    "sklearn.gaussian_process.kernels.Product",
    "sklearn.gaussian_process.kernels.RBF",
    "sklearn.gaussian_process.kernels.RationalQuadratic",
    "sklearn.gaussian_process.kernels.Sum",
    "sklearn.gaussian_process.kernels.WhiteKernel",
    "scipy.interpolate._interpolate.interp1d",
    # what a search keeps of how it searched
    "sklearn.metrics._scorer._PassthroughScorer",
    "sklearn.metrics._scorer._Scorer",
    "sklearn.model_selection._split.GroupKFold",
    "sklearn.model_selection._split.KFold",
    "sklearn.model_selection._split.RepeatedKFold",
    "sklearn.model_selection._split.RepeatedStratifiedKFold",
    "sklearn.model_selection._split.ShuffleSplit",
    "sklearn.model_selection._split.StratifiedGroupKFold",
    "sklearn.model_selection._split.StratifiedKFold",
    "sklearn.model_selection._split.StratifiedShuffleSplit",
    "sklearn.model_selection._split.TimeSeriesSplit",
    "functools.partial",
]

_FUNCTIONS = [
    "sklearn.utils.validation.check_array",
    "sklearn.feature_selection._univariate_selection.f_classif",
    "sklearn.feature_selection._univariate_selection.f_regression",
    "sklearn.feature_selection._univariate_selection.chi2",
    "sklearn.feature_selection._univariate_selection.r_regression",
    "sklearn.feature_selection._mutual_info.mutual_info_classif",
    "sklearn.feature_selection._mutual_info.mutual_info_regression",
    "numpy.mean",
    "numpy.median",
]

# Containers, scalars and the numpy and scipy values that members are made of. No `object`, no `type`, no exceptions.
_VALUES = [
    "builtins.bool",
    "builtins.bytes",
    "builtins.bytearray",
    "builtins.complex",
    "builtins.dict",
    "builtins.float",
    "builtins.int",
    "builtins.list",
    "builtins.set",
    "builtins.slice",
    "builtins.str",
    "builtins.tuple",
    "collections.OrderedDict",
    "collections.defaultdict",
    "numpy.ndarray",
    "numpy.dtype",
    "numpy.ma.MaskedArray",
    "numpy.random.mtrand.RandomState",
    "numpy.random._generator.Generator",
    "scipy.sparse._csr.csr_matrix",
    "scipy.sparse._csc.csc_matrix",
    "scipy.sparse._coo.coo_matrix",
    "scipy.sparse._csr.csr_array",
    "scipy.sparse._csc.csc_array",
    "scipy.sparse._coo.coo_array",
]

_SCALARS = [
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
    "str_",
    "bytes_",
    "datetime64",
    "timedelta64",
]


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """``trusted`` is what skops must be told on top of its own defaults; ``types`` and ``functions`` are everything."""

    made_from: dict[str, str]
    types: frozenset[str]
    functions: frozenset[str]

    @property
    def trusted(self) -> frozenset[str]:
        return self.types | self.functions


@functools.cache
def allowed() -> Allowed:
    """The shipped list."""
    data = json.loads(_DATA.read_text())
    return Allowed(made_from=data["made_from"], types=frozenset(data["types"]), functions=frozenset(data["functions"]))


def collect() -> dict[str, Any]:
    """The list as the installed scikit-learn would have it; names that do not exist in it are left out."""
    import numpy as np
    import sklearn.metrics
    from sklearn.utils import all_estimators

    estimators = [
        f"{kind.__module__}.{kind.__name__}" for _, kind in all_estimators() if kind.__module__.startswith("sklearn.")
    ]
    scalars = [f"numpy.{getattr(np, name).__name__}" for name in _SCALARS]
    metrics = [sklearn.metrics.get_scorer(name)._score_func for name in sklearn.metrics.get_scorer_names()]
    scorings = [f"{metric.__module__}.{metric.__name__}" for metric in metrics]
    ufuncs = [f"numpy.{name}" for name in dir(np) if isinstance(getattr(np, name), np.ufunc)]
    return {
        "made_from": {"scikit-learn": sklearn.__version__.rsplit(".", 1)[0]},
        "types": sorted({*filter(_exists, [*estimators, *_MEMBERS, *_VALUES]), *scalars}),
        "functions": sorted({*filter(_exists, [*_FUNCTIONS, *scorings]), *ufuncs}),
    }


def _exists(name: str) -> bool:
    import importlib

    module, _, attribute = name.rpartition(".")
    try:
        return hasattr(importlib.import_module(module), attribute)
    except ImportError:
        return False


if __name__ == "__main__":
    print(json.dumps(collect(), indent=1))
