"""The engine's asyncio interface: a thread that owns the model, and the queue in front of it.

How it works: the core (`core.py`) runs on one thread, which owns the model, the KV pool and all
sequences. The event loop never touches them: it puts *commands*, plain functions, on a queue, and
the thread runs all that have arrived before each iteration; without work it blocks on the queue.
Outputs go the other way by `loop.call_soon_threadsafe`, into one asyncio queue for each submitted
group of prompts.

An iteration encodes a few windows for one embedding request, round-robin, and then computes one
step of the core, so embeddings of long clips do not stall the streams. Leaving an
output stream cancels its sequences; their memory is free within one step. Grammars are compiled
on threads of their own.

An exception that escapes the core marks the engine as broken: all sequences fail, further prompts
are rejected, and the pod's watchdog replaces the process. `last_progress_s` distinguishes a
stall, which is a step that never returns, from idleness.
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

WINDOWS_PER_ITERATION = 4
"""Windows of an embedding request encoded between two steps."""

MAX_COMPILING = 2
"""Grammars compiled at once: each may take 1 GiB and 2 s, and leaves a core for the tokens."""

Command = abc.Callable[[], None]
"""Runs on the engine's thread."""
Output = tuple[int, TokenOutput | Exception]
"""Index of the prompt in its group, and its next token or the error that ended it."""


@dataclass(slots=True)
class _SequenceHandle:
    """The event loop's handle of one submitted prompt."""

    number: int
    outputs: "asyncio.Queue[Output]"
    """Shared by the prompts of its group."""
    loop: asyncio.AbstractEventLoop
    sequence: Sequence | None = None
    """Set and read by the engine's thread alone."""
    is_cancelled: bool = False

    def emit(self, output: TokenOutput | Exception) -> None:
        # The loop is closed only when the process ends; then the output has no receiver.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.outputs.put_nowait, (self.number, output))


@dataclass(slots=True)
class OutputStream:
    """The outputs of prompts that were submitted together."""

    _outputs: "asyncio.Queue[Output]"
    _open: dict[int, _SequenceHandle]
    _cancel: abc.Callable[[_SequenceHandle], None]
    _deadline_s: float

    async def __aiter__(self) -> abc.AsyncIterator[tuple[int, TokenOutput]]:
        """Yield the index of a prompt and its next output, until all are finished.

        Raises:
            BadRequest: a grammar exceeded its limits.
            DeadlineExceeded: the deadline passed before the next output.
            InternalError: the engine failed on a sequence, or is broken.
        """
        while self._open:
            number, output = await self._next()
            if number not in self._open:
                continue
            if isinstance(output, FlamingoError):
                raise output
            if isinstance(output, Exception):
                raise InternalError("the engine failed on this request") from output
            if output.finish_reason is not None:
                del self._open[number]
            yield number, output

    async def _next(self) -> Output:
        if self._deadline_s == math.inf:
            return await self._outputs.get()
        try:
            async with asyncio.timeout_at(self._deadline_s):
                return await self._outputs.get()
        except TimeoutError:
            raise DeadlineExceeded("the deadline has passed") from None

    def cancel(self, number: int) -> None:
        """Cancel one prompt, finished or not; its memory is free within one step."""
        if handle := self._open.pop(number, None):
            self._cancel(handle)


