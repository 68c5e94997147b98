# SPDX-License-Identifier: Apache-2.0
"""An estimator that somebody else pickled: read only where an admin has allowed it.

In: ``model.pkl``. Out: an estimator, served as one of scikit-learn's. Reading a pickle is running it: nothing that is looked
at beforehand makes that safe, so `formats.load` refuses this format unless it is told ``allow_pickle``. Mainstay itself
saves nothing so. The first load still happens in the limited child, which catches what crashes, hangs or allocates.
"""

from __future__ import annotations

import pickle
from typing import Any, Literal

from mainstay import formats
from mainstay.domain.errors import Invalid, MainstayError
from mainstay.formats import Files, Model, sklearn

FILE = "model.pkl"


@formats.adapter("pickle")
class Pickle:
    """Reads pickles of estimators with scikit-learn's face."""

    version = 1
    extra = "sklearn"
    libraries: tuple[str, ...] = ("scikit-learn", "numpy", "scipy")
    match: Literal["minor", "not_older"] = "minor"
    runs_code = True
    memory_mb = formats.MEMORY_MB

    def recognises(self, model: object) -> bool:
        return False  # a pickle may be brought along; none is ever made here

    def save(self, model: Any) -> dict[str, bytes]:
        raise Invalid(f"a {type(model).__name__} is not saved as a pickle; choose one of the other formats.")

    def inspect(self, files: Files) -> list[str]:
        if FILE not in files:
            return [f"it has no file {FILE!r}."]
        content = formats.read(files, FILE)
        return [] if content[:1] == b"\x80" and content[-1:] == b"." else [f"{FILE} is not a whole pickle."]

    def load(self, files: Files) -> Model:
        try:
            estimator = pickle.loads(formats.read(files, FILE))
            return sklearn.serve(estimator)
        except (MemoryError, MainstayError):
            raise
        except ModuleNotFoundError as error:
            raise Invalid(
                f"{FILE} needs module {error.name!r}, not installed here; install what the model was trained with."
            ) from error
        # It runs a stranger's code, which may raise anything at all.
        except Exception as error:
            raise Invalid(f"{FILE} cannot be unpickled: {type(error).__name__}.") from error


_: formats.Format = Pickle()
