# SPDX-License-Identifier: Apache-2.0
"""Recording a run from any script: ``with ms.run("tuning"): ms.log_metric("auc", 0.7)``.

Inside a step of a pipeline the same verbs write to that step's own run. What a script logs goes to the outbox, and from
there to the server in batches; nothing here waits for an answer but the beginning and the end. An error inside the block
ends the run as failed, with the error's last line. Read ``recordings`` first.
"""

from mainstay.client.recording.recordings import Recording, step_sink
from mainstay.client.recording.starting import run, start_run
from mainstay.client.recording.verbs import (
    current_run,
    is_here,
    log_artifact,
    log_dict,
    log_figure,
    log_metric,
    log_metrics,
    log_param,
    log_params,
    log_table,
    log_text,
    set_tags,
)

__all__ = [
    "Recording",
    "current_run",
    "is_here",
    "log_artifact",
    "log_dict",
    "log_figure",
    "log_metric",
    "log_metrics",
    "log_param",
    "log_params",
    "log_table",
    "log_text",
    "run",
    "set_tags",
    "start_run",
    "step_sink",
]
