# SPDX-License-Identifier: Apache-2.0
"""Code: which source a step can reach, what of it counts in a key, and what it uses that no import tells.

In: a step, its project. Out: a closure with a digest, part by part; the sources of a run; and, while a step runs, what it opened.
Read ``closure`` first.
"""
