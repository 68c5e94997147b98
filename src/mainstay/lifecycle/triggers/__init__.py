# SPDX-License-Identifier: Apache-2.0
"""Triggers: where the loop closes.

In: judged windows and alerts, read off the ledger. Out: a decision each time a trigger is asked, with the facts it
rested on; where the answer is *start*, a pipeline's run, and the release of what it made. Events: ``trigger.declared``,
``decision.made``, ``decision.accepted``, ``decision.ended``. Upstream: ``monitoring`` (the facts) and ``serving`` (the
release). Read ``following`` first.
"""
