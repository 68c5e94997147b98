# SPDX-License-Identifier: Apache-2.0
"""Replays: predictions that were logged, asked once more of the training path.

In: a feature view as it is on this disk, and a deployment whose log holds what was served. Out: a recorded run, whose report
says for each feature how many cells agree. What a gateway served came from an online table known up to some moment; the
training path is given the same rows and the same moment, so what then differs is skew. How many cells would be others
had the table been made later is told beside it: that is how far behind the table was, and no fault of the code. What
transforms made of the request and of those features is made once more, too. The run keeps the report, with the cells.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mainstay.domain.clock import from_wire, to_wire
from mainstay.domain.errors import NotFound
from mainstay.engine.arguments import WHOLE
from mainstay.engine.features import served, view_versions
from mainstay.engine.features.served import Served
from mainstay.engine.features.views import FeatureView
from mainstay.engine.notices import Notice, Notify
from mainstay.engine.pipelines import Pipeline
from mainstay.engine.refs import StepNode

if TYPE_CHECKING:
    import pyarrow as pa

    from mainstay.engine.outlook import Outlook
    from mainstay.engine.platform import Platform
    from mainstay.features.definitions import Definition
    from mainstay.features.parity import Column

#: The file of the run that holds the whole report.
REPORT = "replay.json"
#: A gateway answers from a new table moments after it is published, not at once.
TAKEN_UP_WITHIN = timedelta(seconds=60)
_TABLES = 1_000
_ASKED, _KNOWN = "__asked", "__known"


@dataclass(frozen=True, kw_only=True)
class Report:
    """``different``: cells that the training path makes otherwise. ``behind``: cells that a newer table would have had.

    ``predictions``: of each row with a cell that differs, by its number: which prediction it was, when, and about whom.
    """

    view: str
    deployment: str
    rows: int
    cells: int
    different: int
    behind: int
    columns: tuple[Column, ...]
    predictions: dict[int, dict[str, Any]]
    since: str
    until: str

    def to_json(self) -> dict[str, Any]:
        """Plain, for a page or a file."""
        found: dict[str, Any] = json.loads(json.dumps(asdict(self), default=_text))
        return found


class Replay(Pipeline[..., Any]):
    """The pipeline of one replay; ``report`` is there when it has run."""

    report: Report

    def __init__(self, view: FeatureView[..., Any], deployment: str, most: int, notify: Notify | None = None) -> None:
        """``notify`` hears how far it is, once the view was run."""
        self.view, self.deployment, self.most, self.notify = view, deployment, most, notify

        def replay() -> Any:
            return view.bound().table

        replay.__name__ = f"replay_{view.function.__name__}"
        super().__init__(replay, 0, None, view.files[0] if view.files else None)

    def conclude(self, platform: Platform, run_id: str, outlook: Outlook) -> None:
        """Compare, and leave the figures with the run."""
        from mainstay.engine import materialise
        from mainstay.engine.materialise.arrow import to_arrow

        node = next(each for each in outlook.trace.nodes if isinstance(each, StepNode) and each.step is self.view)
        artifact = outlook.outputs[node.number][WHOLE]
        version = view_versions.declared(platform, self.view, outlook, artifact)
        table = to_arrow(materialise.read(artifact, platform))
        self.report = self._compared(platform, version, table)
        figures = {"cells": self.report.cells, "different": self.report.different, "behind": self.report.behind}
        metrics = [{"key": f"replay.{name}", "value": float(value)} for name, value in figures.items()]
        platform.post(f"/runs/{run_id}/log", {"metrics": metrics})
        data = json.dumps(self.report.to_json()).encode()
        told = {"path": REPORT, "digest": platform.put_blob(data), "size": len(data), "media_type": "application/json"}
        platform.post(f"/runs/{run_id}/artifacts", told)

    def _compared(self, platform: Platform, version: Mapping[str, Any], table: pa.Table) -> Report:
        from mainstay.features import definitions

        tables = platform.get(f"/features/{version['view']}/online", limit=_TABLES)["items"]
        made = [each for each in tables if each["version"] == version["number"]]
        # What was served before these is of a table that is not told any more.
        since = from_wire(tables[-1]["made_at"]) if len(tables) == _TABLES else None
        table = definitions.checked(self.view.definition, table)
        compared = [
            _Compared(self.view.definition, table, made, each) for each in self._served(platform, version, since)
        ]
        return _report(version, self.deployment, compared)

    def _served(self, platform: Platform, version: Mapping[str, Any], since: datetime | None) -> list[Served]:
        try:
            found = served.read(platform, self.deployment, version, self.most, since=since, tell=self._tell)
        except NotFound as error:
            if since is None:
                raise
            told = f"what {self.deployment!r} served is older than the last {_TABLES} tables of {version['id']}."
            raise NotFound(told) from error
        self._tell(sum(each.table.num_rows for each in found), "compared")
        return found

    def _tell(self, rows: int, done: str = "read") -> None:
        if self.notify is not None:
            self.notify(Notice(what="start", label=self.deployment, text=f"{rows:,} predictions are {done}"))


def _text(value: Any) -> str:
    return to_wire(value) if isinstance(value, datetime) else str(value)


class _Compared:
    """What one version of a model was served, beside what the training path makes; ``ideal``: beside what it makes now."""

    def __init__(
        self, definition: Definition, table: pa.Table, made: Sequence[Mapping[str, Any]], found: Served
    ) -> None:
        from mainstay.features import parity

        self.found = found
        rebuilt = _as_served(definition, table, made, found)
        self.columns = [*parity.compare(found.table, rebuilt, found.names), *_transformed(found, rebuilt)]
        now = _rebuilt(definition, table, found, found.table["_at"])
        self.ideal = parity.compare(rebuilt, now, found.names)

    def behind_by(self, rows: int) -> list[Column]:
        """The columns as they stand where so many rows come before."""
        return [
            replace(each, first=tuple(replace(cell, row=cell.row + rows) for cell in each.first))
            for each in self.columns
        ]


def _report(version: Mapping[str, Any], deployment: str, compared: Sequence[_Compared]) -> Report:
    import pyarrow.compute as pc

    from mainstay.features import parity

    entity = [each["name"] for each in version["entity"]]
    columns: list[Column] = []
    told: dict[int, dict[str, Any]] = {}
    rows = 0
    for each in compared:
        columns = parity.merged([*columns, *each.behind_by(rows)])
        told |= {rows + cell.row: each.found.told(cell.row, entity) for column in each.columns for cell in column.first}
        rows += each.found.table.num_rows
    shown = {cell.row for column in columns for cell in column.first}
    ends = [pc.min_max(each.found.table["_at"]).as_py() for each in compared]
    return Report(
        view=version["id"],
        deployment=deployment,
        rows=rows,
        cells=sum(column.cells for column in columns),
        different=sum(column.different for column in columns),
        behind=sum(column.different for each in compared for column in each.ideal),
        columns=tuple(columns),
        predictions={row: each for row, each in told.items() if row in shown},
        since=to_wire(min(each["min"] for each in ends)),
        until=to_wire(max(each["max"] for each in ends)),
    )


def _transformed(found: Served, rebuilt: pa.Table) -> list[Column]:
    """What transforms made, beside what they make of the rebuilt features and of the rest of the logged request."""
    from mainstay.features import parity, transforms

    held = [transforms.from_json(each) for each in found.transforms]
    if not held:
        return []
    made = {each.name for each in held}
    table = rebuilt.append_column(_ASKED, found.table["_at"])
    lacking = {name: kind for each in held for name, kind in each.columns if name not in made}
    for name in [each for each in lacking if each not in table.column_names]:
        table = table.append_column(name, transforms.column(found.table[name].to_pylist(), lacking[name]))
    table = transforms.added(table, held, time=_ASKED)
    return parity.compare(found.table, table, [each.name for each in held])


def _as_served(definition: Definition, table: pa.Table, made: Sequence[Mapping[str, Any]], found: Served) -> pa.Table:
    """The features of the logged rows by the training path, from the table that each was served from: the one that the row is
    marked with, else the newest there was, or, while gateways were taking that up, the one before."""
    import pyarrow as pa

    from mainstay.features import parity

    marked = _marked(definition.name, found.table)
    # Where there was no table nothing is cut off.
    newest = _known_up_to(made, found.table, marked, timedelta(0), found.table["_at"])
    before = _known_up_to(made, found.table, marked, TAKEN_UP_WITHIN, newest)
    rebuilt = _rebuilt(definition, table, found, newest)
    differ = parity.differing(found.table, rebuilt, found.names)
    late = [place for place in differ if before[place] != newest[place]]
    if not late:
        return rebuilt
    picked = pa.array(late, pa.int64())
    some = replace(found, table=found.table.take(picked))
    again = _rebuilt(definition, table, some, before.take(picked))
    still = set(parity.differing(some.table, again, found.names))
    chosen = list(range(rebuilt.num_rows))
    for number, place in enumerate(late):
        if number not in still:
            chosen[place] = rebuilt.num_rows + number
    return pa.concat_tables([rebuilt, again]).take(pa.array(chosen, pa.int64()))


def _rebuilt(definition: Definition, table: pa.Table, found: Served, known_up_to: pa.ChunkedArray) -> pa.Table:
    """The features of the logged rows by the training path, of what was known up to each one's moment."""
    import pyarrow as pa

    from mainstay.features import asof, online

    asked = {name: _as_in(table, name, found.table[name]) for name in definition.entity}
    questions = pa.table(asked | {_ASKED: found.table["_at"], _KNOWN: known_up_to})
    chosen = online.answered(definition, table, questions, known_up_to=_KNOWN, time=_ASKED)
    return pa.table(dict(zip(found.names, asof.take(table, found.names, chosen), strict=True)))


