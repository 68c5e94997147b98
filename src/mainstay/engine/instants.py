# SPDX-License-Identifier: Apache-2.0
"""Instants: a time with a zone stays the moment that it is when Python's values become Arrow's.

pandera, when it is imported, sets ``PYARROW_IGNORE_TIMEZONE`` for the sake of Spark. From then on Arrow takes the reading of a
clock in New York for one of UTC, in the whole process and without a word. Where Spark is not in play, that is undone, and what
is imported later finds the variable set and leaves it alone.
"""

from __future__ import annotations

import os
import sys

_VARIABLE = "PYARROW_IGNORE_TIMEZONE"


def keep() -> None:
    """Have Arrow heed the zones of times, unless Spark asked it not to."""
    if "pyspark" in sys.modules:
        return
    if "pandera" in sys.modules:
        os.environ.pop(_VARIABLE, None)
    os.environ.setdefault(_VARIABLE, "")  # Arrow takes the empty text for no
