# SPDX-License-Identifier: Apache-2.0
"""The stations of a model's life, upstream first: data, runs, pipelines, registry, release, serving, monitoring,
triggers, answers.

In: verbs called by the server, each inside one transaction. Out: rows, and one event in the ledger for every change.
Each station owns its nouns and its own ``tables.py``, the only file in it that speaks SQL. A station knows the stations
upstream of it and has never heard of those downstream: the loop closes through the ledger, which ``triggers`` follows.
"""
