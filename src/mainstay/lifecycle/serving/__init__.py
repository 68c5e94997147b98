# SPDX-License-Identifier: Apache-2.0
"""Serving: deployments, who should answer and who does, the prediction log, and what turned out to be true.

In: releases and rollouts from upstream; reports, sealed segments and feedback from gateways and users. Out: the routing table
that gateways carry out, and predictions with their labels for whoever watches. What serves is what a gateway reports that it
has loaded, not what a table wishes; both are kept, and compared. Events: ``deployment.declared``, ``segment.sealed``.
Neighbours upstream: release, registry, governance.
"""
