# SPDX-License-Identifier: Apache-2.0
"""A program of the server's own user is recognised by the kernel's word, and nobody else is."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mainstay.server import peers
from tests.protocols.conftest import Served, serving

NOBODY = 65534


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("served") / ".mainstay") as one:
        yield one


def status(served: Served, **headers: str) -> int:
    return httpx.get(served.url + "/api/me", headers=headers, trust_env=False).status_code


def test_a_program_of_the_same_user_needs_no_token(served: Served) -> None:
    reply = httpx.get(served.url + "/api/me", trust_env=False)

    assert reply.status_code == 200
    assert reply.json()["via"] == "user"


@pytest.mark.parametrize("name", [*peers.FORWARDED, *peers.OF_BROWSERS])
def test_neither_a_proxy_nor_a_browser_is_taken_for_the_user(served: Served, name: str) -> None:
    assert status(served, **{name: served.url if name == "origin" else "none"}) == 401


def test_a_wrong_token_is_not_made_good_by_the_user(served: Served) -> None:
    assert status(served, Authorization="Bearer mst_x_y") == 401
    assert status(served, Authorization="Basic !") == 401


def test_a_token_may_come_as_a_password(served: Served) -> None:
    reply = httpx.get(served.url + "/api/me", auth=("anybody", served.token), trust_env=False)

    assert reply.json()["via"].startswith("token:")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a program as another user")
def test_another_user_of_this_machine_needs_a_token(served: Served) -> None:
    def ask(answer: Any) -> None:
        os.setuid(NOBODY)
        answer.send(status(served))

    here, there = multiprocessing.Pipe()
    # Forked, not started anew: another user may not even read our interpreter.
    child = multiprocessing.get_context("fork").Process(target=ask, args=(there,))
    child.start()
    child.join(timeout=30)

    assert here.recv() == 401


def test_nobody_is_recognised_where_it_is_switched_off(tmp_path: Path) -> None:
    with serving(tmp_path / ".mainstay", MAINSTAY_TRUST_SAME_USER="no") as strict:
        assert status(strict) == 401


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_kernel_tells_whose_connection_it_is(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listening:
        listening.bind((host, 0))
        listening.listen()
        with socket.create_connection(listening.getsockname()[:2]) as far:
            near, _ = listening.accept()
            with near:
                assert peers.Peer(near.getsockname()[:2], far.getsockname()[:2]).user == os.getuid()
    assert peers.Peer(("10.0.0.1", 1), ("10.0.0.2", 2)).user is None
    assert peers.Peer(None, None).user is None
