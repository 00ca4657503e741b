"""The methods of `AsyncFlamingoClient` that process many clips."""

import os
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Generic, Literal, Self, TypedDict, TypeVar, Unpack

from flamingo.batch.items import Item
from flamingo.batch.outcomes import RecordedItem
from flamingo.batch.outputs.jsonl import JsonlOutput
from flamingo.batch.progress import Progress
from flamingo.batch.recorder import Recording
from flamingo.batch.run import BatchRun, RunOptions
from flamingo.batch.source import ClipAudio, Source
from flamingo.batch.sources.path_list import PathList
from flamingo.batch.task import Task
from flamingo.client import batch_tasks, calibrations, fields, sources
from flamingo.client.batch_tasks import TaskKind
from flamingo.client.batch_verdicts import judge
from flamingo.client.calibrations import Calibration
from flamingo.client.fields import ClipOptions, Questions, SamplingOptions
from flamingo.client.results import Analysis, Embedding, Reply
from flamingo.client.taxonomies import Tags, Taxonomy
from flamingo.client.transport import ApiRequest, Transport
from flamingo_common.errors import FlamingoError
from flamingo_common.wire import PRIORITY_HEADER
from flamingo_common.wire.decisions import Decision
from flamingo_common.wire.requests import Layer, Pooling, Style
from flamingo_common.wire.responses import Caption, ModelCard

RESULTS_FILE = "results.jsonl"
T = TypeVar("T")
Clips = Iterable[str | os.PathLike[str]] | Source
"""Paths and URLs, or a source, such as `open_source("songs/")`."""
Priority = Literal["high", "normal", "low"]


class RunSettings(TypedDict, total=False):
    """How a batch is run."""

    priority: Priority
    """Which of this API key's requests the router sends first when they wait (`low`)."""
    max_attempts: int
    """How many times a clip is sent whose request breaks off (5)."""
    max_outage_s: float
    """The batch stops when the fleet has accepted nothing for so long (an hour)."""
    accept_changed: bool
    """Continue although the source has changed since the earlier run."""
    on_progress: Callable[[Progress], None] | None
    """Called with the counts, in the event loop's thread."""


class BatchOptions(RunSettings, total=False):
    """How a batch is run and where it is recorded."""

    output_dir: str | os.PathLike[str] | None
    """Record results here, and continue what an earlier run with this folder left: captions and
    answers in `results.jsonl`, each embedding in a `.npy` file named for its path."""
    recording: Recording | None
    """Record results elsewhere, instead of `output_dir`."""
    concurrency: int
    """Most requests in flight (64); fewer are sent while the fleet refuses some."""


_BATCH_OPTIONS = BatchOptions.__optional_keys__


class BatchClipOptions(ClipOptions, BatchOptions, total=False):
    """The options of a batch of embeddings."""


class YieldedClipOptions(ClipOptions, RunSettings, total=False):
    """The options of a batch whose results are not recorded."""

    concurrency: int
    """As of `BatchOptions`."""


class BatchSamplingOptions(SamplingOptions, BatchOptions, total=False):
    """The options of a batch of captions, analyses or answers."""


class BatchAnalysisOptions(BatchSamplingOptions, total=False):
    """The options of a batch of analyses."""

    style: Style
    prompt: str | None
    confidence: bool | None
    measure: bool | None


