"""The pod's states, and the transitions between them."""

from flamingo_pod import lifecycle
from flamingo_pod.lifecycle import LifecycleEvent, PodState


def test_every_state_has_its_transitions_and_the_last_ones_none():
    assert set(lifecycle.TRANSITIONS) == set(PodState)
    for state in (PodState.STOPPED, PodState.FAILED):
        assert all(lifecycle.next_state(state, event) is state for event in LifecycleEvent)


def test_a_pod_lives_from_starting_to_stopped():
    state = PodState.STARTING
    for event in (
        LifecycleEvent.LISTENING,
        LifecycleEvent.LOADED,
        LifecycleEvent.WARM,
        LifecycleEvent.STOP_REQUESTED,
        LifecycleEvent.DRAINED,
    ):
        state = lifecycle.next_state(state, event)
    assert state is PodState.STOPPED


def test_weights_alone_do_not_make_a_pod_ready():
    assert lifecycle.next_state(PodState.LOADING, LifecycleEvent.LOADED) is PodState.WARMING
    assert lifecycle.next_state(PodState.LOADING, LifecycleEvent.WARM) is PodState.LOADING
