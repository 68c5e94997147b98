# SPDX-License-Identifier: Apache-2.0
"""Search: runs by what they logged, in an order.

In: text from anybody, or comparisons that another grammar made. Out: a page of runs, and the place where the next one begins.
Read ``filters`` first, then ``tables``: it says which of two ways a search is answered.
"""
