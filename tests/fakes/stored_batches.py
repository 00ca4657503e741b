"""Batches as the database has them."""

from flamingo_batches import ids
from flamingo_batches.records import StoredBatch, Usage


def new_batch():
    """Return a batch of alice whose input is to be checked."""
    return StoredBatch(
        id=ids.new_batch(),
        owner="alice",
        endpoint="/v1/embeddings",
        input_file_id="file-1",
        status="validating",
        created_at=1,
        expires_at=2**40,
        times={},
        total=0,
        completed=0,
        failed=0,
        usage=Usage(),
        metadata=None,
        faults=None,
        output_file_id=None,
        error_file_id=None,
        output_expires_after_s=3600,
    )
