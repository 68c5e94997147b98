# SPDX-License-Identifier: Apache-2.0
"""Registering a model: its stored files, a signature, the scores on the holdout, and where it came from.

In: a ``RegisterNode`` whose refs have results. Out: a version, new or the one that is there already. The evaluation is
made with the model as loaded from its files, the one that will serve, not with the object in the trainer's memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mainstay.domain.errors import Invalid, NotFound
from mainstay.engine import materialise
from mainstay.engine.features.view_versions import Pins
from mainstay.engine.materialise import Artifact, arrow
from mainstay.engine.materialise import model as models
from mainstay.engine.platform import Platform
from mainstay.formats import Model
from mainstay.formats.signature import Signature, infer_signature

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, kw_only=True)
class Registration:
    """What is known when a register verb's turn has come.

    ``training``: the table the model was fitted on, if the step took one. ``snapshots``: pairs of id and role.
    """

    model: str
    artifact: Artifact
    metrics: Mapping[str, float]
    snapshots: Sequence[tuple[str, str]]
    run_id: str
    holdout: Artifact | None = None
    training: Artifact | None = None
    target: str | None = None
    features: tuple[str, ...] | None = None
    nullable: tuple[str, ...] | None = None
    description: str | None = None
    pins_behind: Callable[[Sequence[str]], Pins] = lambda inputs: Pins([], [], [])  # of what makes any of these
    declared: Mapping[str, Any] | None = None  # the model's section of mainstay.toml


@dataclass(frozen=True, kw_only=True)
class Version:
    """``is_known``: an identical model from the same snapshots was registered before; nothing was added."""

    id: str
    digest: str
    is_known: bool


def carry_out(platform: Platform, asked: Registration) -> Version:
    """Register, unless the newest version is the same model from the same snapshots.

    Raises:
        Invalid: the model, its columns and the holdout do not fit together. Others: as the registry answers.
    """
    stored = models.stored(asked.artifact, platform)
    known = _same(platform, asked, stored.files)
    if known is not None:
        return Version(id=known["id"], digest=known["digest"], is_known=True)
    model = models.load(stored, platform)
    signature, evaluation = _judged(platform, asked, model)
    pins = asked.pins_behind([column.name for column in signature.inputs])
    signature = replace(
        signature, views=tuple(pins.views), transforms=tuple(pins.transforms), sources=tuple(pins.sources)
    )
    made = platform.post(
        f"/models/{_there(platform, asked)}/versions",
        {
            "run_id": asked.run_id,
            "format": stored.format,
            "files": stored.files,
            "environment": stored.environment,
            "signature": signature.to_json(),
            "metrics": dict(asked.metrics),
            "evaluation_blob": evaluation,
            "snapshots": [{"id": name, "role": role} for name, role in asked.snapshots],
            "description": asked.description or "",
        },
    )
    return Version(id=made["id"], digest=made["digest"], is_known=False)


def metrics_of(value: Any) -> dict[str, float]:
    """Numbers by name; infinite and missing ones are left out, because a metric is a number.

    Raises:
        Invalid: it is not a mapping of numbers.
    """
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise Invalid(f"metrics is a {type(value).__name__}; a mapping of names to numbers is expected.")
    for name, number in value.items():
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            raise Invalid(f"metric {name!r} is a {type(number).__name__}; a number is expected.", metric=str(name))
    return {str(name): float(number) for name, number in value.items() if math.isfinite(number)}


def evaluation(table: pa.Table, model: Model, signature: Signature, target: str) -> pa.Table:
    """The holdout's labelled rows: every column but ``target``, then ``_score`` and ``_label``.

    For two classes ``_label`` is 1 for the positive class and 0 for the other; otherwise it is the truth itself.

    Raises:
        Invalid: no row has a label, or a label is none of the model's classes.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    known = table.filter(pc.is_valid(table[target]))
    if not known.num_rows:
        raise Invalid(f"the holdout has {table.num_rows} rows and not one with a value of {target!r} to judge by.")
    scores = model.predict(signature.arrays(known))
    columns = {name: known[name] for name in known.column_names if name != target and not name.startswith("_")}
    score = pa.array(list(scores)) if scores.ndim > 1 else pa.array(scores, pa.float64())
    return pa.table({**columns, "_score": score, "_label": _labels(known[target], signature)})


def _labels(values: pa.ChunkedArray, signature: Signature) -> Any:
    import numpy as np
    import pyarrow as pa
    import pyarrow.types as kinds

    output = signature.output
    if output.type == "regression":
        if not (kinds.is_integer(values.type) or kinds.is_floating(values.type) or kinds.is_decimal(values.type)):
            raise Invalid(
                f"the holdout's target is {values.type}, and the model answers a number: labels are numbers, too."
            )
        return values.cast(pa.float64())
    try:
        places = output.places(values)
    except Invalid as error:
        raise Invalid(f"the holdout does not fit the model: {error.message}") from error
    if output.type != "binary":
        return values
    known: list[Any] = list(output.classes or ())
    return pa.array(np.equal(places, known.index(output.positive)).astype(np.int8))


