# SPDX-License-Identifier: Apache-2.0
"""Measures: data in, numbers out.

In: Arrow tables, label and score arrays, counts. Out: profiles that add up exactly, distances, estimates with
intervals, sequential evidence. Nothing here reads a file, a clock or a database, and nothing is random: the same
input gives the same bytes. Upstream is only ``domain`` (for errors); every room above may ask. Only numpy and pyarrow
at run time, so a serving replica can carry it.
"""
