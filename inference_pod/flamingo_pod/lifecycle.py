"""What a pod is doing, and what it may do next.

Rule 1: every transition is a row of NEXT; no other code decides one.
Rule 2: this file does not know why a transition happens. Signals and the loader
        report events; the table alone turns them into states.

Pure.
"""

from collections.abc import Mapping
from enum import Enum


class State(Enum):
    """The values are what `/health` and the load report say."""

    STARTING = "starting"
    LOADING = "loading"
    WARMING = "warming"
    READY = "ready"
    DRAINING = "draining"
    STOPPED = "stopped"
    FAILED = "failed"


class Event(Enum):
    """What happened to the pod."""

    LISTENING = "listening"
    LOADED = "loaded"
    WARM = "warm"
    LOAD_FAILED = "load_failed"
    FAULT = "fault"
    TOLD_TO_STOP = "told_to_stop"
    EMPTY = "empty"


NEXT: Mapping[State, Mapping[Event, State]] = {
    State.STARTING: {Event.LISTENING: State.LOADING, Event.TOLD_TO_STOP: State.STOPPED},
    State.LOADING: {
        Event.LOADED: State.WARMING,
        Event.LOAD_FAILED: State.FAILED,
        Event.TOLD_TO_STOP: State.STOPPED,
    },
    # The warm-up clip goes the whole way of a request: an answer to it is what
    # makes a pod ready, not weights in memory.
    State.WARMING: {
        Event.WARM: State.READY,
        Event.LOAD_FAILED: State.FAILED,
        Event.FAULT: State.FAILED,
        Event.TOLD_TO_STOP: State.STOPPED,
    },
    State.READY: {Event.TOLD_TO_STOP: State.DRAINING, Event.FAULT: State.FAILED},
    State.DRAINING: {Event.EMPTY: State.STOPPED, Event.FAULT: State.FAILED},
    State.STOPPED: {},
    State.FAILED: {},
}


def after(state: State, event: Event) -> State:
    """Return the state that follows; an event with no row changes nothing."""
    return NEXT[state].get(event, state)
