# SPDX-License-Identifier: Apache-2.0
"""The ground floor: nouns, events, errors, ids and state tables that every other room shares.

Standard library only, no I/O. Whatever stands here may be imported from anywhere and imports nothing of ours.
"""
