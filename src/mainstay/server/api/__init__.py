# SPDX-License-Identifier: Apache-2.0
"""The API, one file a room. Each file declares ``routes``; the app finds it by being here."""
