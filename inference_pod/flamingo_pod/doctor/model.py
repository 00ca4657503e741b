"""Check the model's files: complete on this machine, or available for download."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from flamingo_common.service.checks import Check, failed, ok, warning
from flamingo_pod.model.builtin import build
from flamingo_pod.model.builtin.sizes import BUILTIN_MODELS
from flamingo_pod.weights import folder, hub
from flamingo_pod.weights.errors import HubUnreachable, ModelLoadFailed
from flamingo_pod.weights.folder import FolderContents

SUPPORTED_TYPES = ("musicflamingo", "audioflamingo3")


def inspect(model: str, revision: str | None) -> tuple[FolderContents | None, list[Check]]:
    """Return the checkpoint's contents, if known, and the checks of its files."""
    if model in BUILTIN_MODELS:
        return None, list(_builtin(model))
    if Path(model).is_dir():
        return _local(Path(model))
    try:
        if (snapshot := hub.find_cached(model, revision)) is not None:
            return _local(snapshot.folder)
        return None, list(_remote(model, revision))
    except HubUnreachable as error:
        return None, [
            failed(
                "model", str(error), "check access to the hub, or mount a cache that has the model"
            )
        ]
    except ModelLoadFailed as error:
        return None, [failed("model", str(error), "")]


def _builtin(model: str) -> Iterator[Check]:
    cache = build.cache_folder(os.environ)
    yield ok("model", f"{model} is built in, with random weights")
    place = next(path for path in (cache, *cache.parents) if path.exists())
    if not os.access(place, os.W_OK):
        yield failed("cache", f"{place} is not writable", "set FLAMINGO_CACHE to a writable folder")


def _local(place: Path) -> tuple[FolderContents | None, list[Check]]:
    try:
        contents = folder.read_contents(place)
    except ModelLoadFailed as error:
        return None, [failed("model", str(error), "download it again: flamingo pull MODEL")]
    message = (
        f"{contents.num_tensors} tensors, {contents.num_parameters / 1e6:,.1f} M parameters,"
        f" {contents.weight_bytes / 1e9:.2f} GB, complete"
    )
    if contents.model_type not in SUPPORTED_TYPES:
        found = f"unsupported model type {contents.model_type!r}"
        return None, [failed("model", found, f"use one of type {' or '.join(SUPPORTED_TYPES)}")]
    return contents, [ok("model", message)]


def _remote(model: str, revision: str | None) -> Iterator[Check]:
    remote = hub.list_remote(model, revision)
    size = f"{remote.num_bytes / 1e9:.1f} GB"
    yield warning(
        "model", f"{size} to download, commit {remote.commit[:8]}", f"flamingo pull {model}"
    )
    cache = hub.cache_folder()
    place = next(path for path in (cache, *cache.parents) if path.exists())
    free = shutil.disk_usage(place).free
    if free < remote.num_bytes:
        yield failed(
            "disk", f"{cache} has {free / 1e9:.1f} GB free", "set HF_HOME to a larger disk"
        )
    else:
        yield ok("disk", f"{cache} has {free / 1e9:.1f} GB free")
