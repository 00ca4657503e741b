"""asyncio on one side, the engine's thread on the other.

The seam: `submit` a prompt and iterate its steps, cancel by leaving the iterator,
or several with `submitted`; `compile` what an answer must be; `encode` and
`project` a clip. Nothing else of the engine is seen from outside.
"""

import asyncio
import contextlib
import functools
import math
import queue
import random
import threading
import time
from collections import abc, deque
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from dataclasses import dataclass, field

import torch

from flamingo_common.errors import ContextTooLong, DeadlineExceeded, FlamingoError, InternalError
from flamingo_common.service import logs
from flamingo_pod.engine.audio import AudioWindow, ClipAudio
from flamingo_pod.engine.core import EngineBroken, EngineCore, Prompt
from flamingo_pod.engine.grammar import Grammar, GrammarCompiler, GrammarSpec
from flamingo_pod.engine.load import EngineLoad
from flamingo_pod.engine.options import EngineOptions
from flamingo_pod.engine.profile import EngineProfile
from flamingo_pod.engine.request_stats import RequestStats
from flamingo_pod.engine.sequence import SamplingParams, Sequence, TokenOutput
from flamingo_pod.model.checkpoint import Checkpoint

WINDOWS_PER_TURN = 4
"""An embedding of a long clip is encoded in pieces, so that it does not stop the streams."""

MAX_COMPILING = 2
"""Grammars compiled at once: each may take 1 GiB and 2 s, and leaves a core for the tokens."""

Command = abc.Callable[[], None]
Ask = tuple[Prompt, SamplingParams]


@dataclass(slots=True)
class _Stream:
    """Where one prompt's steps go."""

    number: int
    steps: "asyncio.Queue[tuple[int, TokenOutput | Exception]]"
    """Shared by those that were submitted together."""
    loop: asyncio.AbstractEventLoop
    sequence: Sequence | None = None
    """Known to the engine's thread alone."""
    is_left: bool = False

    def emit(self, step: TokenOutput | Exception) -> None:
        # The loop is closed only when the process ends; then nobody is left to tell.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.steps.put_nowait, (self.number, step))


@dataclass(slots=True)
class OutputStream:
    """The steps of prompts that were submitted together."""

    _steps: "asyncio.Queue[tuple[int, TokenOutput | Exception]]"
    _open: dict[int, _Stream]
    _leave: abc.Callable[[_Stream], None]
    _deadline_s: float

    async def __aiter__(self) -> abc.AsyncIterator[tuple[int, TokenOutput]]:
        """Yield which prompt, and its next step, until all are over.

        Raises:
            BadRequest: a grammar grew over its limits.
            DeadlineExceeded: the next one would come too late.
            InternalError: the engine failed on a sequence, or altogether.
        """
        while self._open:
            number, step = await self._next()
            if number not in self._open:
                continue
            if isinstance(step, FlamingoError):
                raise step
            if isinstance(step, Exception):
                raise InternalError("the engine failed on this request") from step
            if step.finish_reason is not None:
                del self._open[number]
            yield number, step

    async def _next(self) -> tuple[int, TokenOutput | Exception]:
        if self._deadline_s == math.inf:
            return await self._steps.get()
        try:
            async with asyncio.timeout_at(self._deadline_s):
                return await self._steps.get()
        except TimeoutError:
            raise DeadlineExceeded("the deadline has passed") from None

    def cancel(self, number: int) -> None:
        """Let go of one prompt, which may be over; its memory is free within one step."""
        if stream := self._open.pop(number, None):
            self._leave(stream)


@dataclass(slots=True)
class _EmbeddingJob:
    """A clip on its way through the encoder, for its embedding."""

    windows: deque[tuple[AudioWindow, int]]
    is_projected: bool
    stats: RequestStats
    done: "Future[list[torch.Tensor]]" = field(default_factory=Future)
    rows: list[torch.Tensor] = field(default_factory=list)


