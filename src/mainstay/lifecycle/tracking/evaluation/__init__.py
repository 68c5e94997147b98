# SPDX-License-Identifier: Apache-2.0
"""Evaluation: what applications are judged with.

In: examples, and scorers as their makers wrote them down. Out: evaluation sets that grow without doubles, and numbered
scorers. Both are working material, kept without an event. Upstream: experiments. Read ``sets`` first.
"""
