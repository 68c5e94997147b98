# SPDX-License-Identifier: Apache-2.0
"""Feature views: a step whose table says what was known of an entity, and from when on.

In: ``@feature_view`` on a function of tables. Out: a step like any other, cached by all the code that it can reach; which
can also be joined to labels (``get_training``) and, once it is run on its own (``refreshes``), answered from. One function
serves both: that is what keeps training and serving alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar, cast

from mainstay.domain.errors import Invalid
from mainstay.engine import steps, verbs
from mainstay.engine.features.on_request import OnRequest
from mainstay.engine.steps import Options, Step
from mainstay.features.definitions import Definition, make
from mainstay.features.sources import External

P = ParamSpec("P")
R = TypeVar("R")

_NAMES: dict[Any, str] = {float: "float", int: "int", str: "str", bool: "bool"}


@dataclass(eq=False, repr=False)
class FeatureView(Step[P, R]):
    """A step with a definition. ``sources``: parameter → dataset, where it reads when it is run on its own."""

    definition: Definition
    sources: Mapping[str, str]

    def __repr__(self) -> str:
        return f"<feature view {self.definition.name}>"

    def of(self, *args: P.args, **kwargs: P.kwargs) -> Bound:
        """The view made from these tables, for `get_training`."""
        return Bound(self, self(*args, **kwargs))

    def bound(self) -> Bound:
        """The view made from the newest snapshots of its sources.

        Raises:
            Invalid: it names none. NotFound: there is no such dataset.
        """
        if not self.sources:
            name = self.definition.name
            raise Invalid(f'view {name!r} names no source; write {name}.of(table), or give it source="dataset".')
        read = {name: verbs.snapshots(dataset, last=1)[0] for name, dataset in self.sources.items()}
        return Bound(self, cast(Any, self)(**read))


@dataclass(frozen=True)
class Bound:
    """A view and its table, or the ref to it."""

    view: FeatureView[..., Any]
    table: Any


def feature_view(
    *,
    entity: str | Sequence[str],
    time: str,
    ttl: str | None = None,
    available_after: str = "0s",
    schema: Mapping[str, Any] | None = None,
    source: str | Mapping[str, str] | None = None,
) -> Callable[[Callable[P, R]], FeatureView[P, R]]:
    """Make a function of tables a feature view, called as the function.

    Args:
        entity: the column, or columns, that say whom a row is about. time: the column that says when it happened.
        ttl: how long a row counts, such as ``90d``; None: for ever.
        available_after: how long after its time a row is known, such as ``1h``.
        schema: the features it makes, name → type (float, int, str, bool, datetime); what it makes is held against it.
        source: the dataset that its parameter reads when the view is run on its own; several as parameter → dataset.

    Raises:
        Invalid: something of this cannot be.
    """

    def mark(function: Callable[P, R]) -> FeatureView[P, R]:
        plain = steps.checked(function)
        columns = None if schema is None else {name: _type(kind) for name, kind in schema.items()}
        definition = make(
            plain.__name__, entity=entity, time=time, ttl=ttl, available_after=available_after, columns=columns
        )
        view: FeatureView[P, R] = FeatureView(
            plain, Options(), steps.files_of(plain, steps.file_of_caller()), definition, {}
        )
        view.sources = _sources(view, source)
        return view

    return mark


def get_training(
    labels: Any, views: Sequence[FeatureView[..., Any] | Bound | External | OnRequest], *, time: str
) -> Any:
    """``labels`` with the features of ``views`` as they were known at each label's ``time``, and what is made of them.

    Of the rows of a label's entity that were available then, the latest counts, unless it is older than the view's ttl;
    of several with one time, the one that stands last. Where none counts, the features are null.

    Args:
        labels: a table, or a step's result, with the views' entity columns and ``time``.
        views: each as ``view.of(table)``, or a view that names its source; features of another store; and transforms of a
            request, which may read what all of these, and the transforms before them, make.

    Returns:
        An Arrow table, or the ref to one inside a pipeline.

    Raises:
        Invalid: a column is missing, or stands twice.
    """
    from mainstay.engine.features import external, training

    for each in views:
        if isinstance(each, External):
            labels = external.join_external(labels, each.to_json(), time)
    looked_up = [each for each in views if not isinstance(each, OnRequest | External)]
    bound = [each.bound() if isinstance(each, FeatureView) else each for each in looked_up]
    described = [each.view.definition.to_json() for each in bound]
    made = [each.transform.to_json() for each in views if isinstance(each, OnRequest)]
    return training.join_features(labels, [each.table for each in bound], described, time, made)


def _type(kind: Any) -> str:
    return kind if isinstance(kind, str) else _NAMES.get(kind) or str(getattr(kind, "__name__", kind))


def _sources(view: FeatureView[..., Any], source: str | Mapping[str, str] | None) -> dict[str, str]:
    if source is None:
        return {}
    if not isinstance(source, str):
        if unknown := [name for name in source if name not in view.signature.parameters]:
            raise Invalid(f"view {view.definition.name!r} has no parameter {unknown[0]!r} to read a source by.")
        return dict(source)
    parameters = list(view.signature.parameters)
    if not parameters:
        raise Invalid(f"view {view.definition.name!r} takes no table, so it can have no source.")
    return {parameters[0]: source}
