"""Fetch a checkpoint from a hub into Hugging Face's own cache, so that a kill costs no byte twice.

huggingface_hub lists, resolves and reads; the file on its way is ours: its own
download starts from nothing after a kill, and leaves what it had behind. A part is
kept under the name of its contents, goes on with a Range, and becomes a blob of the
cache when its hash is right. Every tool that knows the cache finds it there.
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
from flamingo_pod.weights import folder, hub_errors, listing
from flamingo_pod.weights.errors import CannotLoad, HubUnreachable
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
    """A checkpoint as the hub lists it."""

    commit: str
    files: list[RemoteFile]

    @property
    def num_bytes(self) -> int:
        """Return how much there is to fetch."""
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True, slots=True)
class ModelCache:
    """One model in the cache."""

    model_id: str
    root: Path

    @property
    def blobs(self) -> Path:
        """Return where contents are, by their hash."""
        return self.root / "blobs"

    def snapshot(self, commit: str) -> Path:
        """Return where the files of `commit` are, by their name."""
        return self.root / "snapshots" / commit

    def ref(self, revision: str) -> Path:
        """Return the file that says which commit a branch or tag was, when last revision_name."""
        return self.root / "refs" / revision


def fetch(model_id: str, revision: str | None, progress: LoadingProgress) -> Snapshot:
    """Return the model's files, downloading what is not here.

    A hub that does not answer is no fault where the files are here already.

    Raises:
        CannotLoad: with a sentence for the person who named the model; its kinds say
            whether request again, or a token, would help.
    """
    cache = _model_cache(model_id)
    revision_name = revision or constants.DEFAULT_REVISION
    if constants.is_offline_mode():
        return _cached(cache, revision_name) or _refuse_offline(model_id, revision_name)
    if _COMMIT.fullmatch(revision_name) and (found := _cached(cache, revision_name)):
        return found
    try:
        return _download(cache, revision_name, progress)
    except HubUnreachable as error:
        if (found := _cached(cache, revision_name)) is None:
            raise
        logs.get().warning("model.hub_silent", reason=str(error), commit=found.commit)
        return found


def find_cached(model_id: str, revision: str | None) -> Snapshot | None:
    """Return the model's files if all are here, as far as was known when they were fetched."""
    return _cached(_model_cache(model_id), revision or constants.DEFAULT_REVISION)


def list_remote(model_id: str, revision: str | None) -> RemoteCheckpoint:
    """Return what the hub has of the model.

    Raises:
        CannotLoad: see `fetch`.
    """
    revision_name = revision or constants.DEFAULT_REVISION
    if constants.is_offline_mode():
        _refuse_offline(model_id, revision_name)
    return _remote(_hub_request(model_id, revision_name), HfApi())


def cache_folder() -> Path:
    """Return where Hugging Face's tools keep files."""
    return Path(constants.HF_HUB_CACHE)


def _model_cache(model_id: str) -> ModelCache:
    name = repo_folder_name(repo_id=model_id, repo_type="model")
    return ModelCache(model_id, Path(constants.HF_HUB_CACHE) / name)


def _cached(cache: ModelCache, revision: str) -> Snapshot | None:
    """Return the snapshot of `revision` if it is here and whole."""
    commit = revision
    if not _COMMIT.fullmatch(revision):
        try:
            commit = cache.ref(revision).read_text(encoding="utf-8").strip()
        except OSError:
            return None
    here = cache.snapshot(commit)
    try:
        folder.read_contents(here)
    except CannotLoad:
        return None
    return Snapshot(here, commit)


def _refuse_offline(model_id: str, revision: str) -> Snapshot:
    raise CannotLoad(
        f"HF_HUB_OFFLINE is set, and {model_id!r} at {revision!r} is not complete in"
        f" {constants.HF_HUB_CACHE}: run `flamingo pull {model_id}` where the hub can be reached,"
        " or unset it"
    )


