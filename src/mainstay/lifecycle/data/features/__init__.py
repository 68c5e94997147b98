# SPDX-License-Identifier: Apache-2.0
"""Feature views: which versions of each there are, and what can be answered from.

In: the states of views that engines report, and the online tables they made. Out: numbers that a model's signature pins,
and for each of them the newest table, which a release insists on and a gateway loads. Events: ``view.changed``,
``view.materialised``, ``view.freed``. Read ``views`` first.
"""
