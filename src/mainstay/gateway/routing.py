# SPDX-License-Identifier: Apache-2.0
"""The routing table in memory: which release answers which request.

In: the table's JSON from the control plane. Out: an immutable `Table`; the gateway swaps it by one assignment, and a
request keeps the one it began with. Requests with the same key go to the same release for as long as a rollout lasts:
the key is hashed into one of 10 000 buckets, the canary holds the buckets from 0 upwards, so raising its share only
adds keys to it. Only a version that is loaded and proven gets into a table. If one of a deployment's versions is
refused, the deployment stays as it was, whole: half a rollout would be traffic that nobody decided on.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from mainstay.domain.digests import digest_of
from mainstay.domain.errors import Invalid, MainstayError
from mainstay.formats.signature import Signature
from mainstay.gateway import lookups
from mainstay.gateway.entrance import Entrance
from mainstay.gateway.fields import Field
from mainstay.gateway.lookups import Held, Lookups, Shapes
from mainstay.gateway.shelf import Elsewhere, Shelf
from mainstay.gateway.spool import write_durably
from mainstay.gateway.validation import Schema
from mainstay.gateway.versions import Library, Loaded

logger = logging.getLogger(__name__)

BUCKETS = 10_000
#: Parts of a signature that say of inputs that they are made, not asked for.
PINS = ("views", "sources", "transforms")


@dataclass(frozen=True, kw_only=True, eq=False)
class Variant:
    """A release with a part in a deployment. ``wire`` is what the control plane said of it, for the reports."""

    deployment: str
    release: int
    model: str
    version: int
    role: str  # champion | canary | shadow | previous
    share_bp: int
    loaded: Loaded
    wire: Mapping[str, Any]
    lookups: Lookups | None = None  # for a version of which feature views make inputs

    @property
    def name(self) -> str:
        """Such as ``flights-late/2``."""
        return f"{self.model}/{self.version}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Deployment:
    """A named endpoint as it is served now."""

    name: str
    environment: str
    owner: str
    entrance: Entrance
    latency_limit_us: int | None
    champion: Variant
    canaries: tuple[Variant, ...]
    shadows: tuple[Variant, ...]
    previous: Variant | None
    salt: bytes
    ends: tuple[int, ...]  # canary i answers the buckets below ends[i] that none before it answers
    by_release: Mapping[int, Variant]

    def pick(self, key: str) -> Variant:
        """The release that answers ``key``."""
        if not self.ends:
            return self.champion
        place = bucket(self.salt, self.name, key)
        for end, canary in zip(self.ends, self.canaries, strict=True):
            if place < end:
                return canary
        return self.champion

    @property
    def schema(self) -> Schema:
        """The signature of its champion, compiled."""
        return self.entrance.schema

    @property
    def live(self) -> tuple[Variant, ...]:
        """The variants with a part in the traffic, champion first."""
        return (self.champion, *self.canaries, *self.shadows)


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """All deployments, as of one generation."""

    generation: int
    deployments: Mapping[str, Deployment] = field(default_factory=dict)

    def held(self) -> set[int]:
        """``id()`` of every version this table needs in memory, the previous releases among them."""
        variants = (v for d in self.deployments.values() for v in (*d.live, d.previous) if v is not None)
        return {id(variant.loaded) for variant in variants}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A version that could not be taken into service, and why."""

    deployment: str
    release: Any
    version: Any
    digest: str
    sentence: str

    def as_wire(self) -> dict[str, Any]:
        """For the report."""
        return dict(vars(self))


def bucket(salt: bytes, deployment: str, key: str) -> int:
    """Where ``key`` falls, 0 to 9999; the same on every gateway."""
    text = b"%b\x00%b\x00%b" % (salt, deployment.encode(), key.encode("utf-8", "surrogatepass"))
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") % BUCKETS


class Compiled(NamedTuple):
    """A signature's two schemas: of what is asked of a request, and of what the model takes. Mostly they are one."""

    asked: Schema
    model: Schema
    shaped: Shapes


