# SPDX-License-Identifier: Apache-2.0
"""Every setting once: its name, its type, its default and one sentence. Each is read from ``MAINSTAY_<NAME>``.

A command-line option of the same name wins over the environment. The documentation's table is drawn from this file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainstay.domain.errors import Invalid

PREFIX = "MAINSTAY_"
WORKSPACE_FOLDER = ".mainstay"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting: ``kind`` is str, int or bool; ``sentence`` is its documentation."""

    name: str
    kind: type
    default: Any
    sentence: str
    least: int | None = None
    most: int | None = None

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return PREFIX + self.name.upper()

    def read(self, environment: Mapping[str, str]) -> Any:
        """Its value in ``environment``, or the default.

        Raises:
            Invalid: the text cannot be read as its kind, or lies outside its range.
        """
        text = environment.get(self.variable, "").strip()
        if not text:
            return self.default
        if self.kind is bool:
            if text.lower() not in _BOOLEANS:
                raise self._unreadable(text, "one of 1, 0, true, false, yes, no")
            return _BOOLEANS[text.lower()]
        if self.kind is int:
            if not re.fullmatch("[0-9]{1,15}", text) or not self._within(int(text)):
                raise self._unreadable(text, f"a whole number from {self.least} to {self.most}")
            return int(text)
        return text

    def _within(self, number: int) -> bool:
        return (self.least is None or number >= self.least) and (self.most is None or number <= self.most)

    def _unreadable(self, text: str, expected: str) -> Invalid:
        return Invalid(f"setting {self.variable} is {text!r}; {expected} is expected (default {self.default}).")


_BOOLEANS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}

SETTINGS = (
    Setting(
        name="workspace",
        kind=str,
        default="",
        sentence="Folder of the embedded workspace; by default `.mainstay` in this folder or the nearest one above that has it.",
    ),
    Setting(
        name="database_url",
        kind=str,
        default="",
        sentence=(
            "Address of a PostgreSQL database (`postgresql://USER:PASSWORD@HOST/NAME`) that holds the rows of the workspace; "
            "without it they are in a file of its folder. `mainstay up` and `mainstay server` also read `DATABASE_URL`."
        ),
    ),
    Setting(
        name="database_schema",
        kind=str,
        default="mainstay",
        sentence=(
            "Schema of that database; `{workspace}` in it stands for a name made from the folder, "
            "so that several workspaces may share one database."
        ),
    ),
    Setting(
        name="blobs",
        kind=str,
        default="",
        sentence=(
            "Address of an object store (`s3://BUCKET/PREFIX`, `gs://…`, `az://…`) that keeps the workspace's blobs; "
            "without it they are in its folder. Credentials come from the variables that the store's own tools read."
        ),
    ),
    Setting(
        name="blob_cache_gb",
        kind=int,
        default=16,
        least=1,
        most=100_000,
        sentence="How many gigabytes of blobs the server keeps as whole files beside the chunks that it stores.",
    ),
    Setting(name="url", kind=str, default="", sentence="Address of a shared server; without it the workspace is used."),
    Setting(
        name="token", kind=str, default="", sentence="Token to show to a server; by default that of the workspace."
    ),
    Setting(
        name="host", kind=str, default="127.0.0.1", sentence="Address on which `mainstay up` listens; loopback only."
    ),
    Setting(
        name="port",
        kind=int,
        default=7777,
        least=0,
        most=65535,
        sentence="Port of the API and the web page; 0 picks one.",
    ),
    Setting(
        name="gateway_port", kind=int, default=7778, least=0, most=65535, sentence="Port of the gateway; 0 picks one."
    ),
    Setting(
        name="online_rows",
        kind=int,
        default=250_000,
        least=5_000,  # no fewer than one request may ask for
        most=100_000_000,
        sentence="How many rows of one online table a gateway holds in memory; a larger table stands on its disk.",
    ),
    Setting(
        name="online_disk_rows",
        kind=int,
        default=5_000_000,
        least=0,
        most=1_000_000_000,
        sentence="How many rows of one online table a gateway holds on its disk; a larger table is asked for key by key.",
    ),
    Setting(
        name="feature_sources",
        kind=str,
        default="",
        sentence=(
            "Other feature stores by name, as NAME=KIND:ADDRESS, several with `;` (`shop=feast:feature_repo`); "
            "training and gateways each ask them as it says where they run."
        ),
    ),
    Setting(
        name="trust_same_user",
        kind=bool,
        default=True,
        sentence="Whether a program of the user who runs the server needs no token on loopback (Linux only).",
    ),
    Setting(
        name="webhooks_to_loopback",
        kind=bool,
        default=False,
        sentence="Whether webhooks may call this machine itself; private networks stay closed in any case.",
    ),
    Setting(
        name="retry_seconds",
        kind=int,
        default=30,
        least=0,
        most=3600,
        sentence="How long a client repeats a request while the server is away; each request still happens once.",
    ),
    Setting(
        name="offline",
        kind=bool,
        default=False,
        sentence="Whether runs of scripts are only written to disk, until `mainstay runs sync` delivers them.",
    ),
    Setting(
        name="executor",
        kind=str,
        default="inline",
        sentence="Where the steps of pipelines run unless a pipeline or `--executor` says otherwise: inline, processes or ray.",
    ),
    Setting(
        name="workers",
        kind=int,
        default=0,
        least=0,
        most=4096,
        sentence="How many steps an executor works on at once; 0: one for each processor.",
    ),
    Setting(
        name="ray_address",
        kind=str,
        default="",
        sentence=(
            "Address of the Ray cluster that the executor `ray` uses, such as `ray://head:10001`; "
            "by default `RAY_ADDRESS`, else a cluster of its own on this machine."
        ),
    ),
    Setting(
        name="capture_code",
        kind=bool,
        default=True,
        sentence="Whether a script's run keeps its git commit, the difference to it, and the project's loaded source files.",
    ),
    Setting(
        name="capture_environment",
        kind=bool,
        default=True,
        sentence="Whether a script's run keeps the installed packages, the hardware and the state of random numbers.",
    ),
    Setting(
        name="system_metrics",
        kind=bool,
        default=True,
        sentence="Whether a script's run keeps how the machine fares, every ten seconds, as metrics `system/…`.",
    ),
)

_BY_NAME = {setting.name: setting for setting in SETTINGS}


def get(name: str, environment: Mapping[str, str] | None = None) -> Any:
    """The value of one setting."""
    return _BY_NAME[name].read(os.environ if environment is None else environment)


def workspace(start: Path | None = None, environment: Mapping[str, str] | None = None) -> Path:
    """The workspace folder: as set, else the nearest ``.mainstay`` from ``start`` upwards, else ``.mainstay`` in ``start``."""
    if chosen := get("workspace", environment):
        return Path(chosen).expanduser().resolve()
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / WORKSPACE_FOLDER).is_dir():
            return folder / WORKSPACE_FOLDER
    return here / WORKSPACE_FOLDER