def _judged(platform: Platform, asked: Registration, model: Model) -> tuple[Signature, str | None]:
    holdout = _table(platform, asked.holdout)
    training = _table(platform, asked.training)
    if holdout is not None and asked.target not in holdout.column_names:
        raise Invalid(f"the holdout has no column {asked.target!r}; its columns are {', '.join(holdout.column_names)}.")
    signature = _signature(asked, model, [table for table in (training, holdout) if table is not None])
    if holdout is None or asked.target is None:
        return signature, None
    return signature, platform.put_blob(arrow.parquet(evaluation(holdout, model, signature, asked.target)))


def _signature(asked: Registration, model: Model, tables: Sequence[pa.Table]) -> Signature:
    """From the training table, else the holdout: the first one that has all of the model's columns."""
    columns = asked.features or model.columns
    fitting = [table for table in tables if columns is None or set(columns) <= set(table.column_names)]
    if not fitting:
        raise Invalid(
            f"no table tells the columns of model {asked.model!r}: register it with a holdout that has "
            f"{'its columns ' + ', '.join(columns) if columns else 'them'}, and a target."
        )
    table = fitting[0]
    width = getattr(model, "width", None)
    if columns is None and width is not None:
        _check_width(asked, table, width)
    if asked.features is not None:
        kept = [*asked.features, *([asked.target] if asked.target in table.column_names else [])]
        table = table.select(kept)
    found = infer_signature(table, asked.target if asked.target in table.column_names else None, model)
    return found if asked.nullable is None else _with_nullable(asked.model, found, asked.nullable)


def _with_nullable(model: str, signature: Signature, nullable: Sequence[str]) -> Signature:
    """What the caller knows of missing values wins over what the training rows happened to show."""
    known = {column.name for column in signature.inputs}
    if unknown := sorted(set(nullable) - known):
        raise Invalid(f"register({model!r}) calls {unknown[0]!r} nullable; the model's columns are {', '.join(known)}.")
    columns = [replace(column, nullable=column.nullable or column.name in nullable) for column in signature.inputs]
    return replace(signature, inputs=type(signature.inputs)(columns))


def _check_width(asked: Registration, table: pa.Table, width: int) -> None:
    names = [name for name in table.column_names if name != asked.target]
    if len(names) != width:
        raise Invalid(
            f"model {asked.model!r} takes {width} columns and knows no names; the table has {len(names)} "
            f"({', '.join(names)}). Say which: register(…, features=[…]), in the model's order."
        )


def _table(platform: Platform, artifact: Artifact | None) -> pa.Table | None:
    if artifact is None or artifact.kind not in arrow.Tables.kinds:
        return None
    import pyarrow as pa

    found: pa.Table = materialise.read(artifact, platform, pa.Table)
    return found


def _same(platform: Platform, asked: Registration, files: Mapping[str, str]) -> Mapping[str, Any] | None:
    """The newest version, if it has these files and these snapshots.

    A run that died between the registry's answer and its own record finds its version here instead of making a second
    one.
    """
    try:
        versions = platform.get(f"/models/{asked.model}")["versions"]
    except NotFound:
        return None
    if not versions:
        return None
    newest = platform.get(f"/models/{asked.model}/versions/{max(_number(each) for each in versions)}")
    inputs = [column["name"] for column in newest["signature"]["inputs"]]
    if tuple(newest["signature"].get(name, []) for name in Pins._fields) != asked.pins_behind(inputs):
        return None
    digests = {name: file["digest"] if isinstance(file, Mapping) else file for name, file in newest["files"].items()}
    pairs = {(each["id"], each["role"]) for each in newest.get("snapshots") or ()}
    return newest if digests == dict(files) and pairs == set(asked.snapshots) else None


def _number(version: Mapping[str, Any]) -> int:
    return int(
        version["n"]
        if "n" in version
        else version["number"]
        if "number" in version
        else str(version["id"]).rpartition("/")[2]
    )


def _there(platform: Platform, asked: Registration) -> str:
    """The model's name, after making the model if it is new."""
    try:
        platform.get(f"/models/{asked.model}")
    except NotFound:
        declared = dict(asked.declared or {})
        owner = declared.get("owner") or platform.get("/me")["actor"]
        tier = declared.get("tier", "medium")
        platform.post(
            "/models",
            {"name": asked.model, "owner": owner, "tier": tier, "description": declared.get("description", "")},
        )
    return asked.model
