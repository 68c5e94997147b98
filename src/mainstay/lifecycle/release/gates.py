# SPDX-License-Identifier: Apache-2.0
"""Gates: each CEL expression of a policy, asked about one release with its evidence.

In: a table of the judged rows (later in time than any training row) with the candidate's and the live release's scores on
the same rows. Out: pass, fail or *insufficient* for each gate, with numbers and a sentence. Words that a gate may use:

* figures of the candidate, of its kind (`measures.kinds`): of two classes ``auc``, ``brier``, ``log_loss``, ``accuracy``,
  ``base_rate``; of several ``accuracy``, ``macro_f1``, ``log_loss``; of numbers ``mae``, ``rmse``, ``r2``, ``bias``
* ``rows``, ``latency_p95_ms``
* ``metrics``: the numbers told of the version, such as ``metrics.accuracy > 0.9``; not measured here
* ``is_first``: nothing is live yet
* ``better(metric, {'alpha': 0.05, 'cluster': 'day'})``: significantly better than the live release on the same rows, by a
  paired test; where a column to cluster by is named (of times: their day), the rows of one value count as one piece of luck
* ``not_worse(metric, {'margin': 0.0})``: the point estimate is not worse than the live release's by more than ``margin``
* ``slices(columns, {'metric': 'auc', 'drop': 0.02, 'min_n': 300})``: no slice has lost more than ``drop`` for certain

A word that is not known, a figure that is missing or of another kind, too few rows: none of these ever passes. A version that
came without an evaluation has no rows at all: only what was told of it can be asked, and a comparison is insufficient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mainstay.domain.errors import Invalid
from mainstay.domain.governance import Policy
from mainstay.domain.release import GateResult, Release
from mainstay.lifecycle.governance import expressions
from mainstay.lifecycle.registry import versions
from mainstay.lifecycle.release import tables
from mainstay.measures import kinds, performance
from mainstay.measures.kinds import LOSSES, Kind
from mainstay.measures.paired import PairedTest
from mainstay.measures.performance import Figure
from mainstay.store import View

LABEL, CANDIDATE, CHAMPION = "_label", "_candidate", "_champion"


@dataclass(kw_only=True)
class Asked:
    """What one gate has looked at so far; written by the functions that its expression calls."""

    numbers: dict[str, Any] = field(default_factory=dict)
    sentences: list[str] = field(default_factory=list)
    is_insufficient: bool = False

    def conclude(self, passes: bool, sentence: str, **numbers: Any) -> bool:
        """Note what a function found."""
        self.numbers.update(numbers)
        self.sentences.append(sentence)
        return passes

    def lack(self, sentence: str, **numbers: Any) -> bool:
        """Note that there was not enough to say anything; the gate then cannot pass, whatever the rest says."""
        self.is_insufficient = True
        return self.conclude(False, sentence, **numbers)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The rows that the gates look at, and what is known beside them."""

    kind: Kind
    labels: NDArray[np.float64]
    candidate: NDArray[np.float64]
    champion: NDArray[np.float64] | None
    table: pa.Table
    figures: dict[str, Figure]
    facts: dict[str, Any]
    lack: str = ""  # why what is live cannot be compared with, though something is

    @property
    def rows(self) -> int:
        return len(self.labels)


def ask(view: View, *, policy: Policy, release: Release, evidence: dict[str, Any]) -> list[GateResult]:
    """Every gate of ``policy``, after the two that always stand: the model loads, and its scores can be read."""
    load = _ask_load(evidence, release)
    if load.verdict != "pass":
        return [load]
    version = versions.get(view, release.model, release.version)
    facts = {"metrics": versions.told(view, version)}
    kind = kinds.KINDS.get(version.signature["output"]["type"], kinds.BINARY)
    if evidence["evidence_blob"] is None:
        is_first = tables.release_in_state(view, release.deployment, "live") is None
        judged = _nothing(kind, facts | {"is_first": is_first, "latency_p95_ms": evidence.get("latency_p95_ms")})
    else:
        judged = _read(view.blobs.path(evidence["evidence_blob"]), evidence, facts, kind)
    return [load, *(_ask_one(gate, judged) for gate in policy.gates)]


def _ask_load(evidence: dict[str, Any], release: Release) -> GateResult:
    load = evidence.get("load") or {}
    gate = "the model loads in a limited process"
    if not load.get("ok"):
        return GateResult(gate=gate, verdict="fail", sentence=str(load.get("error") or "it was not tried"), rows=0)
    given = release.manifest.get("permission")
    sentence = "it loaded without running any code of its own"
    if given:
        sentence = f"it loaded by running what is in its files, which {given['by']} allowed: {given['reason']}"
    return GateResult(gate=gate, verdict="pass", sentence=sentence, rows=0)


