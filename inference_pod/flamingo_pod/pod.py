"""The pod: its model, its state, and its lifecycle from loading to draining."""

import asyncio
import contextlib
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from flamingo_common.errors import Draining, ModelLoading
from flamingo_common.recipes import folder
from flamingo_common.recipes.recipe import Recipe, RecipeInvalid
from flamingo_common.service import logs
from flamingo_common.service.exit_status import ExitStatus
from flamingo_common.wire.report import (
    BackendReport,
    CacheReport,
    LoadReport,
    LowLoadReport,
    ReadyReport,
)
from flamingo_pod import exit_causes, lifecycle, recipe_checks, served_model
from flamingo_pod.admission import Admission
from flamingo_pod.admission_policy import AdmissionLimits
from flamingo_pod.audio.decoder_pool import DecoderPool
from flamingo_pod.audio.fetch import Fetcher
from flamingo_pod.audio.held_clips import HeldClips
from flamingo_pod.audio.memory_budget import MemoryBudget
from flamingo_pod.caller import ANONYMOUS, Caller
from flamingo_pod.engine.costs.load import EngineLoad
from flamingo_pod.engine.costs.profile import EngineProfile
from flamingo_pod.engine.device import device_faults
from flamingo_pod.engine.engine import Engine
from flamingo_pod.engine.startup import warm_up
from flamingo_pod.engine.startup.sizing import InsufficientMemory
from flamingo_pod.lifecycle import LifecycleEvent, PodState
from flamingo_pod.measurement.measuring_pool import MeasuringPool
from flamingo_pod.measurement.results import ClipMeasurements
from flamingo_pod.measurement.shared_tasks import SharedTasks
from flamingo_pod.model import checkpoint
from flamingo_pod.model.placement import UnsupportedDevice
from flamingo_pod.served_model import ServedModel
from flamingo_pod.settings import Settings
from flamingo_pod.telemetry.metrics import Metrics
from flamingo_pod.telemetry.timings import RecentTimings
from flamingo_pod.weights.errors import ModelLoadFailed
from flamingo_pod.weights.progress import LoadingProgress

LOADING_RETRY_S = 5.0
CACHES = ("states", "embeddings", "kv")
HELD = "held"
"""Beside the engine's caches, the clips that are used again by their id."""
EXPECTED_ERRORS = (
    ModelLoadFailed,
    UnsupportedDevice,
    InsufficientMemory,
    PermissionError,
    RecipeInvalid,
)
"""Of loading, whose message is enough for who reads the log."""
CheckpointLoader = Callable[[checkpoint.CheckpointSource, LoadingProgress], checkpoint.Checkpoint]


