# SPDX-License-Identifier: Apache-2.0
"""Publishing: what a run made of a feature view becomes what is answered from.

In: the table of its latest rows, and the one that is answered from now. Out: the rows that are others, handed over a batch
at a time, and then the word that they count. Nobody reads any of them before that; a refresh that dies is never seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from mainstay.domain.clock import from_wire
from mainstay.engine.arguments import WHOLE
from mainstay.engine.features import view_versions
from mainstay.engine.features.views import FeatureView
from mainstay.engine.platform import Platform
from mainstay.engine.refs import StepNode

if TYPE_CHECKING:
    from mainstay.engine.outlook import Outlook
    from mainstay.features.rows import Row

_CELLS_AT_ONCE = 100_000
_ROWS_AT_ONCE = 5_000


def publish(platform: Platform, view: FeatureView[..., Any], run_id: str, outlook: Outlook) -> None:
    """Hand over the online table that a run made of the view.

    Raises:
        Conflict: it was refreshed from elsewhere meanwhile, or is known up to a later moment already.
    """
    nodes = [node for node in outlook.trace.nodes if isinstance(node, StepNode)]
    made = next(node for node in nodes if node.step is view)
    latest = nodes[-1]
    version = view_versions.declared(platform, view, outlook, outlook.outputs[made.number][WHOLE])
    table = outlook.outputs[latest.number][WHOLE]
    before, watermark = _newest(platform, version), latest.arguments["watermark"]
    # What is behind is refused below; no row of it needs to be written for that.
    is_behind = before is not None and from_wire(before["watermark"]) > from_wire(watermark)
    sequence, changed = (None, 0) if is_behind else _write(platform, view, version, before, table.digest)
    body = {
        "version": version["number"],
        "blob": table.digest,
        "watermark": watermark,
        "sequence": sequence,
        "since": before["sequence"] if before else 0,
        "changed": changed,
        "run_id": run_id,
    }
    platform.post(f"/features/{view.definition.name}/online", body)


def _newest(platform: Platform, version: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What is answered from now, if its rows are kept by key."""
    versions = platform.get(f"/features/{version['view']}")["versions"]
    online = next(each["online"] for each in versions if each["number"] == version["number"])
    return online if online and online["changed"] is not None else None


def _write(
    platform: Platform,
    view: FeatureView[..., Any],
    version: Mapping[str, Any],
    before: Mapping[str, Any] | None,
    digest: str,
) -> tuple[int | None, int]:
    """Hand over the rows that changed: under which number, and how many."""
    import pyarrow.parquet as pq

    from mainstay.features import rows

    columns = [each["name"] for each in version["columns"]]
    old, new = (digest and pq.read_table(platform.blob_path(digest)) for digest in (before and before["blob"], digest))
    sequence: int | None = None
    count = 0
    for some in _batches(rows.changed(view.definition, old, new, columns), len(columns)):
        body = {"version": version["number"], "rows": some, "sequence": sequence}
        sequence = platform.post(f"/features/{version['view']}/rows", body)["sequence"]
        count += len(some)
    return sequence, count


def _batches(changed: Iterator[Row], columns: int) -> Iterator[list[Row]]:
    size = max(1, min(_ROWS_AT_ONCE, _CELLS_AT_ONCE // (columns + 2)))
    while some := list(islice(changed, size)):
        yield some
