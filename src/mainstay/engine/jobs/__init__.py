# SPDX-License-Identifier: Apache-2.0
"""Jobs: what the control plane asks a worker to do, one file a kind, each with a ``carry_out``.

A job's result is JSON. What goes wrong in it is raised as an error with one sentence, which becomes the job's.
"""
