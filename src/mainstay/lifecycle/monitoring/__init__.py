# SPDX-License-Identifier: Apache-2.0
"""Monitoring: is what is live still doing what it was released for?

In: the prediction log, the labels that come later, and the evaluation by which a version was released. Out: windows
of event time with measurements and verdicts, alerts with an owner, reviews. Events: ``monitor.declared``,
``window.judged``, ``alert.opened``, ``alert.graded``, ``alert.acknowledged``, ``alert.resolved``, ``alert.muted``,
``review.done``. Upstream: ``serving`` (the log), ``release`` and ``registry`` (what answered, and how good it was
then). What follows from an alert is not decided here: ``triggers`` follows the ledger. Read ``watch`` first, then
``judging``.
"""
