# SPDX-License-Identifier: Apache-2.0
"""Mainstay: the whole life of a machine-learning model in one place."""

from __future__ import annotations

__version__ = "0.1.0"
