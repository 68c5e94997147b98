# SPDX-License-Identifier: Apache-2.0
"""Runs taken up again: carried on where they stood, or carried out anew from the record and compared.

In: a run on record. Out: the same run, ended; or a verdict: identical, equivalent, different. Read ``resumption`` first.
"""