@dataclass(slots=True)
class Pod:
    """One process that serves one model."""

    settings: Settings
    decoders: DecoderPool
    measurers: MeasuringPool
    fetcher: Fetcher
    memory_budget: MemoryBudget
    admission: Admission
    load_checkpoint: CheckpointLoader
    metrics: Metrics = field(default_factory=Metrics)
    measurements: SharedTasks[ClipMeasurements] = field(default_factory=SharedTasks)
    """That are being made, by caller and clip."""
    state: PodState = PodState.STARTING
    exit_status: ExitStatus = ExitStatus.OK
    failure: str = ""
    """Why it failed, in one line."""
    progress: LoadingProgress = field(default_factory=LoadingProgress)
    timings: RecentTimings = field(default_factory=RecentTimings)
    recipes: Mapping[str, Recipe] = field(default_factory=dict)
    """What questions can name, by name."""
    _served: ServedModel | None = None
    _epoch: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    _sequence: int = 0
    _is_in_shutdown_delay: bool = False

    def handle_event(self, event: LifecycleEvent) -> None:
        """Enter the state that follows `event`, according to the lifecycle's table."""
        before, self.state = self.state, lifecycle.next_state(self.state, event)
        if self.state is not before:
            logs.get().info("pod.state_changed", before=before.value, state=self.state.value)

    @contextlib.contextmanager
    def admit(self, caller: Caller = ANONYMOUS) -> Iterator[ServedModel]:
        """Count one request as in flight for the duration of the block; yield the served model.

        Raises:
            ModelLoading, Draining: the pod is not ready.
            Overloaded: the pod is at capacity.
            DeadlineExceeded: the work queued ahead takes longer than the caller's deadline.
        """
        served = self._accepting_model()
        with self.admission.admit(served.engine.load, caller):
            yield replace(served, caller=caller)

    def check_choices(self, num_choices: int) -> None:
        """Check that an admitted request may have `num_choices`.

        Raises:
            Overloaded: with them the pod would exceed its limit.
        """
        assert self.engine is not None  # an admitted request has one
        self.admission.check_choices(self.engine.load, num_choices)

    def _accepting_model(self) -> ServedModel:
        if not self._is_in_shutdown_delay:
            self.check_ready()
        return self._loaded_model()

    def _loaded_model(self) -> ServedModel:
        if self._served is None or self.state not in {PodState.READY, PodState.DRAINING}:
            if self.state is PodState.FAILED:
                raise ModelLoading(
                    "this pod has failed and is being replaced; retry later",
                    retry_after_s=LOADING_RETRY_S,
                )
            left_s = self.progress.now().left_s or LOADING_RETRY_S
            raise ModelLoading(
                "the model is still loading; retry later", retry_after_s=max(left_s, 1.0)
            )
        return self._served

    @property
    def model_name(self) -> str:
        """The served model's name, known before the model is loaded."""
        return self.settings.served_model_name or self.settings.model

    def cache_lookups(self) -> dict[str, tuple[int, int]]:
        """Return the number of lookups and of hits by cache, of those of the engine and `held`."""
        engine, held = self.engine, self.memory_budget.held
        lookups = engine.cache_lookups() if engine else dict.fromkeys(CACHES, (0, 0))
        return {**lookups, HELD: (held.num_queries, held.num_hits)}

    def load_report(self) -> LoadReport:
        """Return the next load report."""
        self._sequence += 1
        engine = self.engine
        load = engine.load if engine else EngineLoad()
        num_answers = self.admission.num_answers(load)
        # The engine's thread updates its count a moment after an answer ends.
        num_running = min(load.num_running, num_answers)
        num_low = self.admission.num_low_answers(load)
        num_low_running = min(load.num_low_running, num_low, num_running)
        return LoadReport(
            model=self.model_name,
            state=self.state.value,
            epoch=self._epoch,
            sequence=self._sequence,
            backlog_s=load.backlog_s,
            queued_s=load.queued_s,
            num_running=num_running,
            num_waiting=num_answers - num_running,
            low=LowLoadReport(
                backlog_s=load.low_backlog_s,
                queued_s=load.low_queued_s,
                num_running=num_low_running,
                num_waiting=num_low - num_low_running,
            ),
            window_s=load.window_s,
            token_s=load.recent.token_s,
            num_kv_tokens=load.num_kv_tokens,
            num_kv_tokens_used=load.num_kv_tokens_used,
            clips=engine.cached_clips() if engine else [],
            held_clips=self.memory_budget.held.report(now_s=time.monotonic()),
            timings=self.timings.last(),
            caches={
                name: CacheReport(queries=num_queries, hits=num_hits)
                for name, (num_queries, num_hits) in self.cache_lookups().items()
            },
            start=self.progress.start,
            backend=_backend_report(engine) if engine else None,
        )

    def ready_report(self) -> ReadyReport:
        """Return whether the pod is ready, and if not, the progress of loading."""
        is_loading = self.state in {PodState.STARTING, PodState.LOADING, PodState.WARMING}
        return ReadyReport(
            status=self.state.value,
            model=self.model_name,
            commit=self._served.card.commit if self._served else None,
            loading=self.progress.now() if is_loading else None,
        )

    def check_ready(self) -> None:
        """Check that the pod is ready.

        Raises:
            ModelLoading, Draining: it is not.
        """
        if self.state in {PodState.DRAINING, PodState.STOPPED}:
            raise Draining("this pod is shutting down; retry")
        self._loaded_model()

    @property
    def is_alive(self) -> bool:
        """Whether the process is live; if not, it must be replaced."""
        return self.state is not PodState.FAILED

    @property
    def engine(self) -> Engine | None:
        """The engine, once it is started."""
        return self._served.engine if self._served else None

    @property
    def profile(self) -> EngineProfile:
        """How the engine has spent its time."""
        return self._served.engine.profile if self._served else EngineProfile()

    async def start(self, environ: Mapping[str, str]) -> None:
        """Load the model, warm up and become ready; on failure end the process."""
        self.handle_event(LifecycleEvent.LISTENING)
        try:
            source = served_model.checkpoint_source(self.settings, environ)
            loaded = await asyncio.to_thread(self.load_checkpoint, source, self.progress)
            self.handle_event(LifecycleEvent.LOADED)
            self.progress.begin("warming")
            # On a thread: on a GPU it measures the memory, and probes must be answered meanwhile.
            self._served = await asyncio.to_thread(served_model.start_engine, loaded, self.settings)
            await warm_up.warm_up(self._served.engine, loaded)
            if self.settings.recipes_dir is not None:
                await recipe_checks.check(loaded, self._served.engine, self.recipes.values())
        except EXPECTED_ERRORS as error:
            logs.get().error("model.load_failed", error=str(error))
            self._fail_loading(error, str(error))
        except Exception as error:  # noqa: BLE001 - a bug; it is logged, and ends the process
            logs.get().exception("model.load_failed")
            self._fail_loading(error, device_faults.summary(error))
        else:
            self.progress.finish()
            self.handle_event(LifecycleEvent.WARM)
            logs.get().info(
                "model.ready",
                model=self._served.card.id,
                commit=loaded.commit,
                backend=self._served.engine.backend.name,
                backend_reason=self._served.engine.backend.reason,
                total_s=self.progress.now().elapsed_s,
            )

    def engine_failure(self) -> ExitStatus | None:
        """Return the exit status for a broken or stalled engine; None if it works."""
        engine = self.engine
        if engine is None:
            return None
        if engine.is_broken:
            return exit_causes.from_engine_error(engine.failure)
        is_stalled = engine.stalled_s > self.settings.stall_timeout_s
        return ExitStatus.ENGINE_STALLED if is_stalled else None

    def engine_failure_reason(self) -> str:
        """Return why the engine failed or that it stalled, in one line."""
        if self.engine is not None and self.engine.is_broken:
            return device_faults.summary(self.engine.failure)
        return f"the engine made no progress for {self.settings.stall_timeout_s:g} s"

    def _fail_loading(self, error: Exception, reason: str) -> None:
        self.fail(LifecycleEvent.LOAD_FAILED, exit_causes.from_load_error(error), reason)
        self.terminate()

    def fail(self, event: LifecycleEvent, status: ExitStatus, reason: str) -> None:
        """Fail the liveness probe from now on; the process will end with `status`."""
        self.exit_status, self.failure = status, reason
        self.handle_event(event)
        self.admission.stop_waiting()
        logs.get().error("pod.failed", exit_status=int(status), reason=status.meaning, cause=reason)

    def terminate(self) -> None:
        """Shut the process down, as on SIGTERM."""
        os.kill(os.getpid(), signal.SIGTERM)

    async def drain(self) -> None:
        """Stop being ready, then accepting requests; return when none is in flight."""
        self.handle_event(LifecycleEvent.STOP_REQUESTED)
        try:
            await self._shutdown_delay()
            await self.admission.wait_until_idle()
        except asyncio.CancelledError:
            num_requests = self.admission.num_requests
            logs.get().warning("pod.requests_aborted", num_requests=num_requests)
            raise
        self.handle_event(LifecycleEvent.DRAINED)

    async def _shutdown_delay(self) -> None:
        """Accept requests a while longer, from load balancers that still list the pod."""
        if self.state is PodState.DRAINING and self.settings.shutdown_delay_s:
            self._is_in_shutdown_delay = True
            await asyncio.sleep(self.settings.shutdown_delay_s)
            self._is_in_shutdown_delay = False

    def stop(self) -> None:
        """End the engine's thread, unless it is stalled, and the workers."""
        if self._served is not None and self.exit_status is not ExitStatus.ENGINE_STALLED:
            self._served.engine.stop()
        self.decoders.stop()
        self.measurers.stop()
        while self.memory_budget.held.evict():
            pass


