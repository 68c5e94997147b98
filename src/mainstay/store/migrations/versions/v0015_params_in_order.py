# SPDX-License-Identifier: Apache-2.0
"""An index leads through the runs of an experiment in the whole order of a parameter: by number, and what is no number by text.

Runs in the order of a parameter of words are found without a look at the row of each one passed.
"""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Put the text behind the number."""
    op.drop_index("ix_run_params_experiment_key_number", "run_params")
    op.create_index("ix_run_params_experiment_key_number_value", "run_params", ["experiment", "key", "number", "value"])
