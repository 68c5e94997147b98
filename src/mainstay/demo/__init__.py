# SPDX-License-Identifier: Apache-2.0
"""The demo: the whole loop on a real year, the 2013 departures from New York.

In: the bundled flights (``data/``) and an example project as a user would write it (``project/``). Out: a workspace in which
a year has happened, and a table of it. Nothing is scripted to look good: this room is a client like any other; it sends
traffic, tells labels, approves what waits, and prints what the records say. Neighbours upstream: engine, gateway, client.
"""
