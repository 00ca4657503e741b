"""Download a checkpoint from a hub into Hugging Face's cache, resuming after a kill.

How it works: huggingface_hub lists, resolves and reads; only the download of a file is done here,
because its own starts over after a kill and leaves the partial file behind. A partial file is kept
under the name of its contents (their hash), is continued with a Range request, and becomes a blob
of the cache once its hash is right. Every tool that uses the cache finds it there.
"""

import contextlib
import fcntl
import hashlib
import re
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import HfApi, constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.file_download import http_get, repo_folder_name
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import build_hf_headers, tqdm

from flamingo_common.service import logs
from flamingo_pod.weights import folder, hub_errors, hub_token, listing, quantization
from flamingo_pod.weights.errors import HubUnreachable, ModelLoadFailed
from flamingo_pod.weights.listing import RemoteFile
from flamingo_pod.weights.progress import LoadingProgress

NUM_PARALLEL_DOWNLOADS = 4
RETRY_WAITS_S = (0.5, 1.0, 2.0)
TIMEOUT_S = 10.0
_COMMIT = re.compile(r"[0-9a-f]{40}")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A checkpoint's files on this machine."""

    folder: Path
    commit: str


@dataclass(frozen=True, slots=True)
class RemoteCheckpoint:
    """A checkpoint as listed by the hub."""

    commit: str
    files: list[RemoteFile]

    @property
    def num_bytes(self) -> int:
        """The size of all its files."""
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True, slots=True)
class ModelCache:
    """One model's folder in the Hugging Face cache."""

    model_id: str
    root: Path

    @property
    def blobs(self) -> Path:
        """The folder of file contents, named by hash."""
        return self.root / "blobs"

    def snapshot(self, commit: str) -> Path:
        """Return the folder of the files of `commit`, named as in the repository."""
        return self.root / "snapshots" / commit

    def ref(self, revision: str) -> Path:
        """Return the file with the last known commit of a branch or tag."""
        return self.root / "refs" / revision


def fetch(model_id: str, revision: str | None, progress: LoadingProgress) -> Snapshot:
    """Return the model's files, downloading those that are not in the cache.

    If the hub does not respond, a complete snapshot in the cache is used.

    Raises:
        ModelLoadFailed: with a message for the user. Access is denied for `ModelAccessDenied`;
            `HubUnreachable` may be retried.
    """
    cache = _model_cache(model_id)
    resolved = revision or constants.DEFAULT_REVISION
    if constants.is_offline_mode():
        return _find_snapshot(cache, resolved) or _reject_offline(model_id, resolved)
    if _COMMIT.fullmatch(resolved) and (found := _find_snapshot(cache, resolved)):
        return found
    try:
        return _download(cache, resolved, progress)
    except HubUnreachable as error:
        if (found := _find_snapshot(cache, resolved)) is None:
            raise
        logs.get().warning("model.hub_unreachable", error=str(error), commit=found.commit)
        return found


def find_cached(model_id: str, revision: str | None) -> Snapshot | None:
    """Return the model's files if the cache has all of them; the hub is not contacted."""
    return _find_snapshot(_model_cache(model_id), revision or constants.DEFAULT_REVISION)


def list_remote(model_id: str, revision: str | None) -> RemoteCheckpoint:
    """Return the model's files as listed by the hub.

    Raises:
        ModelLoadFailed: as `fetch` does.
    """
    resolved = revision or constants.DEFAULT_REVISION
    if constants.is_offline_mode():
        _reject_offline(model_id, resolved)
    return _remote(_hub_request(model_id, resolved), HfApi(token=hub_token.read()))


def cache_folder() -> Path:
    """Return the folder of the Hugging Face cache."""
    return Path(constants.HF_HUB_CACHE)


def _model_cache(model_id: str) -> ModelCache:
    name = repo_folder_name(repo_id=model_id, repo_type="model")
    return ModelCache(model_id, Path(constants.HF_HUB_CACHE) / name)


def _find_snapshot(cache: ModelCache, revision: str) -> Snapshot | None:
    """Return the snapshot of `revision` if it is in the cache and complete."""
    commit = revision
    if not _COMMIT.fullmatch(revision):
        try:
            commit = cache.ref(revision).read_text(encoding="utf-8").strip()
        except OSError:
            return None
    snapshot = cache.snapshot(commit)
    try:
        folder.read_contents(snapshot)
    except ModelLoadFailed:
        return None
    return Snapshot(snapshot, commit)


def _reject_offline(model_id: str, revision: str) -> Snapshot:
    raise ModelLoadFailed(
        f"HF_HUB_OFFLINE is set, but {model_id!r} at {revision!r} is not complete in"
        f" {constants.HF_HUB_CACHE}: run `flamingo pull {model_id}` with access to the hub, or"
        " unset HF_HUB_OFFLINE"
    )


