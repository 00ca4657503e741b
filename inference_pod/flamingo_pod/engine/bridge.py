"""asyncio on one side, the engine's thread on the other.

The seam: `encode` a clip once, `submit` any number of prompts about it, iterate
the steps, cancel by leaving the iterator. Nothing else of the engine is seen
from outside.
"""

import asyncio
import contextlib
import contextvars
import queue
import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from flamingo.errors import InternalError
from flamingo.service import logs
from flamingo_pod.engine import generate
from flamingo_pod.engine.load import Load
from flamingo_pod.engine.sequence import SamplingParams, Step
from flamingo_pod.model import encoder
from flamingo_pod.model.checkpoint import Checkpoint

T = TypeVar("T")
Job = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids with a `<sound>` slot for each of the audio's tokens."""

    token_ids: Sequence[int]
    audio: encoder.EncodedAudio | None = None


@dataclass(slots=True)
class _Sequence:
    """One submitted prompt: where its steps go, and whether anybody still wants them."""

    loop: asyncio.AbstractEventLoop
    steps: asyncio.Queue[Step | InternalError] = field(default_factory=asyncio.Queue)
    cancelled: threading.Event = field(default_factory=threading.Event)

    def emit(self, step: Step | InternalError) -> bool:
        """Hand a step to the event loop; return whether the sequence was cancelled."""
        # The loop is closed only when the process ends; then nobody is left to tell.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.steps.put_nowait, step)
        return self.cancelled.is_set()


@dataclass(slots=True)
class _Timed:
    """Hands a sequence's steps on, and learns from their pace."""

    sequence: _Sequence
    load: Load
    num_windows: int
    last_s: float
    is_first: bool = True

    def emit(self, step: Step) -> bool:
        now_s = time.monotonic()
        if self.is_first:
            self.load.measured_prefill(now_s - self.last_s, num_windows=self.num_windows)
        else:
            self.load.measured_token(now_s - self.last_s)
        self.last_s, self.is_first = now_s, False
        return self.sequence.emit(step)


class Engine:
    """Owns the thread that owns the model."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self.load = Load()
        """Written by both sides, each field by one."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the job at hand."""
        self._jobs.put(None)
        self._thread.join()

    async def encode(self, samples: NDArray[np.float32]) -> encoder.EncodedAudio:
        """Return the clip's encoder states; mono 16 kHz float32."""
        return await self._run(lambda: self._encode(samples))

    async def project(self, audio: encoder.EncodedAudio) -> torch.Tensor:
        """Return what the language model hears of `audio`, `(tokens, width)`."""
        return await self._run(lambda: encoder.project(self._checkpoint.model, audio))

    async def submit(self, prompt: Prompt, params: SamplingParams) -> AsyncGenerator[Step, None]:
        """Yield the answer's steps. Closing the iterator cancels within one token.

        Raises:
            InternalError: the engine failed on this sequence; others go on.
        """
        sequence = _Sequence(asyncio.get_running_loop())
        context = contextvars.copy_context()  # so that the engine's log lines name the request
        self._jobs.put(lambda: context.run(self._generate, sequence, prompt, params))
        try:
            while True:
                step = await sequence.steps.get()
                if isinstance(step, InternalError):
                    raise step
                yield step
                if step.finish_reason is not None:
                    return
        finally:
            sequence.cancelled.set()

    async def _run(self, job: Callable[[], T]) -> T:
        """Return what `job` returns on the engine's thread; skipped if cancelled before."""
        future: Future[T] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(job())
            except BaseException as error:  # noqa: BLE001 - handed to the waiting side whole
                future.set_exception(error)

        self._jobs.put(work)
        return await asyncio.wrap_future(future)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            self.load.num_running = 1
            job()
            self.load.num_running = 0

    def _encode(self, samples: NDArray[np.float32]) -> encoder.EncodedAudio:
        started_s = time.monotonic()
        audio = encoder.encode(self._checkpoint.model, self._checkpoint.processor, samples)
        self.load.measured_encode(time.monotonic() - started_s, num_windows=len(audio.num_tokens))
        return audio

    def _generate(self, sequence: _Sequence, prompt: Prompt, params: SamplingParams) -> None:
        """Run one sequence; a fault in it is its own."""
        if sequence.cancelled.is_set():
            return
        try:
            self._generate_steps(sequence, prompt, params)
        except Exception:  # noqa: BLE001 - the one place that keeps the engine's thread alive
            logs.get().exception("sequence.failed")
            sequence.emit(InternalError("the engine failed on this request"))

    def _generate_steps(self, sequence: _Sequence, prompt: Prompt, params: SamplingParams) -> None:
        started_s = time.monotonic()
        model: Any = self._checkpoint.model
        heard = None if prompt.audio is None else encoder.project(model, prompt.audio)
        num_windows = 0 if prompt.audio is None else len(prompt.audio.num_tokens)
        timed = _Timed(sequence, self.load, num_windows, last_s=started_s)
        generate.generate(
            model,
            generate.embed_prompt(model, prompt.token_ids, heard),
            params,
            eos_token_ids=self._checkpoint.limits.eos_token_ids,
            emit=timed.emit,
        )
