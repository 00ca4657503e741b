"""The routes of files and batches, for the OpenAPI documents of all that serve them.

Pure.
"""

from flamingo_common import errors
from flamingo_common.wire import batches, files
from flamingo_common.wire.route import AUTH_ERRORS, ErrorTypes, Route

JSON_LINES, BINARY = "application/jsonl", "application/octet-stream"
STORE_ERRORS: ErrorTypes = [
    *AUTH_ERRORS,
    errors.BadRequest,
    errors.UnknownParameter,
    errors.Unavailable,
    errors.Draining,
    errors.UnsupportedMediaType,
    errors.RequestTooLarge,
    errors.BodyTimeout,
    errors.QuotaExceeded,
    errors.InternalError,
    errors.NotFound,
    errors.UpstreamLost,
]
"""Errors of the routes for files and batches; a router may have no service for them."""
FILES_AND_BATCHES = (
    Route(
        method="POST",
        path="/v1/files",
        tag="Batches",
        summary="Upload the input of a batch, or a clip that its lines refer to",
        upload=files.FileUpload,
        response=files.FileObject,
        error_types=STORE_ERRORS,
    ),
    Route(
        path="/v1/files",
        tag="Batches",
        summary="List files",
        query=files.FileQuery,
        response=files.FileList,
        error_types=STORE_ERRORS,
    ),
    Route(
        path="/v1/files/{id}",
        tag="Batches",
        summary="Get one file",
        response=files.FileObject,
        error_types=STORE_ERRORS,
    ),
    Route(
        method="DELETE",
        path="/v1/files/{id}",
        tag="Batches",
        summary="Delete a file and its contents",
        response=files.DeletedFile,
        error_types=STORE_ERRORS,
    ),
    Route(
        path="/v1/files/{id}/content",
        tag="Batches",
        summary="Get the contents of a file",
        media_types=(JSON_LINES, BINARY),
        error_types=STORE_ERRORS,
    ),
    Route(
        method="POST",
        path="/v1/batches",
        tag="Batches",
        summary="Create a batch of requests from an uploaded file",
        json_body=batches.BatchRequest,
        examples={
            "captions": {
                "input_file_id": "file-1c2e5f",
                "endpoint": "/v1/audio/captions",
                "completion_window": "24h",
                "metadata": {"album": "Blue"},
            }
        },
        response=batches.Batch,
        error_types=STORE_ERRORS,
    ),
    Route(
        path="/v1/batches",
        tag="Batches",
        summary="List batches",
        query=batches.BatchQuery,
        response=batches.BatchList,
        error_types=STORE_ERRORS,
    ),
    Route(
        path="/v1/batches/{id}",
        tag="Batches",
        summary="Get one batch: its state, counts and files",
        response=batches.Batch,
        error_types=STORE_ERRORS,
    ),
    Route(
        method="POST",
        path="/v1/batches/{id}/cancel",
        tag="Batches",
        summary="Cancel a batch; lines that were answered stay in its output",
        response=batches.Batch,
        error_types=STORE_ERRORS,
    ),
)
