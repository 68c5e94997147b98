# SPDX-License-Identifier: Apache-2.0
"""The control plane's face on the wire: one ASGI app with the API, the web page and the loops.

In: HTTP. Out: one verb of a room above, called inside one transaction, and its answer shaped. ``guard`` stands in front
of everything and denies by default; ``routes`` turns plain functions into endpoints; ``loops`` does what waits for no request.
"""
