# SPDX-License-Identifier: Apache-2.0
"""The demo's project as a user would write it; its files are copied beside the workspace that the demo makes."""
