# SPDX-License-Identifier: Apache-2.0
"""What one request becomes: its judged values, the records of the log, the answer to the caller.

In: what the model gave for the rows of a request. Out: bytes for the log, bytes for the caller. A value that is not a
finite number is kept from the caller and logged as null with its status; a model of more than two classes answers with
the number of the likeliest class as value, its label and its scores beside it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from mainstay.domain import segments
from mainstay.domain.errors import MainstayError
from mainstay.gateway.batching import Values
from mainstay.gateway.routing import Variant
from mainstay.gateway.validation import Request, Schema


class Prediction(msgspec.Struct, omit_defaults=True, gc=False):
    """One row's answer."""

    id: str
    value: float | None
    status: str = "ok"
    flags: list[str] = []
    label: Any = None
    scores: list[float] | None = None


class Answer(msgspec.Struct, gc=False):
    """The answer to one request."""

    predictions: list[Prediction]
    release: int
    version: str
    variant: str


class Record(msgspec.Struct, gc=False):
    """One prediction in the log; the fields of ``domain.segments.FIELDS``, in their order."""

    id: str
    at: int
    logged: int
    deployment: str
    release: int
    model: str
    version: int
    variant: str
    status: str
    latency_us: int
    value: float | None
    key: str | None
    flags: list[str]
    row: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """The values of one request's rows after a look at them; ``error`` is for the caller if there is nothing to
    answer.
    """

    values: list[float | None]
    statuses: list[str]
    flags: list[list[str]]
    is_sound: bool
    error: MainstayError | None = None
    labels: list[Any] | None = None
    scores: list[list[float]] | None = None

    @staticmethod
    def failed(status: str, error: MainstayError, request: Request, schema: Schema) -> Judged:
        """The model gave nothing."""
        count = len(request.rows)
        flags = _flags(request, schema)
        return Judged(values=[None] * count, statuses=[status] * count, flags=flags, is_sound=False, error=error)

    def predictions(self, names: Sequence[str]) -> list[Prediction]:
        """For the answer; ``names`` are the rows' ids."""
        made = [
            Prediction(name, value, status, flags)
            for name, value, status, flags in zip(names, self.values, self.statuses, self.flags, strict=True)
        ]
        if self.labels is not None and self.scores is not None:
            for prediction, label, scores in zip(made, self.labels, self.scores, strict=True):
                prediction.label, prediction.scores = label, scores
        return made


def judge(values: Values, classes: Sequence[Any] | None, request: Request, schema: Schema) -> Judged:
    """Look at what the model gave: shape (rows,), or (rows, classes)."""
    flags = _flags(request, schema)
    if values.ndim == 2:
        return _judge_classes(values, classes, flags)
    found: list[float | None] = values.tolist()
    if all(map(math.isfinite, found)):  # type: ignore[arg-type]
        return Judged(values=found, statuses=["ok"] * len(found), flags=flags, is_sound=True)
    sound = [math.isfinite(value) for value in values]
    return Judged(
        values=[value if good else None for value, good in zip(found, sound, strict=True)],
        statuses=["ok" if good else "invalid_output" for good in sound],
        flags=flags,
        is_sound=False,
    )


def _flags(request: Request, schema: Schema) -> list[list[str]]:
    found = [schema.flags(row) for row in request.rows]
    if request.notes:
        return [[*flags, *notes] for flags, notes in zip(found, request.notes, strict=True)]
    return found


def frame_all(
    variant: Variant,
    request: Request,
    key: str | None,
    names: Sequence[str],
    judged: Judged,
    latency_us: int,
    *,
    explicit: bool = False,
    shadow_of: Sequence[str] | None = None,
) -> bytes:
    """The records of one request, framed. ``explicit``: the caller chose the release, so no comparison may count it."""
    now_us = time.time_ns() // 1000
    at_us = now_us if request.at_us is None else request.at_us
    framed = []
    for place, (name, row) in enumerate(zip(names, request.rows, strict=True)):
        flags = judged.flags[place]
        if explicit:
            flags = [*flags, "explicit"]
        if shadow_of is not None:
            flags = [*flags, f"shadow_of:{shadow_of[place]}"]
        record = Record(
            name, at_us, now_us, variant.deployment, variant.release, variant.model, variant.version, variant.role,
            judged.statuses[place], latency_us, judged.values[place], key, flags, row,
        )  # fmt: skip
        framed.append(segments.frame(_encoder.encode(record)))
    return framed[0] if len(framed) == 1 else b"".join(framed)


_encoder = msgspec.json.Encoder()
encode_answer = _encoder.encode


def _judge_classes(values: Values, classes: Sequence[Any] | None, flags: list[list[str]]) -> Judged:
    sound = [all(map(math.isfinite, row)) for row in values.tolist()]
    places = np.where(sound, np.argmax(np.where(np.isfinite(values), values, -np.inf), axis=1), -1).tolist()
    known = classes if classes is not None else range(values.shape[1])
    return Judged(
        values=[float(place) if place >= 0 else None for place in places],
        statuses=["ok" if good else "invalid_output" for good in sound],
        flags=flags,
        is_sound=all(sound),
        labels=[known[place] if place >= 0 else None for place in places],
        scores=[row if good else [] for row, good in zip(values.tolist(), sound, strict=True)],
    )
