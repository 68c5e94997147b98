# SPDX-License-Identifier: Apache-2.0
"""A part of the prediction log knows how often something was told of its predictions.

Whether a window must be judged again is seen without counting its labels, however many there are.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Count what was told by now; ids of parts that overlap count for both, which makes a window be judged once more."""
    op.add_column("prediction_parts", sa.Column("labels", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute(
        "update prediction_parts set labels = (select count(*) from feedback f "
        "where f.prediction >= prediction_parts.first_id and f.prediction <= prediction_parts.last_id)"
    )
