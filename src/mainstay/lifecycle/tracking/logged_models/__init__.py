# SPDX-License-Identifier: Apache-2.0
"""Logged models: models as runs left them, before anybody registers a version of one.

In: a name, parameters, files, and what was measured. Out: models with ids of their own, and a search over them. Telemetry:
what is governed begins with a version. Upstream: experiments and logs. Read ``models`` first.
"""
