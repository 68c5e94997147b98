# SPDX-License-Identifier: Apache-2.0
"""Keras's ``Model.fit``: how it was called and compiled, what it says after each epoch, and the architecture."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from mainstay.client import autologging, recording

MODULE = "keras"
_SAID = ("epochs", "batch_size", "steps_per_epoch", "validation_split", "initial_epoch")


def patch(module: ModuleType) -> Sequence[autologging.Undo]:
    """Watch ``fit`` where it is defined, which depends on Keras's backend."""

    class Epochs(module.callbacks.Callback):  # type: ignore[name-defined]
        def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
            with autologging.quietly("an epoch"):
                autologging.log_metrics(logs or {}, epoch)

    class Fit:
        name = "keras"

        def begin(self, call: inspect.BoundArguments) -> None:
            given = call.arguments
            self.model = given["self"]
            given["callbacks"] = [*_several(given.get("callbacks")), Epochs()]
            call.apply_defaults()
            autologging.log_params(
                {
                    "model": type(self.model).__name__,
                    **{name: given[name] for name in _SAID if given.get(name) is not None},
                    **_optimiser(self.model),
                }
            )

        def end(self, _result: Any) -> None:
            autologging.log_metrics({"parameters": self.model.count_params()})
            recording.log_text("model/architecture.json", self.model.to_json())

    owner = next(kind for kind in module.Model.__mro__ if "fit" in vars(kind))
    return [autologging.watch(owner, "fit", Fit)]


def _optimiser(model: Any) -> dict[str, Any]:
    found = getattr(model, "optimizer", None)
    if found is None:
        return {}
    return {"optimizer": found.name, "learning_rate": float(found.learning_rate)}


def _several(callbacks: Any) -> list[Any]:
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