def _nothing(kind: Kind, facts: dict[str, Any]) -> Judged:
    """What is known of a version without judged rows."""
    none = np.empty(0)
    lack = (
        ""
        if facts["is_first"]
        else "the version was registered without an evaluation, so there are no rows to compare on"
    )
    kept = {name: value for name, value in (facts | {"rows": 0}).items() if value is not None}
    return Judged(
        kind=kind, labels=none, candidate=none, champion=None, table=pa.table({}), figures={}, facts=kept, lack=lack
    )


def _read(file: Any, evidence: dict[str, Any], told: dict[str, Any], kind: Kind = kinds.BINARY) -> Judged:
    table = pq.read_table(file)
    labels = table[LABEL].to_numpy().astype(float)
    known = ~np.isnan(labels)
    table = table.filter(pa.array(known))
    candidate = _scores(table[CANDIDATE])
    champion = None
    if CHAMPION in table.column_names and table[CHAMPION].null_count < table.num_rows:
        champion = _scores(table[CHAMPION])
    problem = evidence.get("champion_error")
    figures = kind.measure(labels[known], candidate)
    facts: dict[str, Any] = told | {name: figures[name].value for name in kind.figures if name in figures}
    facts |= {"rows": table.num_rows, "latency_p95_ms": evidence.get("latency_p95_ms")}
    facts |= {"is_first": champion is None and not problem}
    return Judged(
        kind=kind,
        labels=labels[known],
        candidate=candidate,
        champion=champion,
        table=table,
        figures=dict(figures),
        facts={name: value for name, value in facts.items() if value is not None},
        lack=str(problem).rstrip(".") if problem else "",
    )


