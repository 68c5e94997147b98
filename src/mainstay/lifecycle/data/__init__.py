# SPDX-License-Identifier: Apache-2.0
"""Data: where rows come in, and what they must be.

In: the bytes of a Parquet or CSV file that a stranger handed over. Out: a snapshot (immutable, named by the digest of
its manifest, profiled), or a refusal with every problem named. The first snapshot of a dataset yields its contract;
each later batch must satisfy it, and a renamed column is recognised by its values. Events: ``dataset.created``,
``snapshot.taken``, ``snapshot.repeated``, ``snapshot.dropped``, ``snapshot.restored``, ``batch.refused``,
``contract.changed``, ``ref.moved``. Upstream: ``measures`` (profiles) and the store. Downstream rooms tell ``lineage``
what they used. Read ``snapshots`` first: it is the way of a batch, step by step.
"""
