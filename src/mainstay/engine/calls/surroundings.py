# SPDX-License-Identifier: Apache-2.0
"""What another process needs in order to find the steps of this one: where modules come from, and a step's place in them.

A step travels by the name of its module and its own; only one that is defined in a notebook, which no other process can
import, travels as what it is, with cloudpickle.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pickle
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainstay.domain.errors import Invalid
from mainstay.engine.steps import Options, Step

NOTEBOOKS = "mainstay[notebooks]"


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """``main``: the file that runs as ``__main__`` here, if steps stand in it. ``preload``: modules to have ready.

    ``code``: the state of the project's code, by digest.
    """

    path: tuple[str, ...]
    main: Path | None = None
    preload: tuple[str, ...] = ()
    code: str = ""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a step is found: by module and name, or ``content``: the function itself."""

    module: str
    name: str
    content: bytes | None = None
    options: Options | None = None
    files: tuple[Path, ...] = ()


def of(steps: Iterable[Step[..., Any]], *, code: str = "") -> Surroundings:
    """The surroundings of ``steps``, as they are in this process; ``code``: the digest of all that they can reach."""
    modules = list(dict.fromkeys(step.function.__module__ for step in steps))
    return Surroundings(
        path=tuple(sys.path),
        main=_main_file() if "__main__" in modules else None,
        preload=tuple(name for name in modules if name != "__main__"),
        code=code,
    )


def place_of(step: Step[..., Any]) -> Place:
    """How ``step`` is found from elsewhere.

    Raises:
        Invalid: it stands in a notebook, and cloudpickle is not installed.
    """
    module, name = step.function.__module__, step.function.__qualname__
    is_here_only = (module == "__main__" and _main_file() is None) or "<locals>" in name
    if not is_here_only:
        return Place(module=module, name=name)
    try:
        import cloudpickle  # an extra: only for steps that no other process can import
    except ImportError:
        raise Invalid(
            f"step {step.name} is defined in a notebook or inside a function, where a worker process cannot find it; "
            f"move it to a file, install {NOTEBOOKS}, or use the inline executor.",
            step=step.name,
        ) from None
    content = cloudpickle.dumps(step.function)
    return Place(module=module, name=name, content=content, options=step.options, files=step.files)


def enter(surroundings: Surroundings) -> None:
    """Make this process one in which the steps are found; to be called once, before the first."""
    sys.path[:] = [*surroundings.path, *(entry for entry in sys.path if entry not in surroundings.path)]
    if surroundings.main is not None:
        _load_main(surroundings.main)
    for name in surroundings.preload:
        importlib.import_module(name)


def find(place: Place) -> Step[..., Any]:
    """The step at ``place``.

    Raises:
        Invalid: there is none.
    """
    if place.content is not None:
        assert place.options is not None
        return Step(pickle.loads(place.content), place.options, place.files)
    found: Any = importlib.import_module(place.module)
    for part in place.name.split("."):
        found = inspect.getattr_static(found, part, None)
    if isinstance(found, staticmethod):
        found = found.__func__
    if not isinstance(found, Step):
        raise Invalid(
            f"a worker process finds no step {place.name!r} in module {place.module}; define it at the top level."
        )
    return found


def _main_file() -> Path | None:
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    path = Path(file).resolve() if file else None
    return path if path is not None and path.suffix == ".py" and path.is_file() else None


def _load_main(file: Path) -> None:
    """Run the script under its file's name, as its keys know it, so that its ``if __name__ == "__main__"`` is not taken."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise Invalid(f"{file.name} cannot be imported by a worker process; move its steps to a module.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = sys.modules["__main__"] = module
    spec.loader.exec_module(module)