def _download(cache: ModelCache, revision: str, progress: LoadingProgress) -> Snapshot:
    request = _hub_request(cache.model_id, revision)
    remote = _remote(request, HfApi())
    commit, total = remote.commit, remote.num_bytes
    here = cache.snapshot(commit)
    missing = [file for file in remote.files if not (here / file.name).exists()]
    progress.begin("downloading", total=total, done=total - sum(f.size_bytes for f in missing))
    _check_disk_space(cache, missing)
    logs.get().info("model.downloading", commit=commit, files=len(missing), total_bytes=total)
    # One after the other where order matters: what says the shape, before the weights.
    weights = [file for file in missing if file.name.endswith(".safetensors")]

    def fetch_file(file: RemoteFile) -> None:
        _with_retries(request, lambda: _fetch_file(cache, commit, file, progress))

    for file in missing:
        if file not in weights:
            fetch_file(file)
    _check_configs(here)
    with ThreadPoolExecutor(NUM_PARALLEL_DOWNLOADS, "download") as pool:
        list(pool.map(fetch_file, weights))
    _write_ref(cache, revision, commit)
    return Snapshot(here, commit)


def _hub_request(model_id: str, revision: str) -> hub_errors.HubRequest:
    has_token = "authorization" in build_hf_headers()
    return hub_errors.HubRequest(model_id, revision, constants.ENDPOINT, has_token=has_token)


def _remote(request: hub_errors.HubRequest, api: HfApi) -> RemoteCheckpoint:
    commit = _with_retries(request, lambda: _commit_of(api, request.model_id, request.revision))
    listed = _with_retries(request, lambda: _listed(api, request.model_id, commit))
    return RemoteCheckpoint(commit, listing.files_to_download(listed, model_id=request.model_id))


def _commit_of(api: HfApi, model_id: str, revision: str) -> str:
    if _COMMIT.fullmatch(revision):
        return revision
    return str(api.model_info(model_id, revision=revision, timeout=TIMEOUT_S).sha)


def _listed(api: HfApi, model_id: str, commit: str) -> list[RemoteFile]:
    tree = api.list_repo_tree(model_id, revision=commit)
    return [RemoteFile(each.path, each.size) for each in tree if isinstance(each, RepoFile)]


def _check_disk_space(cache: ModelCache, missing: list[RemoteFile]) -> None:
    if not missing:
        return
    cache.blobs.mkdir(parents=True, exist_ok=True)
    parts = sum(path.stat().st_size for path in cache.blobs.glob("*.part"))
    needed = sum(file.size_bytes for file in missing) - parts
    if needed > (free := shutil.disk_usage(cache.blobs).free):
        raise CannotLoad(
            f"{cache.root} has room for {free / 1e9:.1f} GB, and {needed / 1e9:.1f} GB are missing:"
            " make room, or point HF_HOME at a larger disk"
        )


def _check_configs(here: Path) -> None:
    """Refuse a checkpoint that brings code before its weights are paid for."""
    for name in folder.CONFIGS:
        if (here / name).is_file():
            listing.check_runs_no_code(folder.read_json_object(here / name), file=name)


def _with_retries(request: hub_errors.HubRequest, what: Callable[[], Result]) -> Result:
    """Return what `what` returns; try again where that may help."""
    for wait_s in (*RETRY_WAITS_S, None):
        try:
            return what()
        except (HfHubHTTPError, httpx2.TransportError, HubUnreachable) as error:
            told = hub_errors.explain(request, error)
            if wait_s is None or not isinstance(told, HubUnreachable):
                raise told from error
            logs.get().warning("model.hub_failed", reason=str(told), again_after_s=wait_s)
            time.sleep(wait_s)
    raise AssertionError("the last attempt returns or raises")


