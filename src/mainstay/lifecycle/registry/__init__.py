# SPDX-License-Identifier: Apache-2.0
"""Registry: which results have a name and a number.

In: the files of a trained model, by digest, with the run they came from and the snapshots behind it. Out: numbered
versions that never change, and aliases that do. A version's bytes must be here and sound before it gets a number.
Events: ``model.created``, ``version.registered``, ``version.repeated``, ``version.marked``, ``alias.moved``.
Upstream: ``tracking`` (the run must exist) and ``data`` (the snapshots must). Downstream, ``release`` marks versions
and decides when an alias moves; this room only knows how. Read ``versions`` first.
"""