class Schemas:
    """Compiled signatures by digest, so that a new generation of the table compiles only what is new."""

    def __init__(self) -> None:
        self._known: dict[str, Compiled] = {}
        self._together: dict[tuple[int, ...], Schema] = {}

    def get(self, signature: Mapping[str, Any]) -> Compiled:
        """The schemas of ``signature``. Raises Invalid: it is no signature."""
        # Versions of views are left out: a canary that pins another one is asked by the same request.
        views = [[pin["columns"], pin["entity"]] for pin in signature.get("views", [])]
        pins = {name: signature.get(name, []) for name in PINS} | {"views": views}
        digest = digest_of({"inputs": signature["inputs"], "output": signature["output"]} | pins)
        if digest not in self._known:
            shaped = lookups.shapes(Signature.from_json(signature))
            asked = Schema(shaped.asked)
            model = Schema(shaped.inputs, carried=shaped.carried) if any(pins.values()) else asked
            self._known[digest] = Compiled(asked, model, shaped)
        return self._known[digest]

    def together(self, several: Sequence[Schema]) -> Schema:
        """What a request must bring so that each of these has its fields: those of the first one first.

        Raises:
            Invalid: two of them take one field for different types.
        """
        different = list({id(each): each for each in several}.values())
        name = tuple(map(id, different))
        if name not in self._together:
            self._together[name] = different[0] if len(different) == 1 else Schema(_united(different))
        return self._together[name]


def _united(several: Sequence[Schema]) -> list[Field]:
    found: dict[str, Field] = {}
    for new in (each for schema in several for each in schema.fields):
        old = found.setdefault(new.name, new)
        if old.kind != new.kind:
            raise Invalid(
                f"one of its versions takes {new.name!r} as {old.kind}, another as {new.kind}; a request can bring one."
            )
        nullable, required = old.nullable or new.nullable, old.required or new.required
        found[new.name] = replace(old, nullable=nullable, required=required)
    return list(found.values())


def assemble(
    wire: Mapping[str, Any], before: Table, library: Library, schemas: Schemas, shelf: Shelf | None = None
) -> tuple[Table, list[Fault]]:
    """Load what ``wire`` names and make the table of it. Blocks while versions load; ``before`` goes on serving.

    Returns the table and what was refused. A deployment with a refused version stays as it was before; if there was
    none, it is served by the versions that are sound, if its champion is one of them.
    """
    deployments: dict[str, Deployment] = {}
    faults: list[Fault] = []
    for item in wire["deployments"]:
        kept = before.deployments.get(item["name"])
        deployment, found = _deployment(item, kept, library, schemas, shelf)
        faults += found
        if deployment is not None:
            deployments[deployment.name] = deployment
    return Table(generation=int(wire["generation"]), deployments=deployments), faults


def store(path: Path, wire: Mapping[str, Any]) -> None:
    """Keep the table's JSON for a start without the control plane."""
    write_durably(path, json.dumps(wire).encode())


def stored(path: Path) -> dict[str, Any] | None:
    """The table kept by `store`; None if there is none that can be read."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(path.read_bytes())
        if isinstance(found, dict):
            return found
    return None


def online_tables(wire: Mapping[str, Any]) -> set[str]:
    """The digests of the online tables that a table's JSON names."""
    variants = [variant for item in wire["deployments"] for variant in item["variants"]]
    routed = [view["online"] for variant in variants for view in variant.get("views") or [] if view["online"]]
    return {online["blob"] for online in routed}


def _deployment(
    item: Mapping[str, Any], kept: Deployment | None, library: Library, schemas: Schemas, shelf: Shelf | None
) -> tuple[Deployment | None, list[Fault]]:
    variants: list[Variant] = []
    faults: list[Fault] = []
    if not item["variants"]:
        return None, []
    try:
        compiled = schemas.get(item["signature"])
    except MainstayError as error:
        return kept, [_fault(item, item["variants"][0], f"its signature cannot be used: {error.message}")]
    asked = _asked(item, compiled, schemas)
    for variant in item["variants"]:
        made = _load(item, variant, lambda each: _made(item, each, compiled, asked, library, schemas, shelf), faults)
        if made is not None:
            variants.append(made)
    champion = next((variant for variant in variants if variant.role == "champion"), None)
    if faults and kept is not None:
        return kept, faults
    if champion is None:
        if not faults:
            faults.append(_fault(item, item["variants"][0], "the deployment has no champion, so nothing could answer."))
        return kept, faults
    return _join(item, compiled, asked or compiled.asked, champion, variants, kept), faults


def _asked(item: Mapping[str, Any], compiled: Compiled, schemas: Schemas) -> Schema | None:
    """What a request must bring for all the versions, where views, sources or transforms make inputs of any; None where they
    do not, and every version takes what the champion takes. One that does not fit is left out, and refused when it is made."""
    signatures = [_signature(item, variant) for variant in item["variants"]]
    if not any(signature.get(name) for signature in signatures for name in PINS):
        return None
    several = [compiled.asked]
    for signature in signatures:
        with contextlib.suppress(MainstayError):
            more = [*several, schemas.get(signature).asked]
            schemas.together(more)
            several = more
    return schemas.together(several)


