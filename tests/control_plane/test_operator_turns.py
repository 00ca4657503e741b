"""Leader election among several operators."""

import signal

import pytest
from control_plane.operators import wait_until
from fakes.patience import PATIENCE_S

from flamingo_operator import lease

ELECTING = "--lease-duration-s=6"
"""Short, for others wait until it is over; long, for a busy machine must not lose it."""


@pytest.fixture(scope="module")
def control_plane(any_control_plane):
    return any_control_plane


def test_leadership_moves_and_a_leader_that_was_stopped_too_long_exits(here):
    first = here.start(ELECTING)
    wait_until(first.is_leading, "the first leads")
    second = here.start(ELECTING)
    wait_until(lambda: second.get("/health/ready")[0] == 200, "the second waits")
    here.create({"replicas": 1})
    here.wait_complete(1)
    assert second.metric("flamingo_operator_leader") == 0
    first.process.send_signal(signal.SIGSTOP)
    here.change({"replicas": 2})
    here.wait_complete(2)
    assert second.is_leading()
    first.process.send_signal(signal.SIGCONT)
    assert first.process.wait(PATIENCE_S) == 1
    assert "lease.lost" in first.log.read_text()
    assert here.is_complete(2)
    third = here.start("--lease-duration-s=30")
    wait_until(lambda: third.get("/health/ready")[0] == 200, "the third waits")
    assert second.stop() == 0
    assert here.get("leases", lease.NAME)["spec"]["holderIdentity"] != "replica-1", "released"
    wait_until(third.is_leading, "the third leads")
