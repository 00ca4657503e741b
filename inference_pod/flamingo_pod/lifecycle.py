"""What a pod is doing, and what it may do next.

Rule 1: every transition is a row of NEXT; no other code decides one.
Rule 2: this file does not know why a transition happens. Signals and the loader
        report events; the table alone turns them into states.

Pure.
"""

from collections.abc import Mapping
from enum import Enum


class PodState(Enum):
    """The values are what `/health` and the load report say."""

    STARTING = "starting"
    LOADING = "loading"
    WARMING = "warming"
    READY = "ready"
    DRAINING = "draining"
    STOPPED = "stopped"
    FAILED = "failed"


class LifecycleEvent(Enum):
    """What happened to the pod."""

    LISTENING = "listening"
    LOADED = "loaded"
    WARM = "warm"
    LOAD_FAILED = "load_failed"
    FAULT = "fault"
    STOP_REQUESTED = "stop_requested"
    DRAINED = "drained"


NEXT: Mapping[PodState, Mapping[LifecycleEvent, PodState]] = {
    PodState.STARTING: {
        LifecycleEvent.LISTENING: PodState.LOADING,
        LifecycleEvent.STOP_REQUESTED: PodState.STOPPED,
    },
    PodState.LOADING: {
        LifecycleEvent.LOADED: PodState.WARMING,
        LifecycleEvent.LOAD_FAILED: PodState.FAILED,
        LifecycleEvent.STOP_REQUESTED: PodState.STOPPED,
    },
    # The warm-up clip goes the whole way of a request: an answer to it is what
    # makes a pod ready, not weights in memory.
    PodState.WARMING: {
        LifecycleEvent.WARM: PodState.READY,
        LifecycleEvent.LOAD_FAILED: PodState.FAILED,
        LifecycleEvent.FAULT: PodState.FAILED,
        LifecycleEvent.STOP_REQUESTED: PodState.STOPPED,
    },
    PodState.READY: {
        LifecycleEvent.STOP_REQUESTED: PodState.DRAINING,
        LifecycleEvent.FAULT: PodState.FAILED,
    },
    PodState.DRAINING: {
        LifecycleEvent.DRAINED: PodState.STOPPED,
        LifecycleEvent.FAULT: PodState.FAILED,
    },
    PodState.STOPPED: {},
    PodState.FAILED: {},
}


def next_state(state: PodState, event: LifecycleEvent) -> PodState:
    """Return the state that follows; an event with no row changes nothing."""
    return NEXT[state].get(event, state)
