# SPDX-License-Identifier: Apache-2.0
"""Carrying out pipelines: steps → plan → cache keys → execution. A client of the control plane; it holds no truth.

In: plain functions marked ``@step`` and ``@pipeline``, the sources they stand in, a platform to record with.
Out: runs, step results by content, snapshots, model versions; and the work of leased jobs (``worker``).

A pipeline is *traced* first (each step call gives a ``Ref``), then carried out in that order. What a step depends on is
decided by ``closure`` (code), ``materialise`` (data, by digest) and ``keys`` (both, with parameters and environment).
Upstream: ``client`` (the wire), ``formats`` (models as bytes), ``domain``.
"""