def _signature(item: Mapping[str, Any], variant: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = variant.get("signature") or item["signature"]
    return found


def _load(
    item: Mapping[str, Any],
    variant: Mapping[str, Any],
    make: Callable[[Mapping[str, Any]], Variant],
    faults: list[Fault],
) -> Variant | None:
    try:
        return make(variant)
    except MainstayError as error:
        faults.append(_fault(item, variant, error.message))
    except Exception as error:  # a stranger's file must not end the gateway
        logger.exception("version %s of %s does not load", variant.get("version"), item["name"])
        faults.append(_fault(item, variant, f"it does not load: {type(error).__name__}: {error}."))
    return None


def _made(
    item: Mapping[str, Any],
    variant: Mapping[str, Any],
    compiled: Compiled,
    asked: Schema | None,
    library: Library,
    schemas: Schemas,
    shelf: Shelf | None,
) -> Variant:
    """A variant that can answer: its model loaded, its views at hand.

    Raises:
        MainstayError: it cannot.
    """
    if asked is None:
        return _variant(item, variant, library.get(variant, compiled.model), None)
    signature, routed = _signature(item, variant), variant.get("views") or []
    own = schemas.get(signature)
    schemas.together([asked, own.asked])
    if routed and shelf is None:
        raise Invalid("its inputs are made by feature views, and this gateway holds none.")
    onlines: list[Held] = [shelf.get(each) for each in routed] if shelf else []
    onlines += [Elsewhere(each) for each in signature.get("sources", [])]
    loaded = library.get(variant, own.model)
    known_up_to = {each["view"]: each["online"]["watermark"] for each in routed}
    return _variant(item, variant, loaded, Lookups(own.shaped, asked, own.model, onlines, known_up_to))


def _join(
    item: Mapping[str, Any],
    compiled: Compiled,
    asked: Schema,
    champion: Variant,
    variants: Iterable[Variant],
    kept: Deployment | None,
) -> Deployment:
    canaries = tuple(v for v in variants if v.role == "canary" and v.share_bp > 0)
    shadows = tuple(v for v in variants if v.role == "shadow")
    live = {v.release: v for v in (champion, *canaries, *shadows)}
    previous = _previous(kept, live)
    limit = item.get("latency_limit_ms")
    # A release of another signature stays in memory for a rollback, but cannot be asked by number meanwhile.
    askable = {previous.release: previous} if previous is not None and previous.loaded.schema is compiled.model else {}
    return Deployment(
        name=item["name"],
        environment=item.get("environment") or "",
        owner=item.get("owner") or "",
        entrance=Entrance(asked, item.get("rules") or ()),
        latency_limit_us=None if limit is None else round(limit * 1000),
        champion=champion,
        canaries=canaries,
        shadows=shadows,
        previous=previous,
        salt=str(item.get("salt") or "").encode(),
        ends=_ends(canaries),
        by_release=askable | live,
    )


def _previous(kept: Deployment | None, live: Mapping[int, Variant]) -> Variant | None:
    """The release to fall back to, kept loaded: the champion before, or the one it already kept."""
    if kept is None:
        return None
    for old in (kept.champion, kept.previous):
        if old is not None and old.release not in live:
            return replace(old, role="previous", share_bp=0)
    return None


def _ends(canaries: Iterable[Variant]) -> tuple[int, ...]:
    ends, end = [], 0
    for canary in canaries:
        end = min(BUCKETS, end + canary.share_bp)
        ends.append(end)
    return tuple(ends)


def _variant(item: Mapping[str, Any], variant: Mapping[str, Any], loaded: Loaded, looked_up: Lookups | None) -> Variant:
    return Variant(
        deployment=item["name"],
        release=_number(variant["release"], "#"),
        model=variant["model"],
        version=_number(variant["version"], "/"),
        role=variant["role"],
        share_bp=int(variant["share_bp"]),
        loaded=loaded,
        wire=variant,
        lookups=looked_up,
    )


def _number(value: Any, mark: str) -> int:
    """7 of 7, or of ``flights#7``."""
    text = str(value).rpartition(mark)[2]
    if not text.isdecimal():
        raise Invalid(f"{value!r} has no number after {mark!r}.")
    return int(text)


def _fault(item: Mapping[str, Any], variant: Mapping[str, Any], sentence: str) -> Fault:
    return Fault(
        deployment=item["name"],
        release=variant.get("release"),
        version=variant.get("version"),
        digest=str(variant.get("digest", "")),
        sentence=sentence,
    )
