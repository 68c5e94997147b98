# SPDX-License-Identifier: Apache-2.0
"""Weights & Biases as a source of an import: the folder ``wandb`` that its client leaves, with or without a server of theirs.

In: a folder of runs, each with its log ``run-ID.wandb``. Out: a source. Nothing of theirs has to be installed, and nobody is
asked: the log is read as the bytes it is (`log`), and told in our words (`folder`).

Source: the client's own format, versions 0.12 to 0.31.
"""
