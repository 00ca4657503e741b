"""Check the model's files: complete on this machine, or available for download."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from transformers import AutoConfig

from flamingo_common.service.checks import Check, failed, ok, warning
from flamingo_pod.model.builtin import build
from flamingo_pod.model.builtin.sizes import BUILTIN_MODELS
from flamingo_pod.model.dimensions import PUBLISHED, ModelDimensions, dimensions_of
from flamingo_pod.weights import folder, hub
from flamingo_pod.weights.errors import HubUnreachable, ModelLoadFailed
from flamingo_pod.weights.folder import FolderContents

SUPPORTED_TYPES = ("musicflamingo", "audioflamingo3")


@dataclass(frozen=True, slots=True)
class FoundModel:
    """What is known of a checkpoint."""

    dimensions: ModelDimensions
    contents: FolderContents | None = None
    """None if it is not downloaded."""

    @property
    def is_fp8(self) -> bool:
        """Whether it was published in FP8."""
        return self.contents is not None and self.contents.is_quantized

    def loaded_bytes(self, element_bytes: int, *, is_fp8: bool) -> int:
        """Return the bytes of the weights in memory, in FP8 or with `element_bytes` each."""
        if self.contents is not None and self.is_fp8 == is_fp8:
            return self.contents.loaded_bytes(element_bytes)
        return self.dimensions.weight_bytes(
            element_bytes, layer_element_bytes=1 if is_fp8 else None
        )


def inspect(model: str, revision: str | None) -> tuple[FoundModel | None, list[Check]]:
    """Return what is known of the checkpoint, if anything, and the checks of its files.

    A Music Flamingo that is not downloaded is taken to have the published one's dimensions.
    """
    if model in BUILTIN_MODELS:
        return None, list(_builtin(model))
    if Path(model).is_dir():
        return _local(Path(model))
    try:
        if (snapshot := hub.find_cached(model, revision)) is not None:
            return _local(snapshot.folder)
        is_published_kind = "music-flamingo" in model.lower()
        found = FoundModel(PUBLISHED) if is_published_kind else None
        return found, list(_remote(model, revision))
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


def _local(place: Path) -> tuple[FoundModel | None, list[Check]]:
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
    config = AutoConfig.from_pretrained(place, local_files_only=True)
    return FoundModel(dimensions_of(config.to_dict()), contents), [ok("model", message)]


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
