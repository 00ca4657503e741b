"""What alembic executes to apply migrations: on the connection that `store/migrate.py` gives."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
