# SPDX-License-Identifier: Apache-2.0
"""Pipelines: which definitions were seen, and what each of their steps did.

In: what the engine reports when it has carried out a step, or found that it need not. Out: the step's own run, its
links to what it read and made, and a row in the index of results by key, all in one transaction: a crash leaves
either nothing or a finished step. The index can be dropped without losing data. Events: ``step.committed``. Upstream:
``tracking`` (runs) and ``data`` (snapshots are told who read them). Read ``executions`` first.
"""
