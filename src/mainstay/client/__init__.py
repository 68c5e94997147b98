# SPDX-License-Identifier: Apache-2.0
"""The one wire: how SDK, command line, engine and gateway speak to the control plane.

In: a path and a body. Out: the answer, or the error that the server raised. ``session`` finds whom to ask: a server by its
URL, the server of this workspace, or the same app in this very process. The requests are the same in all three.
"""
