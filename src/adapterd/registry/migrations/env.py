"""Alembic's entry: runs the migrations on the connection that `migrate` hands over, within its transaction."""

from alembic import context

from adapterd.registry.schema import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