def _known_up_to(
    made: Sequence[Mapping[str, Any]],
    table: pa.Table,
    marked: Mapping[int, datetime],
    earlier: timedelta,
    otherwise: pa.ChunkedArray,
) -> pa.ChunkedArray:
    """The watermark of the table that was there so much before each prediction was logged."""
    import numpy as np
    import pyarrow as pa

    kind = pa.timestamp("us", "UTC")
    there = sorted((from_wire(each["made_at"]), from_wire(each["watermark"])) for each in made)
    began = pa.array([each for each, _ in there], kind).cast(pa.int64()).to_numpy()
    known = pa.array([each for _, each in there], kind).cast(pa.int64()).to_numpy()
    logged = table["_logged_at"].cast(kind).cast(pa.int64()).to_numpy() - earlier // timedelta(microseconds=1)
    found = np.array(otherwise.cast(kind).cast(pa.int64()).to_numpy())
    place = np.searchsorted(began, logged, side="right") - 1
    found[place >= 0] = known[place[place >= 0]]
    for row, moment in marked.items():
        found[row] = pa.scalar(moment, kind).value
    return pa.chunked_array([pa.array(found).cast(kind)])


def _marked(view: str, table: pa.Table) -> dict[int, datetime]:
    """The rows that say of which table they were, because their gateway may have been behind."""
    import pyarrow.compute as pc

    start = f"as_of:{view}@"
    column = table["_flags"].combine_chunks()
    flags, rows = pc.list_flatten(column), pc.list_parent_indices(column)
    ours = pc.starts_with(flags, start)
    pairs = zip(rows.filter(ours).to_pylist(), flags.filter(ours).to_pylist(), strict=True)
    return {row: from_wire(flag.removeprefix(start)) for row, flag in pairs}


def _as_in(table: pa.Table, name: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Logged entities in the type that they have in the view's table."""
    import pyarrow as pa

    kind = table.schema.field(name).type
    return values.cast(kind.value_type if pa.types.is_dictionary(kind) else kind)
