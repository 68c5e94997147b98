# SPDX-License-Identifier: Apache-2.0
"""Feature views, what they are: declared, versioned, joined to labels.

In: a function of a table, labels. Out: a step, a training table, what counts now. ``refreshes`` and ``replays``, beside this
room, run them. Read ``views`` first.
"""
