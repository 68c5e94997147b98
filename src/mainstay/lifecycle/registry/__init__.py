# SPDX-License-Identifier: Apache-2.0
"""Registry: which results have a name and a number.

In: the files of a trained model, by digest, with the run they came from and the snapshots behind it. Out: numbered
versions that never change, and aliases that do. A version's bytes must be here and sound before it gets a number; a
reference has no bytes, says so, and is never released. Events: ``model.*`` (created, changed, renamed, deleted),
``version.*`` (registered, repeated, changed, marked), ``alias.moved``, ``permission.*`` (given, taken).
Upstream: ``tracking`` (the run must exist) and ``data`` (the snapshots must). Downstream, ``release`` marks versions
and decides when an alias moves; this room only knows how. Read ``versions`` first.
"""