class Engine:
    """Owns the thread that owns the model."""

    def __init__(self, checkpoint: Checkpoint, options: EngineOptions) -> None:
        self._checkpoint = checkpoint
        self._core = EngineCore(checkpoint, options)
        self._commands: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self._encodings: deque[_EmbeddingJob] = deque()
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._compilers = ThreadPoolExecutor(MAX_COMPILING, "grammar")
        self._grammars: GrammarCompiler | None = None
        self._building = threading.Lock()
        self.last_progress_s = time.monotonic()
        """When it last began or ended something."""
        self.is_broken = False
        """Whether it fails whatever it is given."""
        self.failure: Exception | None = None
        """What broke it."""
        self.load = EngineLoad(
            num_kv_tokens=self._core.options.kv_cache_tokens, num_kv_tokens_used=0
        )
        """Read by the event loop, measured by the thread."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the step at hand; what still compiles is not waited for."""
        self._compilers.shutdown(wait=False, cancel_futures=True)
        self._commands.put(None)
        self._thread.join()

    @property
    def profile(self) -> EngineProfile:
        """Seconds by stage, since the start."""
        return self._core.profile

    @property
    def num_preemptions(self) -> int:
        """Sequences that were put back for an older one."""
        return self._core.scheduler.num_preemptions

    def cache_lookups(self) -> dict[str, tuple[int, int]]:
        """Return by cache how often something was looked up, and how often found."""
        return self._core.cache_lookups()

    def cached_clips(self) -> list[str]:
        """Return the names of the clips that the caches hold."""
        return self._core.clips.names()

    @property
    def stalled_s(self) -> float:
        """Seconds for which it has held work and made no step."""
        return time.monotonic() - self.last_progress_s if self._has_work() else 0.0

    async def encode(self, audio: ClipAudio, stats: RequestStats | None = None) -> torch.Tensor:
        """Return the clip's encoder states `(tokens, width)`, before the rotation in time."""
        return await self._encoded(audio, stats or RequestStats(), is_projected=False)

    async def project(self, audio: ClipAudio, stats: RequestStats | None = None) -> torch.Tensor:
        """Return what the language model hears of the clip, `(tokens, width)`."""
        return await self._encoded(audio, stats or RequestStats(), is_projected=True)

    async def compile(self, spec: GrammarSpec) -> Grammar:
        """Return a grammar at its start; neither the loop nor the engine's thread waits for it.

        Raises:
            BadRequest, Unavailable: see `GrammarCompiler.compile`.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._compilers, self._compile, spec)

    async def generate(
        self, prompt: Prompt, params: SamplingParams
    ) -> abc.AsyncGenerator[TokenOutput, None]:
        """Yield the answer's steps. Closing the iterator frees its memory within one step.

        Raises:
            ContextTooLong: the KV pool can never hold it.
            InternalError: the engine failed on this sequence, or altogether.
        """
        with self.generate_many([(prompt, params)]) as steps:
            async for _, step in steps:
                yield step

    @contextlib.contextmanager
    def generate_many(self, asks: abc.Sequence[Ask]) -> abc.Iterator[OutputStream]:
        """Submit prompts that are answered side by side. Leaving the block cancels all.

        Raises:
            ContextTooLong: the KV pool can never hold one of them.
            InternalError: the engine is broken.
        """
        for prompt, params in asks:
            self._check(prompt, params)
        queued: asyncio.Queue[tuple[int, TokenOutput | Exception]] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        streams = {number: _Stream(number, queued, loop) for number in range(len(asks))}
        for stream, (prompt, params) in zip(streams.values(), asks, strict=True):
            self._commands.put(functools.partial(self._begin, stream, prompt, params))
        steps = OutputStream(
            queued, streams, self._let_go, min(prompt.deadline_s for prompt, _ in asks)
        )
        try:
            yield steps
        finally:
            for number in list(streams):
                steps.cancel(number)

    def _let_go(self, stream: _Stream) -> None:
        self._commands.put(lambda: self._leave(stream))

    def _compile(self, spec: GrammarSpec) -> Grammar:
        with self._building:
            if self._grammars is None:
                self._grammars = self._made_grammars()
        return self._grammars.compile(spec)

    def _made_grammars(self) -> GrammarCompiler:
        """Return the maker of grammars: a second for a large vocabulary, once."""
        loaded = self._checkpoint
        return GrammarCompiler(
            loaded.processor.tokenizer,
            loaded.model.config.text_config.vocab_size,
            loaded.limits.eos_token_ids,
        )

    def _check(self, prompt: Prompt, params: SamplingParams) -> None:
        if self.is_broken:
            raise InternalError("the engine is broken; this pod is being replaced")
        vocabulary = self._checkpoint.model.config.text_config.vocab_size
        ids = prompt.token_ids
        if not ids or min(ids) < 0 or max(ids) >= vocabulary:
            raise InternalError("the prompt holds tokens that the model does not know")
        needed = len(prompt.token_ids) + params.max_tokens
        if needed > (room := self._core.options.kv_cache_tokens):
            raise ContextTooLong(
                f"prompt and answer need room for {needed} tokens; this pod's memory holds {room}"
            )

    async def _encoded(
        self, audio: ClipAudio, stats: RequestStats, *, is_projected: bool
    ) -> torch.Tensor:
        placed = deque((window, index) for index, window in enumerate(audio.windows))
        encoding = _EmbeddingJob(placed, is_projected, stats)
        self._commands.put(functools.partial(self._take, encoding))
        rows = await asyncio.wrap_future(encoding.done)
        return torch.cat(rows)

    def _begin(self, stream: _Stream, prompt: Prompt, params: SamplingParams) -> None:
        if self.is_broken:
            stream.emit(EngineBroken())
        elif not stream.is_left:
            # Not secret: it makes one sample unlike the next.
            seed = random.getrandbits(63) if params.seed is None else params.seed
            try:
                stream.sequence = self._core.submit(prompt, params, seed, stream.emit)
            except Exception as error:  # noqa: BLE001 - a prompt that cannot be begun is its own fault
                stream.emit(error)

    def _take(self, encoding: _EmbeddingJob) -> None:
        self._core.expect([window for window, _ in encoding.windows], encoding.stats)
        self._encodings.append(encoding)

    def _leave(self, stream: _Stream) -> None:
        stream.is_left = True
        if stream.sequence is not None:
            self._core.cancel(stream.sequence)

    def _has_work(self) -> bool:
        return self._core.has_work() or bool(self._encodings)

    def _work(self) -> None:
        is_wanted = True
        while is_wanted:
            try:
                is_wanted = self._obey()
                self._turn()
            except Exception as fault:  # noqa: BLE001 - the one place that keeps a bug from hanging clients
                logs.get().exception("engine.broken")
                self.is_broken, self.failure = True, fault
                self._core.fail_all(EngineBroken())
            self.last_progress_s = time.monotonic()
        for encoding in self._encodings:
            encoding.done.cancel()

    def _obey(self) -> bool:
        """Do what was asked meanwhile; wait for it where there is no work. False means stop."""
        while True:
            self._tell_load()
            try:
                command = self._commands.get(block=not self._has_work())
            except queue.Empty:
                return True
            self.last_progress_s = time.monotonic()
            if command is None:
                return False
            command()

    def _tell_load(self) -> None:
        self.load.num_running = self._core.num_running + len(self._encodings)
        self.load.num_kv_tokens_used = self._core.num_kv_tokens_used

    def _turn(self) -> None:
        if self._encodings:
            self._encode_some(self._encodings.popleft())
        self._core.step(self.load)

    def _encode_some(self, encoding: _EmbeddingJob) -> None:
        """Encode a few windows, and put what is left at the end of the line."""
        if encoding.done.cancelled():
            return
        some = [encoding.windows.popleft() for _ in range(WINDOWS_PER_TURN) if encoding.windows]
        try:
            encoding.rows += self._core.embed(
                some, encoding.stats, is_projected=encoding.is_projected
            )
        except Exception as error:  # noqa: BLE001 - handed to the waiting side whole
            with contextlib.suppress(InvalidStateError):  # it has just been given up
                encoding.done.set_exception(error)
            return
        if encoding.windows:
            self._encodings.append(encoding)
            return
        with contextlib.suppress(InvalidStateError):
            encoding.done.set_result(encoding.rows)
