# SPDX-License-Identifier: Apache-2.0
"""The questions of a search: runs that meet conditions, in an order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    FromClause,
    Select,
    Table,
    and_,
    case,
    exists,
    false,
    func,
    intersect,
    not_,
    or_,
    select,
)

from mainstay.domain.search import PRESENCE, Comparison, Order
from mainstay.domain.tracking import Run
from mainstay.lifecycle.tracking.lineage.tables import run_links
from mainstay.lifecycle.tracking.metrics.tables import run_metrics
from mainstay.lifecycle.tracking.tables import INDEXED, run_params, run_tags, runs, shown
from mainstay.store import View, pages
from mainstay.store.conditions import as_compared, compared
from mainstay.store.pages import Term

# A search is answered in one of two ways. *Gather*: every run that meets the conditions, sorted. *Walk*: an index is
# followed in the order that was asked for until the page is full: first the runs with a value, then those whose value is no
# number, then those without one. A gathering costs what it finds, a walk what it passes. So where conditions leave few, they
# are gathered; where they leave not too many, the next entries are tried first, which fill a page unless the conditions have to
# do with the order; and where nothing is known to be narrow, the walk goes on to its end.
FEW = 5_000
MANY = 20_000
NEAR = 4_000
_MISSING = 2

Ids = Select[Any] | CompoundSelect[Any]


class Scope(NamedTuple):
    """Where to look: in these experiments (None: in all), what is put away or not (None: both), with these attributes."""

    experiments: Sequence[int] | None = None
    deleted: bool | None = False
    fixed: Mapping[str, Any] = {}


class Found(NamedTuple):
    """A run, and its place in the order."""

    place: list[Any]
    run: Run


class _Asked(NamedTuple):
    """One search."""

    scope: Scope
    comparisons: Sequence[Comparison]
    orders: Sequence[Order]
    after: Sequence[Any] | None
    limit: int


class _Narrow(NamedTuple):
    """What conditions leave: how many runs, and a question for their ids. There may be some among them that do not meet a
    condition after all, unless it is ``proven``."""

    size: int
    ids: Ids
    proven: Sequence[Comparison]


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
    asked = _Asked(scope, comparisons, orders, after, limit)
    walk = _walk_of(asked)
    narrow = _narrow(view, asked, also_attributes=walk is _walk)
    if walk is not None and (narrow is None or narrow.size > FEW):
        found = walk(view, asked, only_near=narrow is not None)
        if narrow is None or len(found) == limit:
            return found
    return _gather(view, asked, narrow)


def _gather(
    view: View, asked: _Asked, narrow: _Narrow | None, within: Sequence[ColumnElement[bool]] = ()
) -> list[Found]:
    others = [each for each in asked.comparisons if narrow is None or each not in narrow.proven]
    query = select(runs.c.id).where(*_conditions(asked.scope, others, narrow and narrow.ids), *within)
    query, terms = _ordered(query, asked.orders)
    return _page(view, query, terms, asked.after, asked.limit)


def _walk_of(asked: _Asked) -> Callable[..., list[Found]] | None:
    """How to walk in the order that is asked for, if an index has it."""
    first = asked.orders[0] if asked.orders else None
    experiments = asked.scope.experiments
    if first is not None and first.kind in _LOGGED:
        return _walk if len(experiments or ()) == 1 else None
    by_time = first is None or (first.kind, first.key) == ("attribute", "started_at")
    return _walk_by_time if by_time and (experiments is None or len(experiments) == 1) else None


def _walk_by_time(view: View, asked: _Asked, *, only_near: bool) -> list[Found]:
    if not only_near:
        return _gather(view, asked, None)
    _, terms = _ordered(select(runs.c.id), asked.orders)
    entries = [runs.c.experiment == experiment for experiment in asked.scope.experiments or ()]
    return _gather(view, asked, None, _near(view, entries, terms[:1], asked.after))


def _walk(view: View, asked: _Asked, *, only_near: bool) -> list[Found]:
    """Follow the index of the first term. With ``only_near`` it ends, maybe too soon, where enough was passed."""
    # What compares the very value that is followed says where to begin and to end.
    own = [each for each in asked.comparisons if each[:2] == asked.orders[0][:2] and each.operator not in PRESENCE]
    found: list[Found] = []
    for rank in (0, 1, _MISSING):
        if asked.after is not None and asked.after[0] > rank:
            continue
        if rank == _MISSING and (own or only_near):
            break
        rest = asked._replace(limit=asked.limit - len(found))
        passed, is_whole = _pass(view, rest, rank, own, only_near=only_near)
        found += passed
        if len(found) == asked.limit or not is_whole:
            break
    return found


def _pass(
    view: View, asked: _Asked, rank: int, own: Sequence[Comparison], *, only_near: bool
) -> tuple[list[Found], bool]:
    """What there is among the runs of one rank, and whether all of them were passed."""
    first, (table, column) = asked.orders[0], _logged(asked.orders[0].kind)
    others = [each for each in asked.comparisons if each not in own]
    after = asked.after if asked.after and asked.after[0] == rank else None
    led, near = _led_by(first, rank), list[ColumnElement[bool]]()
    if rank == _MISSING:
        lacks = not_(exists().where(table.c.run == runs.c.id, table.c.key == first.key))
        query = select(runs.c.id).where(*_conditions(asked.scope, others, None), lacks)
    else:
        entries = [table.c.experiment == experiment for experiment in asked.scope.experiments or ()]
        entries += [table.c.key == first.key, column.is_not(None) if rank == 0 else column.is_(None)]
        entries += [_said(kind, table, operator, value) for kind, _, operator, value in own]
        near = _near(view, entries, led, after) if only_near else near
        # Asked of the entry that is passed, not of its run: most entries then cost no look at the run.
        conditions = _conditions(asked.scope, others, None, table.c.run)
        query = select(runs.c.id).join(table, table.c.run == runs.c.id).where(*conditions, *entries, *near)
    query, rest = _ordered(query, asked.orders[1:])
    return _page(view, query, [*led, *rest], after, asked.limit), not near


def _led_by(first: Order, rank: int) -> list[Term]:
    """The terms of an order for what is of one rank in its first."""
    table, column = _logged(first.kind)
    led = [Term(rank, column if rank == 0 else None, first.descending)]
    if first.kind == "param_numbers":
        led.append(Term(0, table.c.value if rank == 1 else None, first.descending))
    return led


def _near(
    view: View, entries: Sequence[ColumnElement[bool]], led: Sequence[Term], after: Sequence[Any] | None
) -> list[ColumnElement[bool]]:
    """Whether a value is before that of the entry NEAR places further on; nothing, if there are not so many or they have none."""
    at = next((n for n, term in enumerate(led) if term.value is not None), None)
    if at is None:
        return []
    column: Any = led[at].value
    falls, reached = led[at].descending, after[2 * at + 1] if after and len(after) > 2 * at + 1 else None
    query = select(column).where(*entries).order_by(column.desc() if falls else column).offset(NEAR).limit(1)
    if reached is not None:
        query = query.where(column <= reached if falls else column >= reached)
    end = view.scalar(query)
    return [] if end is None else [column > end if falls else column < end]


def _narrow(view: View, asked: _Asked, *, also_attributes: bool) -> _Narrow | None:
    """What the narrowest condition leaves or, where that is not little, what all of them leave that are narrow."""
    found: list[_Narrow] = []
    for comparison in asked.comparisons:
        ids = _ids(asked.scope, comparison, also_attributes=also_attributes)
        size = MANY + 1 if ids is None else _count(view, ids)
        if ids is not None and size <= MANY:
            found.append(_Narrow(size, ids, [comparison] if _is_whole(comparison) else []))
    if not found:
        return None
    first, *others = sorted(found, key=itemgetter(0))
    if first.size <= FEW or not others:
        return first
    common = intersect(first.ids, *(other.ids for other in others))
    return _Narrow(_count(view, common), common, [each for one in found for each in one.proven])


def _count(view: View, ids: Ids) -> int:
    return int(view.scalar(select(func.count()).select_from(ids.limit(MANY + 1).subquery())))


def _ids(scope: Scope, comparison: Comparison, *, also_attributes: bool) -> Select[Any] | None:
    """A question for the ids of the runs that meet one condition, if it can be asked by itself."""
    kind, key, operator, value = comparison
    if kind == "attribute" and also_attributes:
        query, experiment = select(runs.c.id).where(compared(_attribute(key), operator, value)), runs.c.experiment
    elif kind in _LOGGED and operator in _NARROW:
        table, _ = _logged(kind)
        meets = _begins(table.c.value, operator, value) if kind in _TEXTS else _said(kind, table, operator, value)
        query, experiment = select(table.c.run).where(table.c.key == key, meets), table.c.experiment
    else:
        return None
    if scope.experiments is None:
        return query
    one = len(scope.experiments) == 1
    return query.where(experiment == scope.experiments[0] if one else experiment.in_(scope.experiments))


def _begins(column: Any, operator: str, value: Any) -> ColumnElement[bool]:
    """Whether a text may compare so, by its beginning: that is all that an index has."""
    if operator in ("=", "IN"):
        return column.in_([text[:INDEXED] for text in _texts(operator, value)])
    return or_(compared(column, operator, value), func.length(column) >= INDEXED)


def _is_whole(comparison: Comparison) -> bool:
    """Whether the runs that its question finds all meet it."""
    kind, _, operator, value = comparison
    if kind not in _TEXTS:
        return True
    return operator in ("=", "IN") and all(len(text) < INDEXED for text in _texts(operator, value))


def _texts(operator: str, value: Any) -> Sequence[str]:
    return [value] if operator == "=" else value


def _conditions(
    scope: Scope,
    comparisons: Sequence[Comparison],
    few: Ids | None,
    run: ColumnElement[Any] = runs.c.id,
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
        return or_(false(), *(_is_text(c, each) for each in _texts(operator, value)))
    return compared(c.value + func.coalesce(c.more, ""), operator, value)


def _is_text(c: Any, text: str) -> ColumnElement[bool]:
    if len(text) < INDEXED:  # it has no more, and an index that has none either is enough
        return c.value == text
    return and_(c.value == text[:INDEXED], c.more == text[INDEXED:] if text[INDEXED:] else c.more.is_(None))


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
    return [Found(place, Run(**values)) for place, values in pages.found(view, query, terms, after, limit, whole=runs)]


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
_TEXTS = frozenset({"params", "tags"})
_NARROW = frozenset({"=", "IN", ">", ">=", "<", "<=", "LIKE", "ILIKE"})
_MAY_LACK = frozenset({"ended_at", "seconds", "parent", "claimed_by", "error"})
