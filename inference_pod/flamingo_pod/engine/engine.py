"""The engine's asyncio interface: a thread that owns the model, and the queue in front of it.

How it works: the core (`core.py`) runs on one thread, which owns the model, the KV pool and all
sequences. The event loop never touches them: it puts *commands*, plain functions, on a queue, and
the thread runs all that have arrived before each iteration; without work it blocks on the queue.
Outputs go the other way after each step (`output_stream.py`), into one asyncio queue for each
submitted group of prompts.

An iteration encodes a few windows for one embedding request, round-robin, and then computes one
step of the core, so embeddings of long clips do not stall the streams. Leaving an
output stream cancels its sequences; their memory is free within one step. Grammars are compiled
on threads of their own.

An exception that escapes the core marks the engine as broken: all sequences fail, further prompts
are rejected, and the pod's watchdog replaces the process. `last_progress_s` distinguishes a
stall, which is a step that never returns, from idleness. Without work the thread asks the device
now and then whether it still works, so that a lost one is noticed before the next request.
"""

import asyncio
import contextlib
import functools
import queue
import random
import threading
import time
from collections import abc, deque
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor

import numpy as np
import torch

from flamingo_common.errors import ContextTooLong, InternalError
from flamingo_common.service import logs
from flamingo_pod.engine.core import EngineCore, Prompt
from flamingo_pod.engine.costs.load import EngineLoad
from flamingo_pod.engine.costs.profile import EngineProfile
from flamingo_pod.engine.costs.request_stats import RequestStats
from flamingo_pod.engine.device import device_faults, device_memory, device_probe
from flamingo_pod.engine.device.device_faults import DeviceFault
from flamingo_pod.engine.encoding.audio import AudioWindow, ClipAudio
from flamingo_pod.engine.encoding.embedding_jobs import EmbeddingJob, EmbeddingJobs
from flamingo_pod.engine.model_runner.backends import BackendChoice
from flamingo_pod.engine.options import EngineOptions
from flamingo_pod.engine.output_stream import Outbox, Output, OutputStream, SequenceHandle
from flamingo_pod.engine.scheduling.sequence import SamplingParams, TokenOutput
from flamingo_pod.engine.steps import step_faults
from flamingo_pod.engine.steps.step_faults import EngineBroken
from flamingo_pod.engine.structured_output.grammar import Grammar, GrammarCompiler
from flamingo_pod.engine.structured_output.grammar_source import GrammarSpec
from flamingo_pod.model.checkpoint import Checkpoint

WINDOWS_PER_ITERATION = 4
"""Windows of an embedding request encoded between two steps."""

IDLE_PROBE_S = 5.0
"""An idle device is asked as often: a probe takes 0.1 ms, and a lost GPU has to be replaced."""

MAX_COMPILING = 2
"""Grammars compiled at once: each may take 1 GiB and 2 s, and leaves a core for the tokens."""

BROKEN = "the engine has failed; this pod is being replaced"

Command = abc.Callable[[], None]
"""Runs on the engine's thread."""


