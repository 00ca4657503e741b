"""What an error means for an item of a batch, and for the batch.

Pure.
"""

from flamingo.batch.extras import MissingExtra
from flamingo.batch.items import Item
from flamingo.batch.storage.storage import StorageFailed
from flamingo.batch.verdicts import Verdict
from flamingo.client.failures import (
    CannotConnect,
    ConnectionClosed,
    ProxyError,
    TimedOut,
    TlsFailed,
    UnexpectedResponse,
    UnreadableFile,
)
from flamingo_common import errors
from flamingo_common.errors import FlamingoError

VERDICTS: tuple[tuple[tuple[type[FlamingoError], ...], Verdict], ...] = (
    ((ConnectionClosed, TimedOut, UnreadableFile), Verdict.BROKEN),
    ((errors.UpstreamLost, errors.BodyTimeout, errors.DeadlineExceeded), Verdict.BROKEN),
    ((ProxyError, TlsFailed, UnexpectedResponse), Verdict.FATAL),
    (errors.MISCONFIGURED, Verdict.FATAL),
    ((errors.NotFound, errors.MethodNotAllowed), Verdict.FATAL),
    ((errors.UnknownParameter, errors.UnsupportedParameter), Verdict.FATAL),
    ((CannotConnect, errors.Unavailable, errors.RateLimited), Verdict.REFUSED),
    ((errors.MediaFetchFailed,), Verdict.DOUBTFUL),
    ((errors.ClipQuarantined, StorageFailed), Verdict.LATER),
    ((MissingExtra,), Verdict.FATAL),
)
"""The first row with the error's class counts; a subclass comes before its base."""


def judge(error: FlamingoError, item: Item) -> Verdict:
    """Return what `error` means; one about the clip is final."""
    for classes, verdict in VERDICTS:
        if isinstance(error, classes):
            return verdict
    if type(error) is errors.BadRequest and not item.options:
        return Verdict.FATAL  # about the fields that all items share
    return Verdict.FINAL if isinstance(error, errors.BadRequest) else Verdict.DOUBTFUL
