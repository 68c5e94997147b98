# SPDX-License-Identifier: Apache-2.0
"""Calls of steps: one call, what it says and writes, and the processes that carry calls out for another.

In: a step with its arguments, as artifacts. Out: an outcome. Nothing is recorded here. Read ``step_calls`` first.
"""