class AsyncBatch(Generic[T]):
    """A batch that runs while it is iterated: `async for path, result in batch: …`.

    A result is the response, or the `FlamingoError` by which the clip failed. They come in order
    of completion, after they were recorded. A batch that is closed, or abandoned with `break`,
    cancels what is in flight; everything that has arrived is recorded.
    """

    def __init__(self, run: BatchRun[T]) -> None:
        self._run = run
        self._done = run.done()

    @property
    def progress(self) -> Progress:
        """The counts until now."""
        return self._run.progress

    @property
    def failed_before(self) -> Sequence[RecordedItem]:
        """The first items that earlier runs have recorded as failed."""
        return self._run.failed_before

    def stop(self) -> None:
        """Send nothing more. The iterator ends after what is in flight."""
        self._run.stop()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> tuple[str, T | FlamingoError]:
        outcome, value = await anext(self._done)
        return outcome.key, value

    async def aclose(self) -> None:
        """Cancel what is in flight, and release the output; idempotent."""
        await self._done.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class BatchMethods(ABC):
    """What a client does with many clips."""

    _transport: Transport

    @abstractmethod
    async def models(self) -> list[ModelCard]:
        """Return the models that are served."""

    def batch_caption(
        self,
        clips: Clips,
        *,
        style: Style = "detailed",
        prompt: str | None = None,
        **options: Unpack[BatchSamplingOptions],
    ) -> AsyncBatch[Caption]:
        """Describe many clips in words.

        Args:
            clips: paths and http(s) URLs, which may be an iterator of any length, or a source.
            style: as for `caption`.
            prompt: as for `caption`.
            **options: see `BatchOptions` and `SamplingOptions`.

        Returns:
            An async iterator of `(path, Caption | FlamingoError)`, in order of completion.

        Raises:
            BadRequest: while iterating: the source cannot be read, or the output is of another
                batch.
            StorageFailed: while iterating: a folder or bucket of the source cannot be read.
            OutputFailed: while iterating: the output cannot be written.
            FleetUnavailable: while iterating: the fleet has accepted nothing for `max_outage_s`.

        Example:
            async for path, result in client.batch_caption(paths, output_dir="captions/"):
                print(path, result)
        """
        return self._batch(
            batch_tasks.CAPTION, clips, {"style": style, "prompt": prompt, **options}
        )

    def batch_embed(
        self,
        clips: Clips,
        *,
        layer: Layer = "encoder",
        pooling: Pooling = "none",
        **options: Unpack[BatchClipOptions],
    ) -> AsyncBatch[Embedding]:
        """Embed many clips; takes the arguments of `embed` and `batch_caption`."""
        return self._batch(
            batch_tasks.EMBED, clips, {"layer": layer, "pooling": pooling, **options}
        )

    def batch_analyze(
        self,
        clips: Clips,
        *,
        questions: Questions | None = None,
        recipes: Sequence[str] | None = None,
        layer: Layer | None = None,
        pooling: Pooling | None = None,
        **options: Unpack[BatchAnalysisOptions],
    ) -> AsyncBatch[Analysis]:
        """Answer questions about many clips, or caption and embed them.

        Takes the arguments of `analyze` and `batch_caption`.

        Example:
            async for path, result in client.batch_analyze(paths, output_dir="embeddings/"):
                if not isinstance(result, Exception):
                    print(path, result.caption)
        """
        asked = fields.all_questions(questions, recipes)
        embedding = {"layer": layer, "pooling": pooling}
        if asked is None:
            options.setdefault("style", "detailed")
            embedding = {"layer": layer or "encoder", "pooling": pooling or "none"}
        kind = batch_tasks.ANALYZE if asked is None else batch_tasks.ANALYZE_QUESTIONS
        return self._batch(kind, clips, {"questions": asked, **embedding, **options})

    def batch_tag(
        self,
        clips: Clips,
        *taxonomy: str | Path | Taxonomy,
        orders: int | None = None,
        temperatures: Mapping[str, float] | None = None,
        calibration: str | Path | Calibration | None = None,
        **options: Unpack[BatchClipOptions],
    ) -> AsyncBatch[Tags]:
        """Tag many clips; takes the arguments of `tag` and `batch_caption`.

        Raises:
            BadRequest: at once: as `tag`. While iterating: the calibration is of another model.
        """
        found = None if calibration is None else calibrations.opened(calibration)
        asked = calibrations.tag_questions(taxonomy, orders, temperatures, found)
        identity = {
            "taxonomies": [each.model_dump() for each in asked.taxonomies],
            "orders": asked.orders,
            "temperatures": dict(asked.temperatures),
        }
        kind = batch_tasks.tag(asked)
        if found is None:
            return self._batch(kind, clips, dict(options), identity)

        async def check() -> None:
            found.check_model(await self.models())

        return self._batch(kind, clips, dict(options), identity, check)

    def batch_decisions(
        self,
        clips: Clips,
        questions: Sequence[Mapping[str, Any]] | None = None,
        *,
        orders: int | None = None,
        temperature: float | None = None,
        **options: Unpack[YieldedClipOptions],
    ) -> AsyncBatch[Decision]:
        """Answer questions about many clips with probabilities; takes the arguments of `decisions`.

        `questions` may be None if each item of the source has its own. The results are only
        yielded: a TypeError refuses an `output_dir` or a `recording`.
        """
        if {"output_dir", "recording"} & options.keys():
            raise TypeError("the results of batch_decisions are not recorded, only yielded")
        asked = {"questions": questions, "orders": orders, "temperature": temperature}
        return self._batch(batch_tasks.DECISIONS, clips, {**asked, **options})

    def batch_ask(
        self,
        clips: Clips,
        question: str | None = None,
        *,
        system: str | None = None,
        **options: Unpack[BatchSamplingOptions],
    ) -> AsyncBatch[Reply]:
        """Ask about many clips; takes the arguments of `ask` and `batch_caption`.

        `question` may be None if each line of the source has its own.
        """
        return self._batch(
            batch_tasks.ASK, clips, {"question": question, "system": system, **options}
        )

    def _batch(
        self,
        kind: TaskKind[T],
        clips: Clips,
        options: dict[str, Any],
        identity: dict[str, Any] | None = None,
        check: Callable[[], Awaitable[None]] | None = None,
    ) -> AsyncBatch[T]:
        """Return a batch; `identity` is what its results depend on beside the options.

        `check` is awaited until it has raised no error, before items are sent.
        """
        how = {name: options.pop(name) for name in _BATCH_OPTIONS & options.keys()}
        shared = fields.without_unset(**options)
        headers = {PRIORITY_HEADER: how.pop("priority", "low")}
        recording = _recording(how)

        checks = [] if check is None else [check]

        async def send(item: Item, audio: ClipAudio) -> T:
            for each in tuple(checks):
                await each()
                checks.clear()
            call = kind.call(shared, item)
            async with sources.open_clip(audio, self._transport.download) as clip:
                request = ApiRequest(call.path, call.fields, clip, headers, max_retries=0)
                return await self._transport.fetch(request, call.parse)

        source = clips if isinstance(clips, Source) else PathList(clips)
        named = {**shared, **fields.without_unset(**(identity or {}))}
        task = Task(kind.name, named, send, kind.to_result, judge)
        return AsyncBatch(BatchRun(source, task, recording=recording, options=RunOptions(**how)))


def _recording(how: dict[str, Any]) -> Recording | None:
    """Remove and return where the batch is recorded."""
    recording: Recording | None = how.pop("recording", None)
    folder, accept_changed = how.pop("output_dir", None), how.pop("accept_changed", False)
    if folder is not None:
        if recording is not None:
            raise TypeError("a batch has either an output_dir or a recording")
        path = Path(folder) / RESULTS_FILE
        recording = Recording(JsonlOutput(path), path.with_name(f"{path.name}.state"))
    if recording is not None and accept_changed:
        recording = replace(recording, accept_changed=True)
    return recording
