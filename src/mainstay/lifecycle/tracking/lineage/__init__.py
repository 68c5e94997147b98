# SPDX-License-Identifier: Apache-2.0
"""Lineage: what runs read and what they made.

In: links of a run to snapshots, versions and whatever else has a name and a digest; what other tools tell of the datasets
that a run read. Out: both, by run; and the runs that read or made a thing. Read ``links`` first.
"""
