# SPDX-License-Identifier: Apache-2.0
"""Scheduling: pipelines that run because it is time, and pipelines run for times gone by.

In: schedules (cron or an interval, in a time zone) and backfills (a stretch of time, cut into partitions). Out:
``run_pipeline`` jobs, each asked for in the transaction that notes why, so that no death of a server asks twice or
never. Events: ``schedule.*``, ``backfill.*``. Read ``schedules`` first.
"""