class Engine:
    """Owns the thread that owns the model."""

    def __init__(self, checkpoint: Checkpoint, options: EngineOptions) -> None:
        self._checkpoint = checkpoint
        self._core = EngineCore(checkpoint, options)
        self._commands: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self._outbox = Outbox()
        self._embedding_jobs = EmbeddingJobs()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._compile_threads = ThreadPoolExecutor(MAX_COMPILING, "grammar")
        self._grammar_compiler: GrammarCompiler | None = None
        self._compiler_lock = threading.Lock()
        self._probe = device_probe.of_device(checkpoint.model.device)
        self._idle_probe_s = IDLE_PROBE_S
        self._is_probing = False
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

    async def reset_measurements(self) -> None:
        """Forget how long everything took so far."""
        done: Future[None] = Future()
        self._commands.put(functools.partial(self._reset_measurements, done))
        await asyncio.wrap_future(done)

    @property
    def backend(self) -> BackendChoice:
        """Which implementation computes the decoder layers, and why."""
        return self._core.backend

    @property
    def num_preemptions(self) -> int:
        """Preemptions of sequences, since the start."""
        return self._core.scheduler.num_preemptions

    def cache_lookups(self) -> dict[str, tuple[int, int]]:
        """Return the number of lookups and of hits by cache: windows, or tokens for `kv`."""
        return self._core.cache_lookups()

    def cache_sizes_bytes(self) -> dict[str, int]:
        """Return the size of what each of the encoder's caches holds."""
        return self._core.runner.encoder.cache_sizes_bytes()

    def num_kv_extents(self) -> dict[str, int]:
        """Return how many extents of the KV pool there are, by state."""
        return self._core.scheduler.kv_cache.num_extents()

    def cached_clips(self) -> list[str]:
        """Return the names of the clips that are cached."""
        return self._core.clips.names()

    @property
    def stalled_s(self) -> float:
        """Seconds since its last progress while it has work or asks the device; 0 otherwise."""
        is_busy = self._is_probing or self._has_work()
        return time.monotonic() - self.last_progress_s if is_busy else 0.0

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
        handles = {number: SequenceHandle(number, outputs, loop) for number in range(len(requests))}
        for handle, (prompt, params) in zip(handles.values(), requests, strict=True):
            self._commands.put(functools.partial(self._submit, handle, prompt, params))
        deadline_s = min(prompt.deadline_s for prompt, _ in requests)
        stream = OutputStream(outputs, handles, self._put_cancel, deadline_s)
        try:
            yield stream
        finally:
            for number in list(handles):
                stream.cancel(number)

    def _put_cancel(self, handle: SequenceHandle) -> None:
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
            raise InternalError(BROKEN)
        vocabulary = self._checkpoint.model.config.text_config.vocab_size
        ids = np.asarray(prompt.token_ids)
        if not len(ids) or ids.min() < 0 or ids.max() >= vocabulary:
            raise InternalError("the prompt has token ids outside the model's vocabulary")
        needed = len(ids) + params.max_tokens
        if needed > (capacity := self._core.options.kv_cache_tokens):
            raise ContextTooLong(
                f"This model's maximum context length is {capacity} tokens; that is the KV cache of"
                f" this pod, and the prompt is too long: it and max_tokens need {needed}"
            )

    async def _embed(
        self, audio: ClipAudio, stats: RequestStats, *, is_projected: bool
    ) -> torch.Tensor:
        job = EmbeddingJob(deque(audio.windows), is_projected, stats)
        self._commands.put(functools.partial(self._add_embedding_job, job))
        wait = await asyncio.wrap_future(job.done)
        return await asyncio.to_thread(_concatenate, job.rows, wait)

    # All below runs on the engine's thread.

    def _submit(self, handle: SequenceHandle, prompt: Prompt, params: SamplingParams) -> None:
        if self.is_broken:
            self._outbox.add(handle, EngineBroken())
        elif not handle.is_cancelled:
            # Not a secret: it only makes one sample differ from the next.
            seed = random.getrandbits(63) if params.seed is None else params.seed
            try:
                emit = self._outbox.emitter(handle)
                handle.sequence = self._core.submit(prompt, params, seed, emit)
            except Exception as error:  # noqa: BLE001 - an invalid prompt fails only itself
                self._outbox.add(handle, error)

    def _add_embedding_job(self, job: EmbeddingJob) -> None:
        if self.is_broken:
            _set_error(job, InternalError(BROKEN))
            return
        self._core.register_embedding(list(job.windows), job.stats)
        self._embedding_jobs.add(job)

    def _cancel(self, handle: SequenceHandle) -> None:
        handle.is_cancelled = True
        if handle.sequence is not None:
            self._core.cancel(handle.sequence)

    def _reset_measurements(self, done: "Future[None]") -> None:
        self._core.profile.reset()
        self._core.scheduler.reset_costs()
        self.load.reset_costs()
        done.set_result(None)

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
                self._fail_all()
            self._outbox.flush()
            self.last_progress_s = time.monotonic()
        for job in self._embedding_jobs:
            job.done.cancel()

    def _fail_all(self) -> None:
        self._core.fail_all(EngineBroken())
        for job in self._embedding_jobs.take_all():
            _set_error(job, InternalError(BROKEN))

    def _run_commands(self) -> bool:
        """Run the commands that have arrived; without work, wait for one. False means stop."""
        while True:
            self._update_load()
            self._outbox.flush()  # errors of prompts that were rejected: there may be no step
            try:
                is_idle = not self._has_work()
                command = self._commands.get(is_idle, self._idle_probe_s)
            except queue.Empty:
                if not is_idle:
                    return True
                self._probe_device()
                continue
            self.last_progress_s = time.monotonic()
            if command is None:
                return False
            command()

    def _probe_device(self) -> None:
        """Ask the idle device whether it still works.

        Raises:
            Exception: the device's, if it does not.
        """
        if self.is_broken:
            return
        self.last_progress_s, self._is_probing = time.monotonic(), True
        try:
            self._probe()
        finally:
            self._is_probing = False

    def _update_load(self) -> None:
        self.load.num_running = self._core.num_running + len(self._embedding_jobs)
        num_embedding = sum(job.is_low for job in self._embedding_jobs)
        self.load.num_low_running = self._core.scheduler.num_low_running + num_embedding
        self.load.num_kv_tokens_used = self._core.num_kv_tokens_used

    def _run_iteration(self) -> None:
        jobs = self._embedding_jobs
        num_low = self._core.num_low_embeddings(are_any_live=jobs.has_live)
        if (job := jobs.take(may_be_low=num_low > 0)) is not None:
            most = WINDOWS_PER_ITERATION
            self._advance_embedding(job, min(num_low, most) if job.is_low else most)
        self._core.step(self.load)

    def _advance_embedding(self, job: EmbeddingJob, num_windows: int) -> None:
        """Encode a few windows of a job, and requeue it if any are left."""
        if job.done.cancelled():
            return
        batch = [job.windows.popleft() for _ in range(num_windows) if job.windows]
        try:
            job.rows += self._embed_windows(job, batch)
        except Exception as error:
            _set_error(job, error)
            if device_faults.classify(error) is DeviceFault.DEVICE_LOST:
                raise  # no other request can be answered either
            return
        if job.windows:
            self._embedding_jobs.add(job)
            return
        with contextlib.suppress(InvalidStateError):
            job.done.set_result(self._core.runner.encoder.host.barrier())

    def _embed_windows(self, job: EmbeddingJob, batch: list[AudioWindow]) -> list[torch.Tensor]:
        """Return the rows of each window; one after the other if memory runs out."""
        core = self._core
        embed = functools.partial(core.embed, batch, job.stats, is_projected=job.is_projected)
        if len(batch) == 1:
            return step_faults.retried(embed, core.runner.encoder.free_device_memory)
        try:
            return embed()
        except Exception as error:
            if not step_faults.is_out_of_memory(error):
                raise
        device_memory.release_unused()  # the error, and with it the failed tensors, is gone
        return [rows for each in batch for rows in self._embed_windows(job, [each])]


def _set_error(job: EmbeddingJob, error: Exception) -> None:
    with contextlib.suppress(InvalidStateError):  # it has just been cancelled
        job.done.set_exception(error)


def _concatenate(rows: list[torch.Tensor], wait: abc.Callable[[], None]) -> torch.Tensor:
    wait()
    return torch.cat(rows)
