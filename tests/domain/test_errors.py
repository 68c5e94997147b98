# SPDX-License-Identifier: Apache-2.0
"""Errors: what the server raises is what the client raises."""

from __future__ import annotations

import pytest

from mainstay.domain import errors


@pytest.mark.parametrize("kind", errors.BY_KIND)
def test_an_error_is_rebuilt_from_its_wire_form(kind: str) -> None:
    rebuilt = errors.of_kind(kind, "it is so.", {"digest": "ab", "message": "a fact of that name", "kind": 1})

    assert type(rebuilt) is errors.BY_KIND[kind]
    assert (rebuilt.kind, rebuilt.message, str(rebuilt)) == (kind, "it is so.", "it is so.")
    assert rebuilt.facts == {"digest": "ab", "message": "a fact of that name", "kind": 1}


def test_every_kind_of_error_can_cross_the_wire() -> None:
    declared = {
        found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, errors.MainstayError)
    }

    assert declared - {errors.MainstayError} == set(errors.BY_KIND.values())


def test_a_kind_of_a_newer_server_is_still_an_error() -> None:
    assert type(errors.of_kind("brand_new", "it is so.", None)) is errors.MainstayError
