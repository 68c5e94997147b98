# SPDX-License-Identifier: Apache-2.0
"""MLflow's REST protocol: an unmodified ``mlflow`` client works when its tracking URI is this server's address.

In: what the client sends to ``/api/2.0/mlflow``, ``/api/3.0/mlflow``, their ``/ajax-api`` twins and ``mlflow-artifacts``. Out:
our own verbs, one a call, and answers in MLflow's words. A file here is a part of the protocol and declares its `Calls`;
``calls`` turns them into endpoints; foreign words, codes and limits stand in ``wire``. What is refused, and why, is in
``refused`` and in ``docs/mlflow.md``.

Source: the REST API reference of MLflow 3.17 and the requests that its clients 3.6 to 3.17 send.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from mainstay.server.protocols import Mount
from mainstay.server.protocols.mlflow.calls import Calls, mount
from mainstay.server.protocols.mlflow.wire import answer, unknown
from mainstay.store import Store

__all__ = ["PREFIXES", "all_calls", "answer", "mounts", "unknown"]

PREFIXES = (
    "/api/2.0/",
    "/api/3.0/",
    "/ajax-api/",
    "/get-artifact",
    "/model-versions/get-artifact",
    "//model-versions/get-artifact",
    "/graphql",
)


def all_calls() -> list[Calls]:
    """What every file here declares, in the order of their names."""
    found = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    return [module.calls for module in found if hasattr(module, "calls")]


def mounts(store: Store) -> Iterator[Mount]:
    """Every address of the protocol."""
    for calls in all_calls():
        for call in calls.all:
            yield from mount(call, store)
