"""Migrations of the database, which alembic applies when the service starts."""
