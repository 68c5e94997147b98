# SPDX-License-Identifier: Apache-2.0
"""Refreshes: a feature view run on its own, so that what counts now can be answered from.

In: a view that names its sources. Out: a pipeline, which is run, planned, scheduled and recorded as any other; at its end
the control plane is handed the online table. ``mainstay run flights.py:spend`` does it, and so does a schedule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mainstay.engine.features import publishing
from mainstay.engine.features.views import FeatureView
from mainstay.engine.pipelines import Pipeline

if TYPE_CHECKING:
    from mainstay.engine.outlook import Outlook
    from mainstay.engine.platform import Platform


class Refresh(Pipeline[..., Any]):
    """The pipeline of one view. Its parameter ``as_of`` is the moment up to which the sources are known; default: now."""

    def __init__(self, view: FeatureView[..., Any]) -> None:
        self.view = view

        def refresh(as_of: str | None = None) -> Any:
            from mainstay.engine.features import training

            made = view.bound()
            return training.latest_rows(made.table, view.definition.to_json(), as_of or training.now())

        refresh.__name__ = view.function.__name__
        super().__init__(refresh, 0, None, view.files[0] if view.files else None)

    def conclude(self, platform: Platform, run_id: str, outlook: Outlook) -> None:
        """Hand the online table over."""
        publishing.publish(platform, self.view, run_id, outlook)