def _download(cache: ModelCache, revision: str, progress: LoadingProgress) -> Snapshot:
    request = _hub_request(cache.model_id, revision)
    remote = _remote(request, HfApi(token=hub_token.read()))
    commit, total = remote.commit, remote.num_bytes
    snapshot = cache.snapshot(commit)
    missing = [file for file in remote.files if not (snapshot / file.name).exists()]
    progress.begin("downloading", total=total, done=total - sum(f.size_bytes for f in missing))
    _check_disk_space(cache, missing)
    logs.get().info("model.downloading", commit=commit, files=len(missing), total_bytes=total)
    weights = [file for file in missing if file.name.endswith(".safetensors")]

    def fetch_file(file: RemoteFile) -> None:
        _with_retries(request, lambda: _fetch_file(cache, commit, file, progress))

    # The small files first: the checkpoint may be rejected before its weights are downloaded.
    for file in missing:
        if file not in weights:
            fetch_file(file)
    _check_configs(snapshot)
    with ThreadPoolExecutor(NUM_PARALLEL_DOWNLOADS, "download") as pool:
        list(pool.map(fetch_file, weights))
    _write_ref(cache, revision, commit)
    return Snapshot(snapshot, commit)


def _hub_request(model_id: str, revision: str) -> hub_errors.HubRequest:
    has_token = "authorization" in build_hf_headers(token=hub_token.read())
    return hub_errors.HubRequest(model_id, revision, constants.ENDPOINT, has_token=has_token)


def _remote(request: hub_errors.HubRequest, api: HfApi) -> RemoteCheckpoint:
    commit = _with_retries(
        request, lambda: _resolve_commit(api, request.model_id, request.revision)
    )
    listed = _with_retries(request, lambda: _list_files(api, request.model_id, commit))
    return RemoteCheckpoint(commit, listing.files_to_download(listed, model_id=request.model_id))


def _resolve_commit(api: HfApi, model_id: str, revision: str) -> str:
    if _COMMIT.fullmatch(revision):
        return revision
    return str(api.model_info(model_id, revision=revision, timeout=TIMEOUT_S).sha)


def _list_files(api: HfApi, model_id: str, commit: str) -> list[RemoteFile]:
    tree = api.list_repo_tree(model_id, revision=commit)
    return [RemoteFile(each.path, each.size) for each in tree if isinstance(each, RepoFile)]


def _check_disk_space(cache: ModelCache, missing: list[RemoteFile]) -> None:
    if not missing:
        return
    cache.blobs.mkdir(parents=True, exist_ok=True)
    parts = sum(path.stat().st_size for path in cache.blobs.glob("*.part"))
    needed = sum(file.size_bytes for file in missing) - parts
    if needed > (free := shutil.disk_usage(cache.blobs).free):
        raise ModelLoadFailed(
            f"not enough disk space: {needed / 1e9:.1f} GB are still to download and {cache.root}"
            f" has {free / 1e9:.1f} GB free; free some space, or set HF_HOME to a larger disk"
        )


def _check_configs(snapshot: Path) -> None:
    """Reject a checkpoint before its weights are downloaded: code to run, unsupported formats."""
    for name in folder.CONFIGS:
        if (snapshot / name).is_file():
            config = folder.read_json_object(snapshot / name)
            listing.check_runs_no_code(config, file=name)
            quantization.check_config(config)


def _with_retries(request: hub_errors.HubRequest, attempt: Callable[[], Result]) -> Result:
    """Return what `attempt` returns; retry errors that may be temporary."""
    for wait_s in (*RETRY_WAITS_S, None):
        try:
            return attempt()
        except (HfHubHTTPError, httpx2.TransportError, HubUnreachable) as error:
            explained = hub_errors.explain(request, error)
            if wait_s is None or not isinstance(explained, HubUnreachable):
                raise explained from error
            logs.get().warning("model.hub_retry", error=str(explained), retry_after_s=wait_s)
            time.sleep(wait_s)
    raise AssertionError("the last attempt returns or raises")


