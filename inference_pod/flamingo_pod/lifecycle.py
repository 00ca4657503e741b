"""The states of a pod, and the transitions between them.

How it works: every transition is an entry of TRANSITIONS, and no other code decides one. Signals,
the loader and the watchdog report events; only this table turns them into states.

Pure.
"""

from collections.abc import Mapping
from enum import Enum


class PodState(Enum):
    """A pod's state; the values are those of `/health` and of the load report."""

    STARTING = "starting"
    LOADING = "loading"
    WARMING = "warming"
    READY = "ready"
    DRAINING = "draining"
    STOPPED = "stopped"
    FAILED = "failed"


class LifecycleEvent(Enum):
    """Something that happened to the pod."""

    LISTENING = "listening"
    LOADED = "loaded"
    WARM = "warm"
    LOAD_FAILED = "load_failed"
    ENGINE_FAILED = "engine_failed"
    STOP_REQUESTED = "stop_requested"
    DRAINED = "drained"


TRANSITIONS: Mapping[PodState, Mapping[LifecycleEvent, PodState]] = {
    PodState.STARTING: {
        LifecycleEvent.LISTENING: PodState.LOADING,
        LifecycleEvent.STOP_REQUESTED: PodState.STOPPED,
    },
    PodState.LOADING: {
        LifecycleEvent.LOADED: PodState.WARMING,
        LifecycleEvent.LOAD_FAILED: PodState.FAILED,
        LifecycleEvent.STOP_REQUESTED: PodState.STOPPED,
    },
    # The warm-up clip goes through the whole engine: a pod is ready once it has answered it, not
    # once the weights are in memory.
    PodState.WARMING: {
        LifecycleEvent.WARM: PodState.READY,
        LifecycleEvent.LOAD_FAILED: PodState.FAILED,
        LifecycleEvent.ENGINE_FAILED: PodState.FAILED,
        LifecycleEvent.STOP_REQUESTED: PodState.STOPPED,
    },
    PodState.READY: {
        LifecycleEvent.STOP_REQUESTED: PodState.DRAINING,
        LifecycleEvent.ENGINE_FAILED: PodState.FAILED,
    },
    PodState.DRAINING: {
        LifecycleEvent.DRAINED: PodState.STOPPED,
        LifecycleEvent.ENGINE_FAILED: PodState.FAILED,
    },
    PodState.STOPPED: {},
    PodState.FAILED: {},
}


def next_state(state: PodState, event: LifecycleEvent) -> PodState:
    """Return the state after `event`; an event without an entry changes nothing."""
    return TRANSITIONS[state].get(event, state)
