"""The pod: what it has loaded, what state it is in, what it holds."""

import asyncio
import contextlib
import os
import signal
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from flamingo_common.errors import Draining, ModelLoading, Overloaded
from flamingo_common.service import logs
from flamingo_common.service.exit_status import ExitStatus
from flamingo_common.wire.report import LoadReport, ReadyReport
from flamingo_pod import exit_causes, lifecycle, served_model
from flamingo_pod.audio.decoder_pool import DecoderPool
from flamingo_pod.audio.fetch import Fetcher
from flamingo_pod.audio.memory_budget import MemoryBudget
from flamingo_pod.caller import ANONYMOUS, Caller
from flamingo_pod.engine.engine import Engine
from flamingo_pod.engine.load import EngineLoad
from flamingo_pod.engine.profile import EngineProfile
from flamingo_pod.lifecycle import LifecycleEvent, PodState
from flamingo_pod.model import checkpoint
from flamingo_pod.served_model import ServedModel
from flamingo_pod.settings import Settings
from flamingo_pod.telemetry.metrics import Metrics
from flamingo_pod.telemetry.timings import RecentTimings
from flamingo_pod.weights.errors import CannotLoad
from flamingo_pod.weights.progress import LoadingProgress

LOADING_RETRY_S = 5.0
Load = Callable[[checkpoint.CheckpointSource, LoadingProgress], checkpoint.Checkpoint]


