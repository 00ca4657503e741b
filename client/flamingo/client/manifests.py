"""Enrich a manifest: every line with the caption and the embedding of its clip."""

import contextlib
import os
from pathlib import Path
from typing import Unpack

from flamingo.batch.failures import BatchUnfinished
from flamingo.batch.outputs.jsonl import JsonlOutput
from flamingo.batch.progress import Progress
from flamingo.batch.recorder import Recording
from flamingo.batch.sources.kinds import Kind
from flamingo.batch.sources.open_source import SourceOptions, open_source
from flamingo.client.async_client import AsyncFlamingoClient
from flamingo.client.batch_methods import RunSettings
from flamingo.client.fields import SamplingOptions
from flamingo_common.errors import BadRequest
from flamingo_common.wire.requests import Layer, Pooling, Style

EMBEDDINGS_FOLDER = "embeddings"


class ManifestOptions(SamplingOptions, RunSettings, total=False):
    """The options of `process_manifest`."""

    style: Style
    prompt: str | None
    layer: Layer
    pooling: Pooling


async def process_manifest(
    manifest_path: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    server_url: str | None = None,
    concurrency: int = 16,
    **options: Unpack[ManifestOptions],
) -> Path:
    """Caption and embed the clip of every line of a JSONL manifest.

    If it is interrupted, calling it again continues. Lines that fail have an `error` in the output.

    Args:
        manifest_path: each line is a JSON object with the clip's path, relative to the manifest's
            folder, or its URL, in `audio` or another of `manifest_lines.LOCATION_FIELDS`.
        output_dir: for a file with the manifest's name, in which each line has its own fields and
            the results, and for the folder `embeddings` with `.npy` files.
        server_url: URL of the fleet. Default: `FLAMINGO_URL`, or `http://127.0.0.1:8000`.
        concurrency: most requests in flight.
        **options: see `SamplingOptions` and `RunSettings`.

    Returns:
        The path of the enriched manifest.

    Raises:
        BatchUnfinished: some clips could not be processed now; call it again.
        FlamingoError: as `batch_analyze` raises while it is iterated.

    Example:
        path = await process_manifest("dataset.jsonl", "enriched/")
    """
    manifest = Path(manifest_path)
    path = _output_path(manifest, Path(output_dir))
    output = JsonlOutput(path, embeddings=path.parent / EMBEDDINGS_FOLDER)
    recording = Recording(output, path.with_name(f"{path.name}.state"))
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(AsyncFlamingoClient(server_url))
        source = open_source(str(manifest), options=SourceOptions(Kind.JSONL))
        batch = client.batch_analyze(
            source, recording=recording, concurrency=concurrency, **options
        )
        await stack.enter_async_context(batch)
        async for _ in batch:
            pass
    _check_finished(batch.progress, path)
    return path


def _output_path(manifest: Path, folder: Path) -> Path:
    path = folder / manifest.name
    if path.absolute() == manifest.absolute() or (path.exists() and path.samefile(manifest)):
        raise BadRequest(f"the output would replace the manifest {path}; name another output_dir")
    return path


def _check_finished(progress: Progress, path: Path) -> None:
    if progress.num_unfinished:
        raise BatchUnfinished(
            f"{progress.num_unfinished} lines could not be processed now; {path} has the others."
            " Process the manifest again to continue"
        )
