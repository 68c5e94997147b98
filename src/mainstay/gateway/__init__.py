# SPDX-License-Identifier: Apache-2.0
"""The data plane: answers predictions and holds no truth of its own.

In: the routing table and the models' files, asked of the control plane; requests over HTTP. Out: predictions, each
written to the prediction log before its answer leaves; segments of that log, and reports of what is loaded, to the
control plane. A request passes ``app`` → ``validation`` → ``routing`` (which release answers) → ``batching`` →
``versions`` (the model) → ``prediction_log`` → the answer. ``follower`` keeps the table current beside it; when the
control plane is away the last table goes on serving. ``offline`` runs the same validation and the same models over
files.
"""
