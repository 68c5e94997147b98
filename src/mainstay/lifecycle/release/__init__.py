# SPDX-License-Identifier: Apache-2.0
"""Release: what goes live, as one immutable whole, through gates and approvals, step by step, and back.

In: a version and a target. Out: a release with its verdicts, and a rollout that gives it traffic. What a deployment's traffic
should be is *derived* from the releases and rollouts here; there is no second place where it is written down.
Events: ``release.*`` and ``rollout.*``. Neighbours upstream: registry, data, tracking, governance.
"""