@dataclass(slots=True)
class _EmbeddingJob:
    """A clip being encoded for its embedding."""

    windows: deque[tuple[AudioWindow, int]]
    """Those left, with their indices in the clip."""
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
        self._embedding_jobs: deque[_EmbeddingJob] = deque()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._compile_threads = ThreadPoolExecutor(MAX_COMPILING, "grammar")
        self._grammar_compiler: GrammarCompiler | None = None
        self._compiler_lock = threading.Lock()
        self.last_progress_s = time.monotonic()
        """When it last began or finished an iteration."""
        self.is_broken = False
        """Whether it fails on every sequence."""
        self.failure: Exception | None = None
        """What broke it."""
        capacity = self._core.options.kv_cache_tokens
        self.load = EngineLoad(num_kv_tokens=capacity, num_kv_tokens_used=0)
        """Read by the event loop, updated by the thread."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the current step; running compilations are not waited for."""
        self._compile_threads.shutdown(wait=False, cancel_futures=True)
        self._commands.put(None)
        self._thread.join()

    @property
    def profile(self) -> EngineProfile:
        """Seconds by stage and counters, since the start."""
        return self._core.profile

    @property
    def num_preemptions(self) -> int:
        """Preemptions of sequences, since the start."""
        return self._core.scheduler.num_preemptions

    def cache_lookups(self) -> dict[str, tuple[int, int]]:
        """Return the number of lookups and of hits by cache: windows, or tokens for `kv`."""
        return self._core.cache_lookups()

    def cached_clips(self) -> list[str]:
        """Return the names of the clips that are cached."""
        return self._core.clips.names()

    @property
    def stalled_s(self) -> float:
        """Seconds since its last progress while it has work; 0 without work."""
        return time.monotonic() - self.last_progress_s if self._has_work() else 0.0

    async def encode(self, audio: ClipAudio, stats: RequestStats | None = None) -> torch.Tensor:
        """Return the clip's encoder states `(tokens, encoder width)`, before the time rotation."""
        return await self._embed(audio, stats or RequestStats(), is_projected=False)

    async def project(self, audio: ClipAudio, stats: RequestStats | None = None) -> torch.Tensor:
        """Return the clip's embeddings for the language model, `(tokens, width)`."""
        return await self._embed(audio, stats or RequestStats(), is_projected=True)

    async def compile(self, spec: GrammarSpec) -> Grammar:
        """Return a grammar at its start; neither the loop nor the engine's thread waits for it.

        Raises:
            BadRequest: the schema is invalid, unsupported or too large.
            Unavailable: there was no time to compile it.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._compile_threads, self._compile, spec)

    async def generate(
        self, prompt: Prompt, params: SamplingParams
    ) -> abc.AsyncGenerator[TokenOutput, None]:
        """Yield the output tokens of a prompt. Closing the iterator cancels it.

        Raises:
            ContextTooLong: it can never fit into the KV pool.
            InternalError: the engine failed on this sequence, or is broken.
        """
        with self.generate_many([(prompt, params)]) as outputs:
            async for _, output in outputs:
                yield output

    @contextlib.contextmanager
    def generate_many(
        self, requests: abc.Sequence[tuple[Prompt, SamplingParams]]
    ) -> abc.Iterator[OutputStream]:
        """Generate for several prompts concurrently. Leaving the block cancels all.

        Raises:
            ContextTooLong: one of them can never fit into the KV pool.
            InternalError: the engine is broken.
        """
        for prompt, params in requests:
            self._check(prompt, params)
        outputs: asyncio.Queue[Output] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        handles = {
            number: _SequenceHandle(number, outputs, loop) for number in range(len(requests))
        }
        for handle, (prompt, params) in zip(handles.values(), requests, strict=True):
            self._commands.put(functools.partial(self._submit, handle, prompt, params))
        deadline_s = min(prompt.deadline_s for prompt, _ in requests)
        stream = OutputStream(outputs, handles, self._put_cancel, deadline_s)
        try:
            yield stream
        finally:
            for number in list(handles):
                stream.cancel(number)

    def _put_cancel(self, handle: _SequenceHandle) -> None:
        self._commands.put(lambda: self._cancel(handle))

    def _compile(self, spec: GrammarSpec) -> Grammar:
        with self._compiler_lock:
            if self._grammar_compiler is None:
                self._grammar_compiler = self._create_grammar_compiler()
        return self._grammar_compiler.compile(spec)

    def _create_grammar_compiler(self) -> GrammarCompiler:
        """Return the compiler; takes a second for a large vocabulary."""
        loaded = self._checkpoint
        return GrammarCompiler(
            loaded.processor.tokenizer,
            loaded.model.config.text_config.vocab_size,
            loaded.limits.eos_token_ids,
        )

    def _check(self, prompt: Prompt, params: SamplingParams) -> None:
        if self.is_broken:
            raise InternalError("the engine has failed; this pod is being replaced")
        vocabulary = self._checkpoint.model.config.text_config.vocab_size
        ids = prompt.token_ids
        if not ids or min(ids) < 0 or max(ids) >= vocabulary:
            raise InternalError("the prompt has token ids outside the model's vocabulary")
        needed = len(prompt.token_ids) + params.max_tokens
        if needed > (capacity := self._core.options.kv_cache_tokens):
            raise ContextTooLong(
                f"prompt and max_tokens need {needed} tokens of KV cache; this pod has {capacity}"
            )

    async def _embed(
        self, audio: ClipAudio, stats: RequestStats, *, is_projected: bool
    ) -> torch.Tensor:
        placed = deque((window, index) for index, window in enumerate(audio.windows))
        job = _EmbeddingJob(placed, is_projected, stats)
        self._commands.put(functools.partial(self._add_embedding_job, job))
        rows = await asyncio.wrap_future(job.done)
        return torch.cat(rows)

    # All below runs on the engine's thread.

    def _submit(self, handle: _SequenceHandle, prompt: Prompt, params: SamplingParams) -> None:
        if self.is_broken:
            handle.emit(EngineBroken())
        elif not handle.is_cancelled:
            # Not a secret: it only makes one sample differ from the next.
            seed = random.getrandbits(63) if params.seed is None else params.seed
            try:
                handle.sequence = self._core.submit(prompt, params, seed, handle.emit)
            except Exception as error:  # noqa: BLE001 - an invalid prompt fails only itself
                handle.emit(error)

    def _add_embedding_job(self, job: _EmbeddingJob) -> None:
        self._core.register_embedding([window for window, _ in job.windows], job.stats)
        self._embedding_jobs.append(job)

    def _cancel(self, handle: _SequenceHandle) -> None:
        handle.is_cancelled = True
        if handle.sequence is not None:
            self._core.cancel(handle.sequence)

    def _has_work(self) -> bool:
        return self._core.has_work() or bool(self._embedding_jobs)

    def _run(self) -> None:
        is_running = True
        while is_running:
            try:
                is_running = self._run_commands()
                self._run_iteration()
            except Exception as error:  # noqa: BLE001 - the one place that keeps a bug from hanging clients
                logs.get().exception("engine.broken")
                self.is_broken, self.failure = True, error
                self._core.fail_all(EngineBroken())
            self.last_progress_s = time.monotonic()
        for job in self._embedding_jobs:
            job.done.cancel()

    def _run_commands(self) -> bool:
        """Run the commands that have arrived; without work, wait for one. False means stop."""
        while True:
            self._update_load()
            try:
                command = self._commands.get(block=not self._has_work())
            except queue.Empty:
                return True
            self.last_progress_s = time.monotonic()
            if command is None:
                return False
            command()

    def _update_load(self) -> None:
        self.load.num_running = self._core.num_running + len(self._embedding_jobs)
        self.load.num_kv_tokens_used = self._core.num_kv_tokens_used

    def _run_iteration(self) -> None:
        if self._embedding_jobs:
            self._advance_embedding(self._embedding_jobs.popleft())
        self._core.step(self.load)

    def _advance_embedding(self, job: _EmbeddingJob) -> None:
        """Encode a few windows of a job, and requeue it if any are left."""
        if job.done.cancelled():
            return
        batch = [job.windows.popleft() for _ in range(WINDOWS_PER_ITERATION) if job.windows]
        try:
            job.rows += self._core.embed(batch, job.stats, is_projected=job.is_projected)
        except Exception as error:  # noqa: BLE001 - raised where the result is awaited
            with contextlib.suppress(InvalidStateError):  # it has just been cancelled
                job.done.set_exception(error)
            return
        if job.windows:
            self._embedding_jobs.append(job)
            return
        with contextlib.suppress(InvalidStateError):
            job.done.set_result(job.rows)
