"""Called by Alembic: run the migrations on the connection that the store has opened."""

from alembic import context

from branchsearch.jobs.store import VERSION_TABLE

connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table=VERSION_TABLE)
with context.begin_transaction():
    context.run_migrations()
