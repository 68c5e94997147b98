# SPDX-License-Identifier: Apache-2.0
"""The questions of a search: runs that meet conditions, in an order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, FromClause, Select, Table, and_, case, exists, false, func, not_, or_, select

from mainstay.domain.search import PRESENCE, Comparison, Order
from mainstay.domain.tracking import Run
from mainstay.lifecycle.tracking.metrics.tables import run_metrics
from mainstay.lifecycle.tracking.tables import INDEXED, run_links, run_params, run_tags, runs, shown
from mainstay.store import View, pages
from mainstay.store.conditions import as_compared, compared
from mainstay.store.pages import Term

# A search is answered in one of two ways. *Gather*: every run that meets the conditions, sorted. *Walk*: an index is
# followed in the order that was asked for until the page is full: first the runs with a value, then those whose value is no
# number, then those without one. A walk costs what it shows, if most of what it passes is wanted; so where a condition leaves
# few, they are gathered; and where it leaves not too many, their ids are made a set that each entry passed is looked up in.
FEW = 5_000
MANY = 20_000
_MISSING = 2


class Scope(NamedTuple):
    """Where to look: in these experiments (None: in all), what is put away or not (None: both), with these attributes."""

    experiments: Sequence[int] | None = None
    deleted: bool | None = False
    fixed: Mapping[str, Any] = {}


class Found(NamedTuple):
    """A run, and its place in the order."""

    place: list[Any]
    run: Run


def find_runs(
    view: View,
    scope: Scope,
    comparisons: Sequence[Comparison],
    orders: Sequence[Order],
    *,
    after: Sequence[Any] | None,
    limit: int,
) -> list[Found]:
    """A page of runs, in the order asked for; among equals the newest first, then by id."""
    can_walk = bool(orders) and orders[0].kind in _LOGGED and len(scope.experiments or ()) == 1
    narrow = _narrow(view, scope, comparisons, also_attributes=can_walk)
    few = next((ids for size, ids in narrow if size <= FEW), None)
    if few is None and can_walk:
        return _walk(view, scope, comparisons, orders, after, limit, [ids for _, ids in narrow])
    query = select(*runs.c).where(*_conditions(scope, comparisons, few))
    query, terms = _ordered(query, orders)
    return _page(view, query, terms, after, limit)


def _walk(
    view: View,
    scope: Scope,
    comparisons: Sequence[Comparison],
    orders: Sequence[Order],
    after: Sequence[Any] | None,
    limit: int,
    sets: Sequence[Select[Any]],
) -> list[Found]:
    first, found = orders[0], list[Found]()
    table, column = _logged(first.kind)
    of_run = and_(table.c.run == runs.c.id, table.c.key == first.key)
    of_experiment = [table.c.experiment == experiment for experiment in scope.experiments or ()]
    # What compares the very value that is followed says where to begin and to end.
    own = [each for each in comparisons if each[:2] == first[:2] and each.operator not in PRESENCE]
    others = [each for each in comparisons if each not in own]
    for rank in (0, 1, _MISSING):
        if len(found) >= limit or (after is not None and after[0] > rank):
            continue
        if rank == _MISSING and own:
            continue
        # Asked of the entry that is passed, not of its run: most entries then cost no look at the run.
        passed = runs.c.id if rank == _MISSING else table.c.run
        # By an index over runs the set would be walked, and the order be lost: so no index may see the column as it is.
        inside = [func.coalesce(passed, passed).in_(each) for each in sets]
        query = select(*runs.c).where(*_conditions(scope, others, None, passed), *inside)
        if rank == _MISSING:
            query = query.where(not_(exists().where(of_run)))
        else:
            valued = column.is_not(None) if rank == 0 else column.is_(None)
            said = [_said(kind, table, operator, value) for kind, _, operator, value in own]
            query = query.join(table, of_run).where(*of_experiment, valued, *said)
        query, rest = _ordered(query, orders[1:])
        terms = [Term(rank, column if rank == 0 else None, first.descending), *rest]
        if first.kind == "param_numbers" and rank == 1:
            terms.insert(1, Term(0, table.c.value, first.descending))
        elif first.kind == "param_numbers":
            terms.insert(1, Term(0, None))
        found += _page(view, query, terms, after if after and after[0] == rank else None, limit - len(found))
    return found


def _narrow(
    view: View, scope: Scope, comparisons: Sequence[Comparison], *, also_attributes: bool
) -> list[tuple[int, Select[Any]]]:
    """Conditions that leave not too many runs: of each how many, and a question for their ids; the narrowest first. There may be
    some among them that do not meet it after all."""
    found: list[tuple[int, Select[Any]]] = []
    for comparison in comparisons:
        ids = _ids(scope, comparison, also_attributes=also_attributes)
        if ids is not None:
            size = view.scalar(select(func.count()).select_from(ids.limit(MANY + 1).subquery()))
            found += [(size, ids)] if size <= MANY else []
    return sorted(found, key=itemgetter(0))


def _ids(scope: Scope, comparison: Comparison, *, also_attributes: bool) -> Select[Any] | None:
    """A question for the ids of the runs that meet one condition, if it can be asked by itself."""
    kind, key, operator, value = comparison
    if kind == "attribute" and also_attributes:
        query, experiment = select(runs.c.id).where(compared(_attribute(key), operator, value)), runs.c.experiment
    elif kind in _LOGGED and operator in _NARROW:
        table, column = _logged(kind)
        is_text = kind in ("params", "tags")
        if is_text and operator in ("=", "IN"):  # by its beginning, which is all that the index has
            meets = column.in_([text[:INDEXED] for text in ([value] if operator == "=" else value)])
        else:
            meets = _said(kind, table, operator, value)
        query, experiment = select(table.c.run).where(table.c.key == key, meets), table.c.experiment
    else:
        return None
    if scope.experiments is None:
        return query
    one = len(scope.experiments) == 1
    return query.where(experiment == scope.experiments[0] if one else experiment.in_(scope.experiments))


def _conditions(
    scope: Scope, comparisons: Sequence[Comparison], few: Select[Any] | None, run: ColumnElement[Any] = runs.c.id
) -> list[ColumnElement[bool]]:
    found = [runs.c[name] == value for name, value in scope.fixed.items()]
    found += shown(runs.c.deleted_at, scope.deleted)
    if few is not None:
        found.append(runs.c.id.in_(few))
    elif scope.experiments is not None and len(scope.experiments) == 1:
        found.append(runs.c.experiment == scope.experiments[0])  # not IN: of one, an index knows the order
    elif scope.experiments is not None:
        found.append(runs.c.experiment.in_(scope.experiments))
    return found + [_holds(comparison, run) for comparison in comparisons]


def _holds(comparison: Comparison, run: ColumnElement[Any]) -> ColumnElement[bool]:
    kind, key, operator, value = comparison
    if kind == "attribute":
        return compared(_attribute(key), operator, value)
    if kind == "datasets":
        c = run_links.c
        column = {"name": c.name, "digest": c.ref, "context": c.context}[key]
        return exists().where(c.run == run, c.kind == "dataset", compared(column, operator, value))
    table = _LOGGED[kind].alias()  # a walk may follow the same table, under another key
    there = exists().where(table.c.run == run, table.c.key == key)
    if operator == "IS NULL":
        return not_(there)
    return there if operator == "IS NOT NULL" else there.where(_said(kind, table, operator, value))


def _said(kind: str, table: FromClause, operator: str, value: Any) -> ColumnElement[bool]:
    """Whether what a run logged under a key compares so."""
    c = table.c
    if kind in ("metrics", "param_numbers"):
        column = c.value if kind == "metrics" else c.number
        holds = compared(column, operator, value)
        return or_(holds, column.is_(None)) if operator == "!=" else holds  # no number differs from every number
    if operator in ("=", "IN"):
        return or_(false(), *(_is_text(c, each) for each in ([value] if operator == "=" else value)))
    return compared(c.value + func.coalesce(c.more, ""), operator, value)


def _is_text(c: Any, text: str) -> ColumnElement[bool]:
    rest = text[INDEXED:]
    return and_(c.value == text[:INDEXED], c.more == rest if rest else c.more.is_(None))


def _ordered(query: Select[Any], orders: Sequence[Order]) -> tuple[Select[Any], list[Term]]:
    """The query with what its order needs joined to it, and the order's terms; the last of them is the id."""
    terms: list[Term] = []
    for n, (kind, key, descending) in enumerate(orders):
        if kind == "attribute":
            column = _attribute(key)
            rank = case((column.is_(None), 1), else_=0) if key in _MAY_LACK else 0
            terms.append(Term(rank, column, descending))
            continue
        table = _LOGGED[kind].alias(f"order_{n}")
        query = query.outerjoin(table, and_(table.c.run == runs.c.id, table.c.key == key))
        column = table.c.number if kind == "param_numbers" else table.c.value
        terms.append(Term(case((table.c.run.is_(None), _MISSING), (column.is_(None), 1), else_=0), column, descending))
        if kind == "param_numbers":
            terms.append(Term(0, case((column.is_(None), table.c.value)), descending))
    terms += [Term(0, as_compared(runs.c.started_at), True), Term(0, runs.c.id)]
    return query, terms


def _page(
    view: View, query: Select[Any], terms: Sequence[Term], after: Sequence[Any] | None, limit: int
) -> list[Found]:
    return [Found(place, Run(**values)) for place, values in pages.found(view, query, terms, after, limit)]


def _logged(kind: str) -> tuple[Table, Any]:
    table = _LOGGED[kind]
    return table, table.c.number if kind == "param_numbers" else table.c.value


def _attribute(name: str) -> Any:
    if name == "user":
        return func.coalesce(runs.c.claimed_by, runs.c.actor)
    if name == "seconds":
        return (as_compared(runs.c.ended_at) - as_compared(runs.c.started_at)) / 1_000_000.0
    return as_compared(runs.c[name])


_LOGGED = {"metrics": run_metrics, "params": run_params, "param_numbers": run_params, "tags": run_tags}
_NARROW = frozenset({"=", "IN", ">", ">=", "<", "<=", "LIKE", "ILIKE"})
_MAY_LACK = frozenset({"ended_at", "seconds", "parent", "claimed_by", "error"})
