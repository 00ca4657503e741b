"""Identifiers of files, batches, lines and chunks, and the paths of contents."""

import hashlib
import re
import uuid

MAX_SHOWN_CHARS = 64
"""Of an id in an error."""
_ID = re.compile(r"(file-|batch_)[0-9a-f]{32}")


def new_file() -> str:
    """Return the id of a new file."""
    return f"file-{uuid.uuid4().hex}"


def new_batch() -> str:
    """Return the id of a new batch."""
    return f"batch_{uuid.uuid4().hex}"


def new_chunk() -> str:
    """Return the id of a new chunk of results."""
    return uuid.uuid4().hex


def line(batch_id: str, number: int) -> str:
    """Return the id of a line, which is also the request id of what it sends."""
    return f"batch_req_{_hash(batch_id, str(number))}"


def result_file(batch_id: str, kind: str) -> str:
    """Return the id of a batch's file of a `kind`: the same one, however often it is written."""
    return f"file-{_hash(batch_id, kind)}"


def is_valid(text: str) -> bool:
    """Return whether `text` can be the id of a file or a batch."""
    return _ID.fullmatch(text) is not None


def contents_path(file_id: str) -> str:
    """Return where a file's contents are."""
    return f"files/{file_id}"


def results_path(batch_id: str) -> str:
    """Return where the chunks of a batch's results are."""
    return f"results/{batch_id}"


def chunk_path(batch_id: str, chunk_id: str, kind: str) -> str:
    """Return where one kind of results of a chunk is."""
    return f"{results_path(batch_id)}/{chunk_id}.{kind}"


def _hash(*parts: str) -> str:
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:32]


def missing(noun: str, identifier: str) -> str:
    """Return the message about a file or batch that the caller does not have, as OpenAI says it."""
    shown = identifier[:MAX_SHOWN_CHARS]
    return f"the {noun} {shown!r} does not exist or you do not have access to it"
