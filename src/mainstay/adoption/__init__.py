# SPDX-License-Identifier: Apache-2.0
"""Adoption: bring over what was recorded elsewhere, so that starting here does not mean starting anew.

In: another tool's server, database or folder, read and never written. Out: the same experiments, runs, files, models and
aliases here, each marked with where it came from, and a count of both sides. A client like any other: what is brought enters by
the API, as claims of whoever brings it. Read ``history`` for what a source can tell, ``importing`` for how it is brought.
"""
