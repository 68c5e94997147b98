# SPDX-License-Identifier: Apache-2.0
"""Webhooks: addresses outside that are told what happens to models.

In: addresses with the events each wants to hear of, and the ledger as it grows. Out: deliveries, due until they are settled.
Upstream: the ledger alone. Read ``endpoints`` first.
"""
