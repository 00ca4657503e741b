"""The pod: what it has loaded, what state it is in, what it holds."""

import asyncio
import contextlib
import os
import signal
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from flamingo.audio import windows
from flamingo.errors import Draining, ModelLoading, ModelNotFound, Overloaded
from flamingo.service import logs
from flamingo.wire.report import LoadReport
from flamingo.wire.responses import ModelCard
from flamingo_pod import lifecycle
from flamingo_pod.audio.decode import Bounds
from flamingo_pod.audio.workers import Decoders
from flamingo_pod.engine.audio import Audio
from flamingo_pod.engine.bridge import Engine
from flamingo_pod.engine.engine import Options, Prompt
from flamingo_pod.engine.load import Load
from flamingo_pod.engine.profile import Profile
from flamingo_pod.engine.sequence import SamplingParams
from flamingo_pod.fetch import Fetcher
from flamingo_pod.lifecycle import Event, State
from flamingo_pod.metrics import Metrics
from flamingo_pod.model import checkpoint
from flamingo_pod.model.builtin import build
from flamingo_pod.settings import Settings
from flamingo_pod.timings import Timings

EXIT_CANNOT_LOAD = 4
LOADING_RETRY_S = 5.0


@dataclass(frozen=True, slots=True)
class Served:
    """What a ready pod answers with."""

    checkpoint: checkpoint.Checkpoint
    engine: Engine
    card: ModelCard
    bounds: Bounds

    def heading(self, kind: str) -> dict[str, Any]:
        """Return what every answer begins with: an id of its `kind`, when, and by which model."""
        return {
            "id": f"{kind}-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": self.card.id,
        }

    def check_model(self, name: str | None) -> None:
        """Refuse a request that names another model.

        Raises:
            ModelNotFound: it does.
        """
        if name is not None and name != self.card.id:
            raise ModelNotFound(
                f"the model {name!r} is not served here; {self.card.id!r} is", param="model"
            )


@dataclass(slots=True)
class Pod:
    """One process, one model."""

    settings: Settings
    decoders: Decoders
    fetcher: Fetcher
    metrics: Metrics = field(default_factory=Metrics)
    state: State = State.STARTING
    exit_status: int = 0
    timings: Timings = field(default_factory=Timings)
    num_open: int = 0
    """Requests being answered, whatever they wait for."""
    _served: Served | None = None
    _epoch: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    _sequence: int = 0
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, event: Event) -> None:
        """Let the lifecycle's table decide what `event` means."""
        before, self.state = self.state, lifecycle.after(self.state, event)
        if self.state is not before:
            logs.get().info("pod.changed", before=before.value, state=self.state.value)

    @contextlib.contextmanager
    def serving(self) -> Iterator[Served]:
        """Count one request as open while it lasts; yield what is served.

        Raises:
            ModelLoading, Draining: not now.
            Overloaded: enough requests are open already.
        """
        served = self._ready()
        self._refuse_excess(served.engine.load)
        self.num_open += 1
        try:
            yield served
        finally:
            self.num_open -= 1
            if not self.num_open:
                self._idle.set()

    @property
    def num_held(self) -> int:
        """Answers that are wanted: each choice of an open request is one."""
        num_more = self._served.engine.load.num_more_choices if self._served else 0
        return self.num_open + num_more

    def check_room(self, num_choices: int) -> None:
        """Refuse an open request whose choices are too many for now.

        Raises:
            Overloaded: the pod would hold more than its limit.
        """
        num_wanted, max_held = self.num_held - 1 + num_choices, self.settings.max_held
        if num_choices > 1 and num_wanted > max_held:
            told = f"with {num_choices} choices this pod would hold {num_wanted}, over {max_held}"
            load = self._ready().engine.load
            raise Overloaded(told, retry_after_s=load.backlog_s)

    def _refuse_excess(self, load: Load) -> None:
        settings, backlog_s = self.settings, load.backlog_s
        if (num_held := self.num_held) >= settings.max_held:
            told = f"this pod holds {num_held} answers, its limit is {settings.max_held}"
            raise Overloaded(told, retry_after_s=backlog_s)
        if backlog_s > settings.max_backlog_s:
            told = (
                f"this pod holds {backlog_s:.0f} s of work; it takes {settings.max_backlog_s:g} s"
            )
            raise Overloaded(told, retry_after_s=backlog_s - settings.max_backlog_s)

    def _ready(self) -> Served:
        if self.state in {State.DRAINING, State.STOPPED}:
            raise Draining("this pod is draining; another one takes the request")
        if self._served is None or self.state is not State.READY:
            raise ModelLoading("the model is loading", retry_after_s=LOADING_RETRY_S)
        return self._served

    def report(self) -> LoadReport:
        """Return the next load report."""
        self._sequence += 1
        engine = self._served.engine if self._served else None
        load, num_held = engine.load if engine else Load(), self.num_held
        # The engine's thread says a moment late that it is done.
        num_running = min(load.num_running, num_held)
        return LoadReport(
            model=self.settings.served_name or self.settings.model,
            state=self.state.value,
            epoch=self._epoch,
            sequence=self._sequence,
            backlog_s=load.backlog_s,
            num_running=num_running,
            num_waiting=num_held - num_running,
            window_s=load.window_s,
            token_s=load.token_s,
            num_kv_tokens=load.num_kv_tokens,
            num_kv_tokens_used=load.num_kv_tokens_used,
            clips=engine.clips() if engine else [],
            timings=self.timings.last(),
        )

    @property
    def is_alive(self) -> bool:
        """Whether the process need not be replaced."""
        engine = self._served.engine if self._served else None
        is_stuck = engine is not None and (engine.is_broken or engine.is_stalled)
        return self.state is not State.FAILED and not is_stuck

    @property
    def profile(self) -> Profile:
        """What the engine has spent its time on."""
        return self._served.engine.profile if self._served else Profile()

    async def bring_up(self, environ: Mapping[str, str]) -> None:
        """Load, warm up, become ready; on failure end the process with its own status."""
        self.tell(Event.LISTENING)
        try:
            loaded = await asyncio.to_thread(checkpoint.load, source(self.settings, environ))
            self.tell(Event.LOADED)
            self._served = _serve(loaded, self.settings)
            await _warm_up(self._served)
        except checkpoint.CannotLoad as error:
            logs.get().error("model.not_loaded", reason=str(error))
            self._give_up()
        except Exception:  # noqa: BLE001 - a bug, told in full, ends the process all the same
            logs.get().exception("model.not_loaded")
            self._give_up()
        else:
            self.tell(Event.WARM)

    def _give_up(self) -> None:
        self.exit_status = EXIT_CANNOT_LOAD
        self.tell(Event.LOAD_FAILED)
        os.kill(os.getpid(), signal.SIGTERM)

    async def drain(self) -> None:
        """Take nothing new; return when no request is open."""
        self.tell(Event.TOLD_TO_STOP)
        while self.num_open:
            self._idle.clear()
            await self._idle.wait()
        self.tell(Event.EMPTY)

    def stop(self) -> None:
        """End the engine's thread and the workers."""
        if self._served is not None:
            self._served.engine.stop()
        self.decoders.stop()


