# SPDX-License-Identifier: Apache-2.0
"""Lightning's ``Trainer.fit``: the module's hyper-parameters, and what it logs, epoch by epoch.

The weights stay where Lightning puts them; their file is PyTorch's own pickle, and its path says enough.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from mainstay.client import autologging

MODULE = "lightning.pytorch"


def patch(module: ModuleType) -> Sequence[autologging.Undo]:
    """Watch ``Trainer.fit``."""

    class Epochs(module.Callback):  # type: ignore[name-defined]
        def on_train_epoch_end(self, trainer: Any, _module: Any) -> None:
            with autologging.quietly("an epoch"):
                autologging.log_metrics(trainer.callback_metrics, trainer.current_epoch)

        def on_validation_epoch_end(self, trainer: Any, _module: Any) -> None:
            if not trainer.sanity_checking:
                self.on_train_epoch_end(trainer, _module)

    class Fit:
        name = "lightning"

        def begin(self, call: inspect.BoundArguments) -> None:
            self.trainer, trained = call.arguments["self"], call.arguments["model"]
            autologging.log_params(
                {
                    "module": type(trained).__name__,
                    "max_epochs": self.trainer.max_epochs,
                    "precision": self.trainer.precision,
                    **dict(getattr(trained, "hparams", {})),
                }
            )
            self.epochs = Epochs()
            self.trainer.callbacks.append(self.epochs)

        def end(self, _result: Any) -> None:
            self.trainer.callbacks.remove(self.epochs)
            optimisers = [type(each).__name__ for each in self.trainer.optimizers]
            autologging.log_params({"optimizers": ", ".join(optimisers), "epochs": self.trainer.current_epoch})

    return [autologging.watch(module.Trainer, "fit", Fit)]
