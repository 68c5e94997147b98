# SPDX-License-Identifier: Apache-2.0
"""The object store of the tests: moto's, on this machine, or the one that ``S3_TEST_ENDPOINT`` names.

For a real one ``S3_TEST_BUCKET`` is a bucket that is there, and the usual variables hold a key for it; the tests write below
prefixes of their own and leave them behind.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator

import httpx


@contextlib.contextmanager
def served() -> Iterator[str]:
    """The address of a bucket, while its store is up and the environment says how to reach it."""
    if endpoint := os.environ.get("S3_TEST_ENDPOINT"):
        with _environment({"AWS_ENDPOINT_URL": endpoint}):
            yield f"s3://{os.environ.get('S3_TEST_BUCKET', 'mainstay-tests')}"
        return
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    httpx.put(f"{endpoint}/mainstay-tests", trust_env=False).raise_for_status()
    known = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_REGION": "us-east-1",
    }
    try:
        with _environment(known):
            yield "s3://mainstay-tests"
    finally:
        server.stop()


def prefix(bucket: str) -> str:
    """A place in the bucket that nobody else uses."""
    return f"{bucket}/{secrets.token_hex(8)}"


@contextlib.contextmanager
def _environment(known: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in known}
    os.environ.update(known)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
