# SPDX-License-Identifier: Apache-2.0
"""``python -m mainstay`` is the ``mainstay`` command."""

from mainstay.cli import main

main()