def create(settings: Settings) -> Pod:
    """Return a pod that has loaded nothing yet."""
    return Pod(
        settings=settings,
        decoders=Decoders.start(
            num_workers=settings.decode_workers, deadline_s=settings.decode_deadline_s
        ),
        fetcher=Fetcher(
            is_on=settings.fetch == "public",
            networks=settings.fetch_networks,
            deadline_s=settings.fetch_deadline_s,
            max_bytes=settings.max_body_bytes,
        ),
    )


def source(settings: Settings, environ: Mapping[str, str]) -> checkpoint.Source:
    """Return which checkpoint the settings mean on this machine."""
    has_gpu = torch.cuda.is_available()
    device = settings.device if settings.device != "auto" else ("cuda" if has_gpu else "cpu")
    default_dtype = "float32" if device == "cpu" else "bfloat16"
    return checkpoint.Source(
        id=settings.model,
        revision=settings.revision,
        dtype=default_dtype if settings.dtype == "auto" else settings.dtype,
        device=device,
        cache=build.cache_folder(environ),
    )


def _serve(loaded: checkpoint.Checkpoint, settings: Settings) -> Served:
    limits = loaded.limits
    max_audio_s = min(settings.max_audio_s or limits.max_audio_s, limits.max_audio_s)
    engine = Engine(loaded, _engine_options(loaded, settings))
    engine.start()
    card = ModelCard(
        id=settings.served_name or loaded.id,
        created=loaded.loaded_at_s,
        owned_by="flamingo-fleet" if loaded.random_weights else loaded.id.partition("/")[0],
        max_audio_seconds=max_audio_s,
        context_tokens=limits.context_tokens,
        embedding_dimensions=dict(limits.dims),
        random_weights=loaded.random_weights,
    )
    return Served(loaded, engine, card, Bounds(max_seconds=max_audio_s))


def _engine_options(loaded: checkpoint.Checkpoint, settings: Settings) -> Options:
    options = Options.for_checkpoint(
        loaded,
        max_cache_bytes=int(settings.cache_gib * 2**30),
        is_reference=settings.forward == "reference",
        max_running=settings.max_running,
    )
    return (
        options
        if settings.kv_tokens is None
        else replace(options, num_kv_tokens=settings.kv_tokens)
    )


async def _warm_up(served: Served) -> None:
    """Let one second of silence go the whole way: ready means that an answer came out."""
    audio = Audio.of(np.zeros(windows.SAMPLE_RATE_HZ, np.float32))
    slots = [served.checkpoint.processor.audio_token_id] * audio.num_tokens
    async for _ in served.engine.submit(Prompt(slots, audio), SamplingParams(max_tokens=2)):
        pass
