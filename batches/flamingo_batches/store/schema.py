"""The tables, as the newest migration leaves them."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Double,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
)

METADATA = MetaData()
SERIAL = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only in a column of the type INTEGER."""

FILES = Table(
    "files",
    METADATA,
    Column("serial", SERIAL, primary_key=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("owner", String(64), nullable=False, index=True),
    Column("purpose", String(32), nullable=False),
    Column("filename", Text, nullable=False),
    Column("num_bytes", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, index=True),
)
BATCHES = Table(
    "batches",
    METADATA,
    Column("serial", SERIAL, primary_key=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("owner", String(64), nullable=False, index=True),
    Column("endpoint", String(64), nullable=False),
    Column("input_file_id", String(64), nullable=False),
    Column("status", String(16), nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("times", JSON, nullable=False),
    Column("total", Integer, nullable=False),
    Column("completed", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("metadata", JSON),
    Column("faults", JSON),
    Column("output_file_id", String(64)),
    Column("error_file_id", String(64)),
    Column("output_expires_after_s", Integer, nullable=False),
    Column("lease_holder", String(64)),
    Column("lease_until_s", Double),
    Column("reasoning_tokens", BigInteger, nullable=False, server_default="0"),
)
LINES = Table(
    "lines",
    METADATA,
    # In the order in which lines are sent: those of one clip one after the other.
    Column("batch_id", String(64), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("start", BigInteger, nullable=False),
    Column("num_bytes", Integer, nullable=False),
    Column("is_done", SmallInteger, nullable=False),
)
CHUNKS = Table(
    "chunks",
    METADATA,
    Column("serial", SERIAL, primary_key=True),
    Column("batch_id", String(64), nullable=False, index=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("num_output_bytes", BigInteger, nullable=False),
    Column("num_error_bytes", BigInteger, nullable=False),
)
