# SPDX-License-Identifier: Apache-2.0
"""Alembic's entry: run the numbered steps on the engine that `mainstay.store.migrate` hands over."""

from alembic import context

engine = context.config.attributes["engine"]

# A write from the first statement: two processes that open a fresh workspace at once must queue, not collide.
with engine.connect() as plain:
    connection = plain.execution_options(writes=True)
    context.configure(connection=connection, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
