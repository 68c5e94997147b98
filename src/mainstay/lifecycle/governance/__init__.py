# SPDX-License-Identifier: Apache-2.0
"""Governance: who may act, what must hold, who agreed.

In: people and their tokens, policies, yes and no. Out: an answer to "may this happen?" that rests on records only.
Events: ``person.added``, ``token.issued``, ``token.revoked``, ``policy.changed``, ``approval.given``, ``access.refused``.
There is no second audit table: the audit trail is the ledger. Neighbours upstream: none.
"""