def _fetch_file(
    cache: ModelCache, commit: str, file: RemoteFile, progress: LoadingProgress
) -> None:
    """Download one file into the snapshot."""
    url = hf_hub_url(cache.model_id, file.name, revision=commit)
    remote = get_hf_file_metadata(url, token=hub_token.read(), timeout=TIMEOUT_S)
    etag = _checked_etag(remote.etag, file)
    blob = cache.blobs / etag
    cache.blobs.mkdir(parents=True, exist_ok=True)
    with _locked_part(cache.blobs / f"{etag}.part") as raw:
        if blob.exists():
            progress.add(blob.stat().st_size)
            Path(raw.name).unlink()
        else:
            part = PartialDownload(raw, progress, etag, file.size_bytes)
            _download_file(part, url, remote.location, file)
            part.verify(file.name)
            Path(raw.name).rename(blob)
    link = cache.snapshot(commit) / file.name
    link.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        link.symlink_to(Path("..") / ".." / "blobs" / etag)


def _checked_etag(etag: str | None, file: RemoteFile) -> str:
    """Return the hash of a file's contents: SHA-256, or git's SHA-1 for a small file."""
    if etag is None or not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", etag):
        raise ModelLoadFailed(
            f"the hub's ETag of {file.name} is not a valid hash: {etag!r};"
            " the file cannot be verified"
        )
    return etag


@contextlib.contextmanager
def _locked_part(path: Path) -> Iterator[BinaryIO]:
    """Open a partial file with a lock against other processes: pods may share a cache."""
    while True:
        raw = path.open("a+b")
        fcntl.flock(raw, fcntl.LOCK_EX)
        # The process that held the lock may have renamed the opened file to a blob.
        if (
            path.exists()
            and path.stat().st_ino == Path(f"/proc/self/fd/{raw.fileno()}").stat().st_ino
        ):
            break
        raw.close()
    with raw:
        yield raw


class PartialDownload:
    """A file being downloaded: counts and hashes what has arrived."""

    def __init__(
        self, raw: BinaryIO, progress: LoadingProgress, etag: str, size_bytes: int
    ) -> None:
        self._raw, self._progress, self._etag, self._size = raw, progress, etag, size_bytes
        self._start()
        raw.seek(0)
        while block := raw.read(2**20):
            self._count(block)
        self.num_resumed = self.num_bytes
        if self.num_bytes > size_bytes:
            self.seek(0)
            self.truncate()
            self.num_resumed = 0

    def _start(self) -> None:
        self.num_bytes = 0
        is_git = len(self._etag) == 40  # noqa: PLR2004 - hexadecimal digits of SHA-1
        self._hash: Any = hashlib.sha1() if is_git else hashlib.sha256()  # noqa: S324 - git's own
        if is_git:
            self._hash.update(b"blob %d\0" % self._size)

    def _count(self, block: bytes) -> None:
        self._hash.update(block)
        self.num_bytes += len(block)
        self._progress.add(len(block))

    def write(self, block: bytes) -> int:
        """Append."""
        self._raw.write(block)
        self._count(block)
        return len(block)

    def tell(self) -> int:
        """Return the number of bytes so far."""
        return self.num_bytes

    def seek(self, position: int) -> int:
        """Start over: a hub without range requests sends the whole file."""
        assert position == 0, "a partial file is appended to, or started over"
        self._progress.add(-self.num_bytes)
        self._start()
        return 0

    def truncate(self) -> int:
        """Discard what has arrived."""
        return self._raw.truncate(0)

    def verify(self, name: str) -> None:
        """Flush the file, and verify its hash.

        Raises:
            HubUnreachable: the hash is wrong; nothing of the file is kept.
        """
        self._raw.flush()
        if self._hash.hexdigest() != self._etag:
            self.seek(0)
            self.truncate()
            raise HubUnreachable(
                f"{name} was damaged in transit: its hash differs from the hub's; try again"
            )


class _NoProgressBar(tqdm):  # type: ignore[misc]  # the library is not followed
    """Shows nothing: progress is counted where bytes are written."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **(options | {"disable": True}))


def _download_file(part: PartialDownload, url: str, location: str, file: RemoteFile) -> None:
    headers = build_hf_headers(token=hub_token.read())
    if urlsplit(location).netloc != urlsplit(url).netloc:
        # Another host has a signed URL, and must not get the token.
        headers.pop("authorization", None)
    headers["Accept-Encoding"] = "identity"
    if part.num_resumed:
        logs.get().info("model.resuming", file=file.name, done_bytes=part.num_resumed)
    http_get(
        location,
        part,
        resume_size=part.num_bytes,
        headers=headers,
        expected_size=file.size_bytes,
        tqdm_class=_NoProgressBar,
    )


def _write_ref(cache: ModelCache, revision: str, commit: str) -> None:
    """Store the commit of a branch or tag, for a start without the hub."""
    ref = cache.ref(revision)
    if _COMMIT.fullmatch(revision) or (ref.is_file() and ref.read_text("utf-8") == commit):
        return
    ref.parent.mkdir(parents=True, exist_ok=True)
    ref.write_text(commit, encoding="utf-8")
