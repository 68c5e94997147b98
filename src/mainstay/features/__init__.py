# SPDX-License-Identifier: Apache-2.0
"""Features: what was known of an entity at a moment, the same in training and in serving.

In: definitions of feature views, and the tables that they made. Out: training tables that no later knowledge leaks into,
online tables from which a gateway answers, and the comparison of the two, cell by cell. Pure: numpy and Arrow, no
platform. Both sides stand on the one rule in ``asof``; read that first.
"""
