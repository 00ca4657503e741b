"""Files as OpenAI's API has them: objects, lists, and what an upload may state.

Pure.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from flamingo_common.wire.request_body import RequestBody
from flamingo_common.wire.responses import ResponseBody

MIN_EXPIRY_S, MAX_EXPIRY_S = 3600, 2_592_000
"""OpenAI's limits of `expires_after`: one hour and 30 days."""
MAX_FILE_PAGE, DEFAULT_FILE_PAGE = 10_000, 10_000
UPLOADED_PURPOSES: Mapping[str, str] = {
    "batch": "the input of a batch",
    "user_data": "a clip, which lines of a batch refer to by the file's id",
}
Purpose = Literal["batch", "batch_output", "user_data"]
Order = Literal["asc", "desc"]


class FileObject(ResponseBody):
    """A file."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    """Seconds since 1970, as all times here."""
    expires_at: int | None = None
    """When the file is deleted; null: never."""
    filename: str
    purpose: Purpose
    status: Literal["processed"] = "processed"
    status_details: str | None = None


class FileList(ResponseBody):
    """One page of the caller's files."""

    object: Literal["list"] = "list"
    data: list[FileObject]
    first_id: str | None
    last_id: str | None
    has_more: bool


class DeletedFile(ResponseBody):
    """A file that was deleted."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


class ExpiresAfter(RequestBody):
    """When a file is deleted, counted from its creation."""

    anchor: Literal["created_at"]
    seconds: int = Field(ge=MIN_EXPIRY_S, le=MAX_EXPIRY_S)
    """From one hour to 30 days."""


class FileUpload(RequestBody):
    """Form fields of `POST /v1/files`, besides the file itself."""

    purpose: Literal["batch", "user_data"]
    """`batch`: the input of a batch. `user_data`: a clip that lines refer to."""
    expires_after: ExpiresAfter | None = None
    """When the file is deleted; `expires_after[anchor]` and `expires_after[seconds]`."""


class FileQuery(RequestBody):
    """Query of `GET /v1/files`."""

    after: str | None = None
    """Id of the last file of the page before."""
    limit: int = Field(default=DEFAULT_FILE_PAGE, ge=1, le=MAX_FILE_PAGE)
    """Files of a page."""
    order: Order = "desc"
    """By creation: `desc` has the newest first."""
    purpose: Purpose | None = None
    """Only files of this purpose."""
