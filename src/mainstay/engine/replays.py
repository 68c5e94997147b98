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

from mainstay.domain.clock import from_wire
from mainstay.domain.errors import Conflict, NotFound
from mainstay.engine.arguments import WHOLE
from mainstay.engine.features import view_versions
from mainstay.engine.features.views import FeatureView
from mainstay.engine.pipelines import Pipeline
from mainstay.engine.refs import StepNode

if TYPE_CHECKING:
    import pyarrow as pa

    from mainstay.engine.outlook import Outlook
    from mainstay.engine.platform import Platform
    from mainstay.features.parity import Column

#: The file of the run that holds the whole report.
REPORT = "replay.json"
#: A gateway answers from a new table moments after it is published, not at once.
TAKEN_UP_WITHIN = timedelta(seconds=60)
_PAGE = 500
_TABLES = 1_000
_ASKED = "__asked"


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
        return asdict(self)


class Replay(Pipeline[..., Any]):
    """The pipeline of one replay; ``report`` is there when it has run."""

    report: Report

    def __init__(self, view: FeatureView[..., Any], deployment: str, most: int) -> None:
        self.view, self.deployment, self.most = view, deployment, most

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
        data = json.dumps(self.report.to_json(), default=str).encode()
        told = {"path": REPORT, "digest": platform.put_blob(data), "size": len(data), "media_type": "application/json"}
        platform.post(f"/runs/{run_id}/artifacts", told)

    def _compared(self, platform: Platform, version: Mapping[str, Any], table: pa.Table) -> Report:
        from mainstay.features import parity

        names = [column["name"] for column in version["columns"]]
        logged = _logged(platform, self.deployment, version, self.most)
        tables = platform.get(f"/features/{version['view']}/online", limit=_TABLES)["items"]
        made = [each for each in tables if each["version"] == version["number"]]
        if len(tables) == _TABLES:  # what was served before these is of a table that is not told any more
            oldest = from_wire(tables[-1]["made_at"])
            logged = [each for each in logged if from_wire(each["logged_at"]) >= oldest]
            if not logged:
                raise NotFound(
                    f"what {self.deployment!r} served is older than the last {_TABLES} tables of {version['id']}."
                )
        served = [each["row"] for each in logged]
        names = [name for name in names if name in served[0]]
        rebuilt = _as_served(self.view, logged, table, made, names)
        columns = [*parity.compare(served, rebuilt, names), *_transformed(logged, rebuilt)]
        newest = _rebuilt(self.view, logged, table, [None] * len(logged))
        ideal = parity.compare(rebuilt.to_pylist(), newest, names)
        return Report(
            view=version["id"],
            deployment=self.deployment,
            rows=len(logged),
            cells=sum(column.cells for column in columns),
            different=sum(column.different for column in columns),
            behind=sum(column.different for column in ideal),
            columns=tuple(columns),
            predictions={cell.row: _told(logged[cell.row], version) for each in columns for cell in each.first},
            since=logged[-1]["at"],
            until=logged[0]["at"],
        )


def _logged(platform: Platform, deployment: str, version: Mapping[str, Any], most: int) -> list[dict[str, Any]]:
    """The newest predictions for which this version of the view was looked up.

    Raises:
        NotFound: there are none. Conflict: there are, but they were served by another version.
    """
    entity = [each["name"] for each in version["entity"]]
    found: list[dict[str, Any]] = []
    others: set[str] = set()
    pins: dict[str, str | None] = {}
    transforms: dict[str, list[dict[str, Any]]] = {}
    before = None
    while len(found) < most:
        page = platform.get("/predictions", deployment=deployment, before=before, limit=_PAGE)
        for each in page["items"]:
            name = each["version"]
            if name not in pins:
                pins[name], transforms[name] = _pinned(platform, name, version["view"])
            if pins[name] == version["digest"] and all(each["row"].get(key) is not None for key in entity):
                found.append(each | {"transforms": transforms[name]})
            elif pins[name] is not None and pins[name] != version["digest"]:
                others.add(name)
        before = page["next"]
        if before is None:
            break
    if not found and others:
        raise Conflict(
            f"what {deployment!r} served came from another version of view {version['view']!r} than {version['id']}, which "
            f"this code is; check out the code of {sorted(others)[0]}, or release a model that was trained on this one."
        )
    if not found:
        raise NotFound(
            f"the log of {deployment!r} holds no prediction for which view {version['view']!r} was looked up."
        )
    return found[:most]


def _pinned(platform: Platform, version: str, view: str) -> tuple[str | None, list[dict[str, Any]]]:
    """The digest of the view that a model's version pins, if it does, and the transforms that it holds."""
    model, _, number = version.rpartition("/")
    signature = platform.get(f"/models/{model}/versions/{number}")["signature"]
    digest = next((pin["digest"] for pin in signature.get("views", []) if pin["view"] == view), None)
    return digest, signature.get("transforms", [])