def _scores(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """Shape (rows,), or (rows, classes)."""
    if not pa.types.is_nested(column.type):
        return column.to_numpy().astype(float)
    return np.array(column.to_pylist(), dtype=np.float64)


def _ask_one(gate: str, judged: Judged) -> GateResult:
    asked = Asked()
    try:
        used = expressions.check(gate, what="gate")
        _check_figures(used - judged.facts.keys(), judged.kind)
        passes = expressions.holds(gate, facts=judged.facts, functions=_functions(judged, asked))
    except Invalid as error:
        return GateResult(gate=gate, verdict="fail", sentence=error.message, rows=judged.rows, numbers=asked.numbers)
    for name, value in _shown(gate, used, judged.facts):
        asked.conclude(
            passes, f"{name} is {value:.4g}" if isinstance(value, float) else f"{name} is {value}", **{name: value}
        )
    verdict = "insufficient" if asked.is_insufficient else "pass" if passes else "fail"
    sentence = "; ".join(asked.sentences) or ("it holds" if passes else "it does not hold")
    return GateResult(gate=gate, verdict=verdict, sentence=sentence, rows=judged.rows, numbers=asked.numbers)


def _check_figures(lacking: frozenset[str], kind: Kind) -> None:
    """Raises Invalid: a figure is asked for that a model of this kind does not have."""
    for name in sorted(lacking):
        others = kinds.of_figure(name)
        if others and kind not in others:
            raise Invalid(
                f"{name} is a figure of models that answer {' or '.join(other.says for other in others)}; this one answers "
                f"{kind.says}, and has {', '.join(kind.figures)}"
            )


def _shown(gate: str, used: frozenset[str], facts: dict[str, Any]) -> list[tuple[str, Any]]:
    """The facts that a gate read, with their values; of the told metrics, those that it names."""
    plain = [(name, facts[name]) for name in sorted(used & facts.keys() - {"metrics"})]
    told = facts.get("metrics", {}) if "metrics" in used else {}
    return plain + [(f"metrics.{name}", value) for name, value in sorted(told.items()) if name in gate]


def _functions(judged: Judged, asked: Asked) -> dict[str, Callable[..., bool]]:
    def better(metric: str, options: dict[str, Any] | None = None) -> bool:
        return _better(judged, asked, metric, options or {})

    def not_worse(metric: str, options: dict[str, Any] | None = None) -> bool:
        return _not_worse(judged, asked, metric, options or {})

    def slices(columns: Sequence[str], options: dict[str, Any] | None = None) -> bool:
        return _slices(judged, asked, columns, options or {})

    return {"better": better, "not_worse": not_worse, "slices": slices}


def _better(judged: Judged, asked: Asked, metric: str, options: dict[str, Any]) -> bool:
    if unknown := sorted(set(options) - {"alpha", "cluster"}):
        return asked.conclude(False, f"better() has no option {unknown[0]!r}; it has alpha and cluster")
    alpha, cluster = float(options.get("alpha", 0.05)), options.get("cluster")
    test = _paired(judged, asked, metric, cluster)
    if isinstance(test, bool):
        return test
    assert test.difference is not None and test.p is not None
    gain = -test.difference if metric in LOSSES else test.difference
    passes = gain > 0 and test.p < alpha
    among = f" among {test.clusters} clusters by {cluster!r}" if test.clusters else ""
    return asked.conclude(
        passes,
        f"{_change(metric, test)}, p = {test.p:.2g}{among}; better with p < {alpha:g} is needed",
        **_numbers(metric, test),
    )


def _not_worse(judged: Judged, asked: Asked, metric: str, options: dict[str, Any]) -> bool:
    margin = float(options.get("margin", 0.0))
    test = _paired(judged, asked, metric)
    if isinstance(test, bool):
        return test
    assert test.difference is not None
    loss = test.difference if metric in LOSSES else -test.difference
    return asked.conclude(
        loss <= margin, f"{_change(metric, test)}; at most {margin:g} worse is allowed", **_numbers(metric, test)
    )


def _paired(judged: Judged, asked: Asked, metric: str, cluster: str | None = None) -> PairedTest | bool:
    """The paired test, or already the answer: true where nothing is live, false where the rows say nothing."""
    if lack := judged.kind.lack_of(metric):
        return asked.conclude(False, lack)
    if judged.lack:
        return asked.lack(judged.lack)
    if judged.champion is None:
        return asked.conclude(True, "nothing is live yet, so there is nothing to compare with")
    if cluster is not None and cluster not in judged.table.column_names:
        return asked.conclude(False, f"the judged rows have no column {cluster!r} to cluster by")
    clusters = _clusters(judged.table[cluster]) if cluster is not None else None
    test = judged.kind.paired[metric](judged.labels, judged.candidate, judged.champion, clusters=clusters)
    if test.is_insufficient:
        return asked.lack(f"{metric} cannot be compared: {test.reason}", **_numbers(metric, test))
    return test


def _clusters(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """A number for each different value; rows without one are a cluster of their own."""
    if pa.types.is_timestamp(column.type):
        column = pc.floor_temporal(column, unit="day")
    encoded = pc.dictionary_encode(column, null_encoding="encode").combine_chunks()
    codes: NDArray[np.int64] = encoded.indices.to_numpy(zero_copy_only=False)
    return codes


def _slices(judged: Judged, asked: Asked, columns: Sequence[str], options: dict[str, Any]) -> bool:
    kind = judged.kind
    metric, drop, least = (
        options.get("metric", kind.usual),
        float(options.get("drop", 0.02)),
        int(options.get("min_n", 300)),
    )
    if lack := kind.lack_of(metric):
        return asked.conclude(False, lack)
    if kind is kinds.REGRESSION and metric in LOSSES and "drop" not in options:
        return asked.conclude(False, f"slices() of {metric} needs a drop, in the unit of the label")
    if judged.lack:
        return asked.lack(judged.lack)
    if judged.champion is None:
        return asked.conclude(True, "nothing is live yet, so no slice can have lost anything")
    looked, lost = 0, []
    for column in columns:
        if column not in judged.table.column_names:
            return asked.conclude(False, f"the judged rows have no column {column!r} to slice by")
        for name, rows in performance.group_rows(judged.table[column].to_pylist(), judged.rows).items():
            if len(rows) < least:
                continue
            test = judged.kind.paired[metric](judged.labels[rows], judged.candidate[rows], judged.champion[rows])
            if test.hi is None or test.lo is None:
                continue
            looked += 1
            # The end of the interval that is kindest to the candidate: only a loss that is certain counts.
            kindest = -test.lo if metric in LOSSES else test.hi
            if kindest < -drop:
                lost.append(f"{column} {name} ({test.difference:+.3f} on {test.n} rows)")
    if not looked:
        return asked.lack(f"no slice of {', '.join(columns)} has {least} rows that say something")
    sentence = f"{looked} slices of at least {least} rows, {len(lost)} lost more than {drop:g} {metric}"
    return asked.conclude(
        not lost, sentence + (f": {', '.join(lost[:3])}" if lost else ""), slices=looked, slices_lost=lost
    )


def _change(metric: str, test: PairedTest) -> str:
    return f"{metric} {test.difference:+.4f} [{test.lo:+.4f}, {test.hi:+.4f}] against the live release on {test.n} rows"


def _numbers(metric: str, test: PairedTest) -> dict[str, Any]:
    return {
        f"{metric}_difference": test.difference,
        f"{metric}_lo": test.lo,
        f"{metric}_hi": test.hi,
        f"{metric}_p": test.p,
        **({f"{metric}_clusters": test.clusters} if test.clusters else {}),
    }
