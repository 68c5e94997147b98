# SPDX-License-Identifier: Apache-2.0
"""MLflow's search language: comparisons joined by AND, and an order; the same for all it can be searched for.

In: text from a client, and the `Grammar` of what is searched: which words may stand before a key, which attributes there are,
and how each may be compared. Out: comparisons and orders in our words. What cannot be read is refused with the place where it
stops making sense; nothing is ever passed over, for a filter that is dropped finds every row.

Source: the search syntax in MLflow's documentation; error texts are those by which its clients recognise a refusal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, NoReturn

from mainstay.domain.errors import Invalid
from mainstay.domain.search import EQUALITY, LISTS, ORDERED, PATTERNS, PRESENCE, Comparison, Order

LONGEST = 20_000
ATTRIBUTE = "attribute"

Value = Literal["text", "number", "whole"]


class Field(NamedTuple):
    """How something is compared. ``ours`` is its name in our words."""

    ours: str
    operators: Sequence[str]
    value: Value = "text"
    sortable: bool = True


def text(ours: str = "", *, lists: bool = False, absent: bool = False, sortable: bool = True) -> Field:
    """Something that is compared as a text."""
    return Field(
        ours, (*EQUALITY, *PATTERNS, *(LISTS if lists else ()), *(PRESENCE if absent else ())), "text", sortable
    )


def number(ours: str = "", *, whole: bool = False) -> Field:
    """Something that is compared as a number."""
    return Field(ours, ORDERED, "whole" if whole else "number")


@dataclass(frozen=True, kw_only=True)
class Grammar:
    """What can be asked of one kind of thing.

    Args:
        attributes: what each one has, by MLflow's name.
        keyed: what is said of it under keys of anybody's choice (metrics, params, tags), by our word.
        words: the words that may stand before a key, each with our word for it.
        sets: like attributes, of something that belongs to it, by our word and MLflow's name (datasets).
    """

    attributes: Mapping[str, Field]
    keyed: Mapping[str, Field] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    sets: Mapping[str, Mapping[str, Field]] = field(default_factory=dict)

    def comparisons(self, filter: str | None) -> list[Comparison]:
        """Read a filter.

        Raises:
            Invalid: it cannot be read, or asks for what there is not.
        """
        tokens = _tokens(filter or "", "filter string")
        found: list[Comparison] = []
        while tokens:
            if found:
                joint = tokens.pop(0)
                if joint.kind != "word" or joint.text.upper() != "AND":
                    _refuse_clause(joint)
            found.append(self._comparison(tokens))
        return found

    def orders(self, clauses: Sequence[str]) -> list[Order]:
        """Read an order.

        Raises:
            Invalid: it cannot be read, or names something twice.
        """
        found: list[Order] = []
        for clause in clauses:
            order = self._order(clause)
            if any(order[:2] == other[:2] for other in found):
                raise Invalid(f"`order_by` contains duplicate fields: {list(clauses)}; name each once.")
            found.append(order)
        return found

    def named(self, name: str) -> tuple[str, str, Field]:
        """What a name such as ``metrics.auc`` or ``attributes.status`` stands for: our word, our key, and how it compares.

        Raises:
            Invalid: for nothing.
        """
        first, dot, rest = name.partition(".")
        if not dot:
            return ATTRIBUTE, *self._attribute(_bare(name))
        word = _bare(first)
        kind = self.words.get(word.lower())
        if kind is None:
            raise Invalid(f"Invalid entity type '{word[:80]}'. Valid values are {sorted(self.words)}.")
        key = _bare(rest)
        if kind == ATTRIBUTE:
            return ATTRIBUTE, *self._attribute(key)
        if kind in self.sets:
            if key not in self.sets[kind]:
                raise Invalid(f"Invalid {word} key '{key[:80]}' specified. Valid keys are {sorted(self.sets[kind])}.")
            one = self.sets[kind][key]
            return kind, one.ours, one
        if not key:
            raise Invalid(f"Invalid identifier {name[:80]!r}: a key is expected behind '{word}.'.")
        return kind, key, self.keyed[kind]

    def _attribute(self, key: str) -> tuple[str, Field]:
        one = self.attributes.get(key)
        if one is None:
            raise Invalid(f"Invalid attribute key '{key[:80]}' specified. Valid keys are {sorted(self.attributes)}.")
        return one.ours, one

    def _comparison(self, tokens: list[_Token]) -> Comparison:
        name = tokens.pop(0)
        if name.kind != "name" and not (name.kind == "word" and name.text.upper() not in _RESERVED):
            _refuse_clause(name)
        kind, key, one = self.named(name.text)
        operator = _operator(name, tokens)
        if operator not in one.operators:
            raise Invalid(f"Invalid comparator '{operator}' for '{name.text[:80]}', not one of {list(one.operators)}.")
        if operator in PRESENCE:
            return Comparison(kind, key, operator, None)
        if operator in LISTS:
            return Comparison(kind, key, operator, _list(tokens))
        if not tokens:
            raise Invalid(f"Invalid comparison clause. Expected 3 tokens found 2: '{name.text[:80]} {operator}'.")
        return Comparison(kind, key, operator, _value(kind, name.text, one, tokens.pop(0)))

    def _order(self, clause: str) -> Order:
        tokens = _tokens(clause, "order_by clause")
        if not tokens or tokens[0].kind not in ("name", "word") or len(tokens) > 2:
            raise Invalid(f"Invalid order_by clause '{clause[:200]}'. Could not be parsed.")
        direction = tokens[1].text.lower() if len(tokens) == 2 else "asc"
        if direction not in ("asc", "desc"):
            raise Invalid(f"Invalid ordering key in order_by clause '{clause[:200]}': ASC or DESC is expected.")
        kind, key, one = self.named(tokens[0].text)
        if not one.sortable or kind in self.sets:
            raise Invalid(f"Invalid order_by clause '{clause[:200]}': '{tokens[0].text[:80]}' has no order.")
        return Order(kind, key, direction == "desc")


class _Token(NamedTuple):
    """A piece of a filter: a name, a word without dots, a text, a number, an operator, or a bracket."""

    kind: str
    text: str


_RESERVED = frozenset({"AND", "OR", "NOT", "IN", "IS", "NULL", "LIKE", "ILIKE", "RLIKE"})
_QUOTED = r"`[^`]*`|\"[^\"]*\""
_PIECE = re.compile(
    rf"""\s*(?:
      (?P<name>(?:`\w+`|[A-Za-z_]\w*)\.(?:{_QUOTED}|[^\s=<>!'"`(),]+)(?=[\s=<>!)]|$) | `[^`]+`)
    | (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?=[\s),]|$)
    | (?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
    | (?P<word>[A-Za-z_]\w*)
    | (?P<operator>!=|>=|<=|==|<>|=|>|<)
    | (?P<bracket>[(),])
    )""",
    re.VERBOSE,
)
_WHOLE = re.compile(r"[+-]?\d+")


def _tokens(source: str, what: str) -> list[_Token]:
    if len(source) > LONGEST:
        raise Invalid(f"the {what} has {len(source)} characters; at most {LONGEST} are read.")
    found: list[_Token] = []
    place, end = 0, len(source.rstrip())
    while place < end:
        piece = _PIECE.match(source, place)
        if piece is None or piece.lastgroup is None:
            raise Invalid(f"Invalid clause(s) in {what}: {source[place : place + 80].strip()!r} cannot be read.")
        found.append(_Token(piece.lastgroup, piece[piece.lastgroup]))
        place = piece.end()
    return found


def _operator(name: _Token, tokens: list[_Token]) -> str:
    found = [tokens.pop(0)] if tokens else []
    if found and found[0].kind == "operator":
        return found[0].text
    said = found[0].text.upper() if found and found[0].kind == "word" else ""
    while said in ("IS", "IS NOT", "NOT") and tokens and tokens[0].kind == "word":
        said += f" {tokens.pop(0).text.upper()}"
    if said not in (*PATTERNS, "RLIKE", *LISTS, *PRESENCE):
        shown = " ".join([name.text[:80], said or (found[0].text[:80] if found else "")]).strip()
        raise Invalid(
            f"Invalid clause(s) in filter string: '{shown}'. A comparison such as metrics.auc > 0.7 is expected."
        )
    return said


def _list(tokens: list[_Token]) -> list[str]:
    expected = "While parsing a list in the query, expected a non-empty list of quoted string values such as ('a', 'b')"
    if not tokens or tokens.pop(0).text != "(":
        raise Invalid(f"{expected}, but found none.")
    found: list[str] = []
    while tokens:
        piece = tokens.pop(0)
        if piece.kind != "text":
            raise Invalid(f"{expected}, but got {piece.text[:80]!r} in it.")
        found.append(piece.text[1:-1])
        closing = tokens.pop(0).text if tokens else ""
        if closing == "," and tokens and tokens[0].text == ")":
            closing = tokens.pop(0).text
        if closing == ")":
            return found
        if closing != ",":
            break
    raise Invalid(f"{expected}, but got an ill-formed list.")


def _value(kind: str, name: str, one: Field, token: _Token) -> Any:
    if one.value == "text":
        if token.kind != "text":
            raise Invalid(
                f"Expected a quoted string value for {name[:80]} (e.g. 'my-value'). Got value {token.text[:80]}; "
                "it is either not quoted or has unidentified quotes."
            )
        return token.text[1:-1]
    if token.kind != "number":
        raise Invalid(
            f"Expected numeric value type for {'metric' if kind == 'metrics' else name[:80]}. Found {token.text[:80]}."
        )
    if one.value == "whole" and _WHOLE.fullmatch(token.text):
        return int(token.text)
    return float(token.text)


def _bare(name: str) -> str:
    return name[1:-1] if len(name) > 1 and name[0] == name[-1] and name[0] in "`\"'" else name


def _refuse_clause(token: _Token) -> NoReturn:
    raise Invalid(
        f"Invalid clause(s) in filter string: '{token.text[:80]}'. Comparisons joined by AND are expected, "
        "such as metrics.auc > 0.7 AND tags.team = 'a'."
    )