def _transformed(logged: Sequence[Mapping[str, Any]], rebuilt: pa.Table) -> list[Column]:
    """What transforms made, beside what they make of the rebuilt features and of the rest of the logged request."""
    import pyarrow as pa

    from mainstay.features import parity, transforms

    found: list[Column] = []
    for version in dict.fromkeys(each["version"] for each in logged):
        places = [place for place, each in enumerate(logged) if each["version"] == version]
        held = [transforms.from_json(each) for each in logged[places[0]]["transforms"]]
        if not held:
            continue
        rows = [logged[place]["row"] for place in places]
        table = rebuilt.take(pa.array(places, pa.int64()))
        made = {each.name for each in held}
        lacking = {name: kind for each in held for name, kind in each.columns if name not in made}
        for name in [each for each in lacking if each not in table.column_names]:
            table = table.append_column(name, transforms.column([row[name] for row in rows], lacking[name]))
        table = transforms.added(
            table.drop_columns([each for each in made if each in table.column_names]), held, time=_ASKED
        )
        for each in parity.compare(rows, table, [each.name for each in held]):
            cells = [replace(cell, row=places[cell.row]) for cell in each.first]
            found.append(replace(each, first=tuple(cells)))
    return parity.merged(found)


def _told(each: Mapping[str, Any], version: Mapping[str, Any]) -> dict[str, Any]:
    whose = {column["name"]: each["row"][column["name"]] for column in version["entity"]}
    return {"id": each.get("id"), "at": each["at"], "entity": whose}


def _known_up_to(tables: Sequence[Mapping[str, Any]], logged_at: datetime) -> str | None:
    """The watermark of the table that was there when a prediction was logged."""
    there = [each for each in tables if from_wire(each["made_at"]) <= logged_at]
    return max(there, key=lambda each: each["sequence"])["watermark"] if there else None


def _as_served(
    view: FeatureView[..., Any],
    logged: Sequence[Mapping[str, Any]],
    table: pa.Table,
    made: Sequence[Mapping[str, Any]],
    names: Sequence[str],
) -> pa.Table:
    """The features of the logged rows by the training path, from the table that each was served from: the newest there was,
    or, while gateways were taking that up, the one before."""
    import pyarrow as pa

    newest = [_known_up_to(made, from_wire(each["logged_at"])) for each in logged]
    before = [_known_up_to(made, from_wire(each["logged_at"]) - TAKEN_UP_WITHIN) for each in logged]
    rebuilt = _rebuilt(view, logged, table, newest)
    differ = _different(logged, rebuilt, names)
    late = [place for place in sorted(differ) if before[place] not in (None, newest[place])]
    if not late:
        return rebuilt
    rows = [logged[place] for place in late]
    again = _rebuilt(view, rows, table, [before[place] for place in late])
    still = _different(rows, again, names)
    chosen = list(range(rebuilt.num_rows))
    for number, place in enumerate(late):
        if number not in still:
            chosen[place] = rebuilt.num_rows + number
    return pa.concat_tables([rebuilt, again]).take(pa.array(chosen, pa.int64()))


def _different(logged: Sequence[Mapping[str, Any]], rebuilt: pa.Table, names: Sequence[str]) -> set[int]:
    """The rows of which a cell is another."""
    from mainstay.features.parity import agrees

    pairs = zip(logged, rebuilt.select(names).to_pylist(), strict=True)
    return {place for place, (each, row) in enumerate(pairs) if not all(agrees(each["row"][n], row[n]) for n in names)}


def _rebuilt(
    view: FeatureView[..., Any], logged: Sequence[Mapping[str, Any]], table: pa.Table, moments: Sequence[str | None]
) -> pa.Table:
    """The features of the logged rows by the training path, from what was known up to each one's moment."""
    import pyarrow as pa

    from mainstay.features import online, training

    definition = view.definition
    parts, order = [], []
    for moment in dict.fromkeys(moments):
        places = [place for place, each in enumerate(moments) if each == moment]
        known = table if moment is None else online.latest(definition, table, watermark=from_wire(moment))
        asked = [from_wire(logged[place]["at"]) for place in places]
        labels = {name: _column([logged[p]["row"][name] for p in places], known, name) for name in definition.entity}
        labels[_ASKED] = pa.array(asked, pa.timestamp("us", "UTC"))
        parts.append(training.joined(pa.table(labels), [(definition, known)], time=_ASKED))
        order += places
    whole = pa.concat_tables(parts)
    back = sorted(range(len(order)), key=order.__getitem__)
    return whole.take(pa.array(back, pa.int64()))


def _column(values: list[Any], table: pa.Table, name: str) -> Any:
    import pyarrow as pa

    kind = table.schema.field(name).type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return pa.array([from_wire(value) for value in values], pa.timestamp("us", "UTC")).cast(kind)
    return pa.array(values, kind)