def _backend_report(engine: Engine) -> BackendReport:
    return BackendReport(name=engine.backend.name, reason=engine.backend.reason)


def create(settings: Settings, load_checkpoint: CheckpointLoader = checkpoint.load) -> Pod:
    """Return a pod that has loaded no model yet.

    Raises:
        RecipeInvalid: the folder of recipes has changed since the settings were checked.
    """
    return Pod(
        recipes=folder.load(settings.recipes_dir),
        settings=settings,
        load_checkpoint=load_checkpoint,
        decoders=DecoderPool(settings.audio_decode_workers, settings.audio_decode_timeout_s),
        measurers=MeasuringPool(settings.measure_workers, settings.measure_timeout_s),
        memory_budget=MemoryBudget(
            settings.max_request_memory_bytes,
            held=HeldClips(settings.max_held_clip_bytes, settings.held_clip_ttl_s),
        ),
        admission=Admission(
            AdmissionLimits(settings.max_concurrent_answers, settings.max_backlog_s)
        ),
        fetcher=Fetcher(
            is_enabled=settings.fetch == "public",
            networks=settings.fetch_allowed_networks,
            timeout_s=settings.fetch_timeout_s,
            max_bytes=settings.max_body_bytes,
            slots=asyncio.Semaphore(settings.max_fetches),
            hosts=settings.fetch_allowed_hosts,
        ),
    )
