"""A bucket of S3, Google Cloud Storage or Azure, or a web server, by obstore.

Credentials, regions and endpoints are obstore's own business: it reads the environment variables
of each provider (`AWS_*`, `GOOGLE_*`, `AZURE_*`), and asks the provider's machine for a role.
"""

import io
import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any, BinaryIO, TypeVar

from flamingo.batch import extras
from flamingo.batch.storage import location, storage
from flamingo.batch.storage.storage import StoredFile
from flamingo_common.errors import InvalidAudio, RequestTooLarge
from flamingo_common.service import printable, urls
from flamingo_common.wire import MAX_BODY_BYTES

BUFFER_BYTES = 2**20
"""Each read of an object is a request, which takes as long as reading about this much."""
VARIABLES = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY",
}
_STATUS = re.compile(r"status code: (\d{3} [A-Za-z ]*[A-Za-z])")
_MESSAGE = re.compile(r"<Message>([^<]*)</Message>")
_URL = re.compile(r"https?://[^\s\"'<>]+")
T = TypeVar("T")


class BucketStorage:
    """A prefix of a bucket. Objects have no folders; `/` in their names is taken for them."""

    def __init__(self, store: Any, url: str) -> None:
        """Take an obstore store whose prefix is that of `url`; `url` is for messages."""
        self._store = store
        self._url = url
        self._obstore = extras.load("obstore", to=f"to use {location.scheme(url)} URLs")

    @property
    def location(self) -> str:
        """The URL, without credentials and query."""
        return urls.redact_url(self._url).rstrip("/")

    @property
    def identity(self) -> str:
        """The URL."""
        return self.location

    def walk(self, folder: str = "") -> Iterator[StoredFile]:
        """Yield all objects in the order of their names; see `Storage`."""
        pages = self._call("list", folder, lambda: iter(self._store.list(folder or None)))
        while page := self._call("list", folder, lambda: next(pages, None)):
            for one in page:
                if not storage.is_hidden(one["path"][len(folder) :].lstrip("/")):
                    yield StoredFile(one["path"], one["size"])

    def open(self, name: str) -> BinaryIO:
        """Open an object; see `Storage`."""
        size_bytes = self._call("read", name, lambda: self._store.head(name)["size"])

        def read(offset: int, num_bytes: int) -> bytes:
            get = self._store.get_range
            return self._call(
                "read", name, lambda: bytes(get(name, start=offset, length=num_bytes))
            )

        return io.BufferedReader(ObjectFile(name, size_bytes, read), BUFFER_BYTES)

    def audio(self, name: str) -> bytes:
        """Return the contents of an object; see `Storage`."""
        url = printable.escape_line(storage.join(self.location, name))
        size_bytes = self.size_bytes(name)
        if size_bytes is None:
            raise InvalidAudio(f"{url}: no such object", param="file")
        if size_bytes > MAX_BODY_BYTES:
            raise RequestTooLarge(f"{url} exceeds the limit of {MAX_BODY_BYTES} bytes")
        return self._call("read", name, lambda: bytes(self._store.get(name).bytes()))

    def size_bytes(self, name: str) -> int | None:
        """Return the size of an object, or None if there is no such object."""
        try:
            return int(self._store.head(name)["size"])
        except FileNotFoundError:
            return None
        except self._obstore.exceptions.BaseError as error:
            raise self._failed("read", name, error) from None

    def write(self, name: str, content: bytes) -> None:
        """Write an object; see `Storage`."""
        self._call("write", name, lambda: self._store.put(name, content))

    def create(self, name: str, content: bytes) -> None:
        """Write a new object; see `Storage`."""
        try:
            self._store.put(name, content, mode="create")
        except self._obstore.exceptions.AlreadyExistsError:
            # Perhaps by this request itself, when its answer was lost and it was sent again.
            if self._call("read", name, lambda: bytes(self._store.get(name).bytes())) != content:
                raise storage.exists_already(storage.join(self.location, name)) from None
        except self._obstore.exceptions.BaseError as error:
            raise self._failed("write", name, error) from None

    def remove(self, name: str) -> None:
        """Remove an object."""
        try:
            self._store.delete(name)
        except FileNotFoundError:
            return
        except self._obstore.exceptions.BaseError as error:
            raise self._failed("remove", name, error) from None

    def _call(self, action: str, name: str, function: Callable[[], T]) -> T:
        try:
            return function()
        except (OSError, self._obstore.exceptions.BaseError) as error:
            raise self._failed(action, name, error) from None

    def _failed(self, action: str, name: str, error: Exception) -> storage.StorageFailed:
        reason = explain(error)
        variables = VARIABLES.get(location.scheme(self._url).rstrip("a"))
        if variables and not isinstance(error, FileNotFoundError):
            reason += f"; credentials are read from the environment: {variables}"
        return storage.failed(action, storage.join(self.location, name), reason)


class ObjectFile(io.RawIOBase):
    """An object as a file that is read with requests for ranges."""

    def __init__(self, name: str, size_bytes: int, read: Callable[[int, int], bytes]) -> None:
        """Take a function that returns up to some number of bytes from an offset."""
        super().__init__()
        self.name = PurePosixPath(name).name
        self._size_bytes = size_bytes
        self._read_at = read
        self._offset = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the offset of the next byte."""
        return self._offset

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the offset of the next byte."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._offset, io.SEEK_END: self._size_bytes}[whence]
        self._offset = max(0, start + offset)
        return self._offset

    def readinto(self, buffer: Any) -> int:
        """Read into `buffer`; return the number of bytes."""
        num_bytes = min(len(buffer), self._size_bytes - self._offset)
        if num_bytes <= 0:
            return 0
        chunk = self._read_at(self._offset, num_bytes)
        buffer[: len(chunk)] = chunk
        self._offset += len(chunk)
        return len(chunk)


def open_url(url: str, **options: Any) -> BucketStorage:
    """Return the folder of a bucket or a web server; `options` are obstore's.

    Raises:
        MissingExtra: obstore is not installed.
        StorageFailed: the URL, or what the environment says about it, is not valid.
    """
    stores = extras.load("obstore.store", to=f"to use {location.scheme(url)} URLs")
    if location.scheme(url) == "http":
        options = {"client_options": {"allow_http": True}, **options}
    exceptions = extras.load("obstore.exceptions", to=f"to use {location.scheme(url)} URLs")
    try:
        return BucketStorage(stores.from_url(url, **options), url)
    except (ValueError, OSError, exceptions.BaseError) as error:
        raise storage.failed("use", urls.redact_url(url), explain(error)) from None


def explain(error: Exception) -> str:
    """Return the reason of an error of obstore, on one line and without secrets of URLs."""
    text = str(error)
    status, message = _STATUS.search(text), _MESSAGE.search(text)
    if isinstance(error, FileNotFoundError):
        return "no such object"
    if status:
        return f"HTTP {status[1]}" + (f", {message[1].rstrip('.')}" if message else "")
    line = text.partition("\n")[0].rpartition(" - ")[2]
    return _URL.sub(lambda match: urls.redact_url(match[0]), line)
