"""A batch counts the tokens of reasoning among those of its output."""

from alembic import op
from sqlalchemy import BigInteger, Column

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column; batches that ended before have none."""
    column = Column("reasoning_tokens", BigInteger, nullable=False, server_default="0")
    op.add_column("batches", column)
