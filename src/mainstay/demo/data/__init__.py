# SPDX-License-Identifier: Apache-2.0
"""The demo's data: ``flights-2013.parquet``, where it comes from (``PROVENANCE.md``) and the script that builds it."""