@dataclass(slots=True)
class Pod:
    """One process, one model."""

    settings: Settings
    decoders: DecoderPool
    fetcher: Fetcher
    held: MemoryBudget
    metrics: Metrics = field(default_factory=Metrics)
    state: PodState = PodState.STARTING
    exit_status: ExitStatus = ExitStatus.OK
    load: Load = checkpoint.load
    progress: LoadingProgress = field(default_factory=LoadingProgress)
    timings: RecentTimings = field(default_factory=RecentTimings)
    num_open: int = 0
    """Requests being answered, whatever they wait for."""
    _served: ServedModel | None = None
    _epoch: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    _sequence: int = 0
    _idle: asyncio.Event = field(default_factory=asyncio.Event)
    _is_settling: bool = False

    def tell(self, event: LifecycleEvent) -> None:
        """Let the lifecycle's table decide what `event` means."""
        before, self.state = self.state, lifecycle.next_state(self.state, event)
        if self.state is not before:
            logs.get().info("pod.changed", before=before.value, state=self.state.value)

    @contextlib.contextmanager
    def admit(self, caller: Caller = ANONYMOUS) -> Iterator[ServedModel]:
        """Count one request as open while it lasts; yield what is served to `caller`.

        Raises:
            ModelLoading, Draining: not now.
            Overloaded: enough requests are open already.
            DeadlineExceeded: it would be answered too late.
        """
        served = self._ready()
        self._refuse_excess(served.engine.load)
        caller.check(served.engine.load.backlog_s)
        self.num_open += 1
        try:
            yield replace(served, caller=caller)
        finally:
            self.num_open -= 1
            if not self.num_open:
                self._idle.set()

    @property
    def num_held(self) -> int:
        """Answers that are wanted: each choice of an open request is one."""
        num_more = self._served.engine.load.num_extra_choices if self._served else 0
        return self.num_open + num_more

    def check_room(self, num_choices: int) -> None:
        """Refuse an open request whose choices are too many for now.

        Raises:
            Overloaded: the pod would hold more than its limit.
        """
        num_wanted, max_held = self.num_held - 1 + num_choices, self.settings.max_concurrent_answers
        if num_choices > 1 and num_wanted > max_held:
            told = f"with {num_choices} choices this pod would hold {num_wanted}, over {max_held}"
            load = self._ready().engine.load
            raise Overloaded(told, retry_after_s=load.backlog_s)

    def _refuse_excess(self, load: EngineLoad) -> None:
        settings, backlog_s = self.settings, load.backlog_s
        if (num_held := self.num_held) >= settings.max_concurrent_answers:
            told = (
                f"this pod holds {num_held} answers, its limit is {settings.max_concurrent_answers}"
            )
            raise Overloaded(told, retry_after_s=backlog_s)
        if backlog_s > settings.max_backlog_s:
            told = (
                f"this pod holds {backlog_s:.0f} s of work; it takes {settings.max_backlog_s:g} s"
            )
            raise Overloaded(told, retry_after_s=backlog_s - settings.max_backlog_s)

    def _ready(self) -> ServedModel:
        if not self._is_settling:
            self.check_ready()
        return self._check_loaded()

    def _check_loaded(self) -> ServedModel:
        if self._served is None or self.state not in {PodState.READY, PodState.DRAINING}:
            if self.state is PodState.FAILED:
                raise ModelLoading(
                    "this pod has failed and is being replaced", retry_after_s=LOADING_RETRY_S
                )
            left_s = self.progress.now().left_s or LOADING_RETRY_S
            raise ModelLoading("the model is loading", retry_after_s=max(left_s, 1.0))
        return self._served

    @property
    def name(self) -> str:
        """The model's name, which is known before the model is."""
        return self.settings.served_model_name or self.settings.model

    def report(self) -> LoadReport:
        """Return the next load report."""
        self._sequence += 1
        engine = self.engine
        load, num_held = engine.load if engine else EngineLoad(), self.num_held
        # The engine's thread says a moment late that it is done.
        num_running = min(load.num_running, num_held)
        return LoadReport(
            model=self.name,
            state=self.state.value,
            epoch=self._epoch,
            sequence=self._sequence,
            backlog_s=load.backlog_s,
            queued_s=load.queued_s,
            num_running=num_running,
            num_waiting=num_held - num_running,
            window_s=load.window_s,
            token_s=load.token_s,
            num_kv_tokens=load.num_kv_tokens,
            num_kv_tokens_used=load.num_kv_tokens_used,
            clips=engine.cached_clips() if engine else [],
            timings=self.timings.last(),
            start=self.progress.start,
        )

    def ready_report(self) -> ReadyReport:
        """Return whether the pod is ready, and if not, where it stands."""
        is_loading = self.state in {PodState.STARTING, PodState.LOADING, PodState.WARMING}
        return ReadyReport(
            status=self.state.value,
            model=self.name,
            commit=self._served.card.commit if self._served else None,
            loading=self.progress.now() if is_loading else None,
        )

    def check_ready(self) -> None:
        """Return if the pod is ready.

        Raises:
            ModelLoading, Draining: it is not.
        """
        if self.state in {PodState.DRAINING, PodState.STOPPED}:
            raise Draining("this pod is draining; another one takes the request")
        self._check_loaded()

    @property
    def is_alive(self) -> bool:
        """Whether the process need not be replaced."""
        return self.state is not PodState.FAILED

    @property
    def engine(self) -> Engine | None:
        """The engine, once there is one."""
        return self._served.engine if self._served else None

    @property
    def profile(self) -> EngineProfile:
        """What the engine has spent its time on."""
        return self._served.engine.profile if self._served else EngineProfile()

    async def bring_up(self, environ: Mapping[str, str]) -> None:
        """Load, warm up, become ready; on failure end the process with its own status."""
        self.tell(LifecycleEvent.LISTENING)
        try:
            asked = served_model.source(self.settings, environ)
            loaded = await asyncio.to_thread(self.load, asked, self.progress)
            self.tell(LifecycleEvent.LOADED)
            self.progress.begin("warming")
            self._served = served_model.start_engine(loaded, self.settings)
            await served_model.warm_up(self._served)
        except (CannotLoad, PermissionError) as error:
            logs.get().error("model.not_loaded", reason=str(error))
            self.fail(LifecycleEvent.LOAD_FAILED, exit_causes.from_load_error(error))
        except Exception as error:  # noqa: BLE001 - a bug, told in full, ends the process all the same
            logs.get().exception("model.not_loaded")
            self.fail(LifecycleEvent.LOAD_FAILED, exit_causes.from_load_error(error))
        else:
            self.progress.finish()
            self.tell(LifecycleEvent.WARM)
            logs.get().info(
                "model.ready",
                model=self._served.card.id,
                commit=loaded.commit,
                total_s=self.progress.now().elapsed_s,
            )

    def fault(self) -> ExitStatus | None:
        """Return what is wrong with the engine, if anything is."""
        engine = self._served.engine if self._served else None
        if engine is None:
            return None
        if engine.is_broken:
            return exit_causes.from_engine_error(engine.failure)
        return (
            ExitStatus.ENGINE_STALLED if engine.stalled_s > self.settings.stall_timeout_s else None
        )

    def fail(self, event: LifecycleEvent, status: ExitStatus) -> None:
        """Be dead to the liveness probe; the process ends with `status`."""
        self.exit_status = status
        self.tell(event)
        self._idle.set()
        logs.get().error("pod.failed", exit_status=int(status), reason=status.meaning)
        if event is LifecycleEvent.LOAD_FAILED:
            self.end()

    def end(self) -> None:
        """Let the process end as if it had been told to."""
        os.kill(os.getpid(), signal.SIGTERM)

    async def drain(self) -> None:
        """Be ready no more, then take nothing new; return when no request is open."""
        self.tell(LifecycleEvent.STOP_REQUESTED)
        try:
            await self._settle()
            while self.num_open and self.is_alive:
                self._idle.clear()
                await self._idle.wait()
        except asyncio.CancelledError:
            logs.get().warning("pod.cut", num_open=self.num_open)
            raise
        self.tell(LifecycleEvent.DRAINED)

    async def _settle(self) -> None:
        """Take work a while longer, for balancers that have not heard yet."""
        if self.state is PodState.DRAINING and self.settings.shutdown_delay_s:
            self._is_settling = True
            await asyncio.sleep(self.settings.shutdown_delay_s)
            self._is_settling = False

    def stop(self) -> None:
        """End the engine's thread and the workers; one that is stuck ends with the process."""
        if self._served is not None and self.exit_status is not ExitStatus.ENGINE_STALLED:
            self._served.engine.stop()
        self.decoders.stop()


def create(settings: Settings, load: Load = checkpoint.load) -> Pod:
    """Return a pod that has loaded nothing yet."""
    return Pod(
        settings=settings,
        load=load,
        decoders=DecoderPool(settings.audio_decode_workers, settings.audio_decode_timeout_s),
        held=MemoryBudget(settings.max_request_memory_bytes),
        fetcher=Fetcher(
            is_on=settings.fetch == "public",
            networks=settings.fetch_allowed_networks,
            deadline_s=settings.fetch_timeout_s,
            max_bytes=settings.max_body_bytes,
            slots=asyncio.Semaphore(settings.max_fetches),
            hosts=settings.fetch_allowed_hosts,
        ),
    )
