"""Admission control: counts the requests in flight, and admits more within the pod's limits.

How it works: a request is counted from its admission to its last byte, whatever it waits for: its
body, the decoder, the engine. The number of its choices is known only after its body is read, and
checked then. The seconds of work come from the engine's own prediction. A rejected request gets a
Retry-After of about the time in which the excess will be done.
"""

import asyncio
import contextlib
from collections.abc import Iterator

from flamingo_pod import admission_policy
from flamingo_pod.admission_policy import AdmissionLimits, PodLoad
from flamingo_pod.caller import Caller
from flamingo_pod.engine.costs.load import EngineLoad


class Admission:
    """The requests in flight in one pod."""

    def __init__(self, limits: AdmissionLimits) -> None:
        self._limits = limits
        self._num_requests = 0
        self._num_low_requests = 0
        self._has_failed = False
        self._may_be_idle = asyncio.Event()

    @property
    def num_requests(self) -> int:
        """Requests in flight."""
        return self._num_requests

    def num_answers(self, engine_load: EngineLoad) -> int:
        """Return how many answers are in flight: each choice of a request is one."""
        return self._num_requests + engine_load.num_extra_choices

    def num_low_answers(self, engine_load: EngineLoad) -> int:
        """Return how many of them have low priority."""
        return self._num_low_requests + engine_load.num_extra_low_choices

    @contextlib.contextmanager
    def admit(self, engine_load: EngineLoad, caller: Caller) -> Iterator[None]:
        """Count one request as in flight for the duration of the block.

        Raises:
            Overloaded: the pod is at capacity.
            DeadlineExceeded: the work queued ahead takes longer than the caller's deadline.
        """
        is_low = caller.priority.is_low
        rejection = admission_policy.request_rejection(
            self._limits.for_low() if is_low else self._limits,
            self._load(engine_load, only_live=not is_low),
            until_deadline_s=caller.until_deadline_s,
        )
        if rejection is not None:
            raise rejection
        self._num_requests += 1
        self._num_low_requests += is_low
        try:
            yield
        finally:
            self._num_requests -= 1
            self._num_low_requests -= is_low
            if not self._num_requests:
                self._may_be_idle.set()

    def check_choices(self, engine_load: EngineLoad, num_choices: int) -> None:
        """Check that an admitted request may have `num_choices`.

        Raises:
            Overloaded: with them the pod would exceed its limit.
        """
        load = self._load(engine_load)
        rejection = admission_policy.choices_rejection(self._limits, load, num_choices)
        if rejection is not None:
            raise rejection

    async def wait_until_idle(self) -> None:
        """Return once no request is in flight, or once `stop_waiting` is called."""
        while self._num_requests and not self._has_failed:
            self._may_be_idle.clear()
            await self._may_be_idle.wait()

    def stop_waiting(self) -> None:
        """End `wait_until_idle`: the pod has failed and cannot finish its requests."""
        self._has_failed = True
        self._may_be_idle.set()

    def _load(self, engine_load: EngineLoad, *, only_live: bool = False) -> PodLoad:
        """Return the load; `only_live` is without work that a live request overtakes."""
        overtaken_s = engine_load.low_backlog_s if only_live else 0.0
        return PodLoad(self.num_answers(engine_load), engine_load.backlog_s - overtaken_s)
