# SPDX-License-Identifier: Apache-2.0
"""Inputs: what the contracts of a version's data say of the values it is asked with.

In: a version. Out: the rules of the contracts in force, of the datasets it was made from, that its inputs must satisfy and
under which other names they may come. A feature may have the name of a column and be another quantity: a rule that the
training rows themselves broke is not about this input, and is left out. So is every rule that only warns: what is
unusual the signature flags already, from what training saw.
"""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from mainstay.domain.contracts import NUMBERS, Column
from mainstay.domain.data import parse_snapshot
from mainstay.domain.errors import Invalid
from mainstay.domain.registry import Version
from mainstay.formats import signature
from mainstay.formats.signature import Signature
from mainstay.lifecycle.data import contracts
from mainstay.measures import rules
from mainstay.store import View

_TYPES = {"float": NUMBERS, "int": NUMBERS, "str": ("text",)}


def rules_of(view: View, version: Version) -> list[Column]:
    """What a request to ``version`` must satisfy besides its signature; of two datasets' columns the first one's."""
    try:
        inputs = Signature.from_json(version.signature).inputs
    except Invalid:  # of another tool, or none: whoever serves it says so, and no rule could be about it
        return []
    names = {each.name for each in inputs}
    found: dict[str, Column] = {}
    for dataset in dict.fromkeys(parse_snapshot(used.id)[0] for used in version.snapshots):
        contract = contracts.find(view, dataset)
        for each in inputs:
            rule = contract.column(each.name) if contract else None
            if rule is not None and each.name not in found:
                found[each.name] = _for_input(rule, each, names)
    return [rule for rule in found.values() if rule.aliases or _says_something(rule)]


def _for_input(rule: Column, each: signature.Column, names: set[str]) -> Column:
    """``rule`` with only what refuses a value of the input; other names of it that are no input themselves."""
    aliases = tuple(alias for alias in rule.aliases if alias not in names)
    bare = Column(name=rule.name, type=rule.type, nullable=True, aliases=aliases, on_violation="refuse")
    if rule.type not in _TYPES.get(each.type, ()):
        return bare
    asked = replace(
        bare,
        minimum=rule.minimum if rule.severity("range") == "refuse" else None,
        maximum=rule.maximum if rule.severity("range") == "refuse" else None,
        categories=rule.categories if rule.severity("category") == "refuse" else None,
        pattern=rule.pattern if rule.severity("pattern") == "refuse" else None,
    )
    seen = each.categories if each.type == "str" else [end for end in (each.minimum, each.maximum) if end is not None]
    kind = pa.string() if each.type == "str" else pa.float64()
    return bare if any(rules.broken(asked, pa.array(seen or (), kind))) else asked


def _says_something(rule: Column) -> bool:
    return any(value is not None for value in (rule.minimum, rule.maximum, rule.categories, rule.pattern))
