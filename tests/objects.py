# SPDX-License-Identifier: Apache-2.0
"""The object store of the tests: moto's, on this machine, or the one that ``S3_TEST_ENDPOINT``, ``AZURE_TEST_ENDPOINT`` or
``GCS_TEST_ENDPOINT`` names: a real one, or an emulator.

There ``S3_TEST_BUCKET`` (``AZURE_…``, ``GCS_…``) is a bucket that is there, and the usual variables hold a key for it; the tests
write below prefixes of their own and leave them behind.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator

import httpx

#: The scheme of each kind of store, and the variable that tells a program where it is.
STORES = {
    "S3": ("s3", "AWS_ENDPOINT_URL"),
    "AZURE": ("az", "AZURE_STORAGE_ENDPOINT"),
    "GCS": ("gs", "GOOGLE_BASE_URL"),
}


@contextlib.contextmanager
def served() -> Iterator[str]:
    """The address of a bucket, while its store is up and the environment says how to reach it."""
    for store, (scheme, variable) in STORES.items():
        if endpoint := os.environ.get(f"{store}_TEST_ENDPOINT"):
            with _environment({variable: endpoint}):
                yield f"{scheme}://{os.environ.get(f'{store}_TEST_BUCKET', 'mainstay-tests')}"
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