def _fetch_file(
    cache: ModelCache, commit: str, file: RemoteFile, progress: LoadingProgress
) -> None:
    """Bring one file into the snapshot."""
    url = hf_hub_url(cache.model_id, file.name, revision=commit)
    remote = get_hf_file_metadata(url, timeout=TIMEOUT_S)
    etag = _checked_etag(remote.etag, file)
    blob = cache.blobs / etag
    cache.blobs.mkdir(parents=True, exist_ok=True)
    with _locked_part(cache.blobs / f"{etag}.part") as raw:
        if blob.exists():
            progress.add(blob.stat().st_size)
            Path(raw.name).unlink()
        else:
            part = PartialDownload(raw, progress, etag, file.size_bytes)
            _receive(part, url, remote.location, file)
            part.check(file.name)
            Path(raw.name).rename(blob)
    link = cache.snapshot(commit) / file.name
    link.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        link.symlink_to(Path("..") / ".." / "blobs" / etag)


def _checked_etag(etag: str | None, file: RemoteFile) -> str:
    """Return the hash that names a file's contents: SHA-256, or git's SHA-1 of a small one."""
    if etag is None or not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", etag):
        raise CannotLoad(f"the hub gives no hash of {file.name}: {etag!r}; it cannot be checked")
    return etag


@contextlib.contextmanager
def _locked_part(path: Path) -> Iterator[BinaryIO]:
    """Open a part that no other process writes at the same time: pods may share a cache."""
    while True:
        raw = path.open("a+b")
        fcntl.flock(raw, fcntl.LOCK_EX)
        # Whoever held it may have made a blob of the file that we have opened.
        if (
            path.exists()
            and path.stat().st_ino == Path(f"/proc/self/fd/{raw.fileno()}").stat().st_ino
        ):
            break
        raw.close()
    with raw:
        yield raw


class PartialDownload:
    """A file on its way: counts what arrives, and knows its hash when it is whole."""

    def __init__(
        self, raw: BinaryIO, progress: LoadingProgress, etag: str, size_bytes: int
    ) -> None:
        self._raw, self._progress, self._etag, self._size = raw, progress, etag, size_bytes
        self._start()
        raw.seek(0)
        while block := raw.read(2**20):
            self._count(block)
        self.num_before = self.num_bytes
        if self.num_bytes > size_bytes:
            self.seek(0)
            self.truncate()
            self.num_before = 0

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
        """Return how much there is."""
        return self.num_bytes

    def seek(self, position: int) -> int:
        """Begin anew: where a hub does not do ranges, it sends the whole."""
        assert position == 0, "a part is appended to, or begun again"
        self._progress.add(-self.num_bytes)
        self._start()
        return 0

    def truncate(self) -> int:
        """Forget what there was."""
        return self._raw.truncate(0)

    def check(self, name: str) -> None:
        """Put it on the disk.

        Raises:
            HubUnreachable: it is not what the hub said it would be; nothing of it is kept.
        """
        self._raw.flush()
        if self._hash.hexdigest() != self._etag:
            self.seek(0)
            self.truncate()
            raise HubUnreachable(f"{name} arrived damaged: its hash is not the hub's; try again")


class _NoProgressBar(tqdm):  # type: ignore[misc]  # the library is not followed
    """No bar: progress is counted where bytes are written."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **(options | {"disable": True}))


def _receive(part: PartialDownload, url: str, location: str, file: RemoteFile) -> None:
    headers = build_hf_headers()
    if urlsplit(location).netloc != urlsplit(url).netloc:
        headers.pop("authorization", None)  # a signed address of another host is no cache for it
    headers["Accept-Encoding"] = "identity"
    if part.num_before:
        logs.get().info("model.resuming", file=file.name, done_bytes=part.num_before)
    http_get(
        location,
        part,
        resume_size=part.num_bytes,
        headers=headers,
        expected_size=file.size_bytes,
        tqdm_class=_NoProgressBar,
    )


def _write_ref(cache: ModelCache, revision: str, commit: str) -> None:
    """Note which commit a branch or tag is, for a start without the hub."""
    ref = cache.ref(revision)
    if _COMMIT.fullmatch(revision) or (ref.is_file() and ref.read_text("utf-8") == commit):
        return
    ref.parent.mkdir(parents=True, exist_ok=True)
    ref.write_text(commit, encoding="utf-8")
