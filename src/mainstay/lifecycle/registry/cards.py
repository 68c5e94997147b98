# SPDX-License-Identifier: Apache-2.0
"""Model cards: what the record knows of a version, as a draft in Markdown.

In: a version. Out: a text with the headings that M. Mitchell et al., "Model Cards for Model Reporting" (FAT* 2019), ask for.
What the record knows is written out, with where it comes from; what only people know (intended use, limits, fairness) stays
as a heading with a question under it. Nothing is made up: a fact that is missing is called unknown.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mainstay.domain.registry import Model, Version
from mainstay.domain.tracking import Run
from mainstay.lifecycle.registry import lineage, models, permissions, tables, versions
from mainstay.lifecycle.tracking import logs, runs
from mainstay.store import View

UNKNOWN = "unknown"
_SHOWN = 40


def draft(view: View, *, model: str, number: int) -> str:
    """The card of a version, as far as the record can write it.

    Raises:
        NotFound: there is no such version.
    """
    version = versions.get(view, model, number)
    named = models.get(view, model)
    run = runs.get(view, version.run_id) if version.run_id else None
    parts = [
        f"# {version.id}",
        _about(view, named, version),
        "## Intended use\n\n_To be written: what it is for, who uses its answers, what it must not be used for._",
        _training(view, version, run),
        _evaluation(version),
        _interface(version),
        _environment(version),
        _standing(view, version),
        "## Limits\n\n_To be written: where it is known to fail, on whom it was not tested, what a wrong answer costs._",
        "## Fairness\n\n_To be written: which groups of people it concerns, and how its errors fall on each._",
    ]
    return "\n\n".join(parts) + "\n"


def _about(view: View, model: Model, version: Version) -> str:
    aliases = [alias.name for alias in tables.aliases_of(view, model.name) if alias.version == version.number]
    return "## Model\n\n" + _table(
        [
            ("model", model.description or f"{model.name}, not described yet"),
            ("version", version.description or "not described yet"),
            ("owner", model.owner),
            ("tier", model.tier),
            ("state", version.state),
            ("aliases", ", ".join(aliases) or "none"),
            ("registered", f"{_day(version.created_at)} by {version.actor}"),
            ("tags", _pairs(version.tags) or "none"),
            ("digest", f"`{version.digest}`"),
        ]
    )


def _training(view: View, version: Version, run: Run | None) -> str:
    used = [f"{each.id} ({each.role})" for each in version.snapshots]
    facts = [("data", ", ".join(used) or f"{UNKNOWN}: no snapshot was named"), ("source", version.source or "its run")]
    if run is None:
        return "## Training\n\n" + _table([*facts, ("run", f"{UNKNOWN}: no run of this workspace made it")])
    logged = logs.of(view, run.id)
    code = run.code or {}
    dirty = " with changes that were not committed" if code.get("dirty") else ""
    facts += [
        ("run", f"`{run.id}` ({run.name}), {run.state}, by {run.actor} on {_day(run.started_at)}"),
        ("code", f"{code.get('entry') or UNKNOWN}, commit {code.get('commit') or UNKNOWN}{dirty}"),
        ("parameters", _pairs(logged.params) or "none"),
        ("seeds", _pairs(run.seeds or {}) or UNKNOWN),
        ("hardware", _pairs(run.hardware or {}) or UNKNOWN),
    ]
    return "## Training\n\n" + _table(facts)


def _evaluation(version: Version) -> str:
    rows = [(name, f"{value:.6g}") for name, value in sorted(version.metrics.items())]
    judged = (
        f"scores on rows it has not seen are kept as `{version.evaluation_blob}`"
        if version.evaluation_blob
        else ("no scores on rows it has not seen are kept: these numbers are as they were told")
    )
    return "## Evaluation\n\n" + (_table(rows) if rows else "No metric was given.") + f"\n\nEvidence: {judged}."


def _interface(version: Version) -> str:
    inputs = version.signature.get("inputs") or []
    output = version.signature.get("output") or {}
    rows = [
        (_cell(each["name"]), each["type"] + (", may be missing" if each.get("nullable") else "")) for each in inputs
    ]
    told = _table(rows[:_SHOWN]) if rows else f"The inputs are {UNKNOWN}: it was registered without a signature."
    more = f"\n\n… and {len(rows) - _SHOWN} more inputs." if len(rows) > _SHOWN else ""
    return f"## Inputs and output\n\n{told}{more}\n\nIt answers with {output.get('type', UNKNOWN)}."


def _environment(version: Version) -> str:
    rows = [(name, str(value)) for name, value in sorted(version.environment.items())]
    return f"## Environment\n\nKept as `{version.format}`.\n\n" + (
        _table(rows[:_SHOWN]) if rows else f"Libraries: {UNKNOWN}."
    )


def _standing(view: View, version: Version) -> str:
    users = [subject for _, subject in lineage.users(view, model=version.model, number=version.number)]
    allowed = permissions.covering(view, version) if permissions.needs_pickle(version) else None
    facts = [("used by", ", ".join(users) or "nobody yet")]
    if permissions.needs_pickle(version):
        given = f"allowed by {allowed.actor}: {allowed.reason}" if allowed else "not allowed"
        facts.append(("unpickling", f"needed to load it; {given}"))
    return "## Standing\n\n" + _table(facts)


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {_cell(value)} |" for name, value in rows)])


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")


def _pairs(values: dict[str, Any]) -> str:
    shown = [f"{name} = {value}" for name, value in list(sorted(values.items()))[:_SHOWN]]
    return ", ".join(shown) + (f" … and {len(values) - _SHOWN} more" if len(values) > _SHOWN else "")


def _day(moment: Any) -> str:
    return str(moment.date().isoformat())
