# SPDX-License-Identifier: Apache-2.0
"""XGBoost's own ``train``: parameters, what it says of the rows it watches after each round, and the booster."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from mainstay.client import autologging

MODULE = "xgboost"


def patch(module: ModuleType) -> Sequence[autologging.Undo]:
    """Watch ``xgboost.train``."""

    class Rounds(module.callback.TrainingCallback):  # type: ignore[name-defined]
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            with autologging.quietly("a round of boosting"):
                autologging.log_metrics(
                    {
                        f"{rows}/{name}": values[-1]
                        for rows, found in evals_log.items()
                        for name, values in found.items()
                    },
                    epoch,
                )
            return False

    class Train:
        name = "xgboost"

        def begin(self, call: inspect.BoundArguments) -> None:
            given = call.arguments
            call.arguments["callbacks"] = [*(given.get("callbacks") or ()), Rounds()]
            call.apply_defaults()
            autologging.log_params({**given["params"], "num_boost_round": given["num_boost_round"]})

        def end(self, result: Any) -> None:
            best = {name: getattr(result, name, None) for name in ("best_iteration", "best_score")}
            autologging.log_metrics({name: value for name, value in best.items() if value is not None})
            autologging.log_model(result)

    return [autologging.watch(module, "train", Train)]
