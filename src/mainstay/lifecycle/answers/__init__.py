# SPDX-License-Identifier: Apache-2.0
"""Answers: the questions that take all stations together: why, live, about, home, search. Read-only.

In: a subject. Out: what the records say, each statement with its time and its actor. Nothing is inferred here that was not
stored when it happened; where a pointer is missing the answer says *unknown*, never nothing. No events. Neighbours
upstream: every other room.
"""
