# SPDX-License-Identifier: Apache-2.0
"""LightGBM's own ``train``: parameters, what it says of the rows it watches after each round, and the booster."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from mainstay.client import autologging

MODULE = "lightgbm"


def patch(module: ModuleType) -> Sequence[autologging.Undo]:
    """Watch ``lightgbm.train``."""
    return [autologging.watch(module, "train", Train)]


class Train:
    """One call of ``train``."""

    name = "lightgbm"

    def begin(self, call: inspect.BoundArguments) -> None:
        """Keep the parameters, and listen to the rounds."""
        given = call.arguments
        given["callbacks"] = [*(given.get("callbacks") or ()), _tell]
        call.apply_defaults()
        autologging.log_params({**given["params"], "num_boost_round": given["num_boost_round"]})

    def end(self, result: Any) -> None:
        """Keep the best round, if there was one, and the booster."""
        if result.best_iteration > 0:
            autologging.log_metrics({"best_iteration": result.best_iteration})
        autologging.log_model(result)


def _tell(round_: Any) -> None:
    with autologging.quietly("a round of boosting"):
        found = {f"{rows}/{name}": value for rows, name, value, *_ in round_.evaluation_result_list or ()}
        autologging.log_metrics(found, round_.iteration)
