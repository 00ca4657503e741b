"""Live requests beside batches, simulated: the engine's scheduler, and the router's balancer.

The seconds are those of the simulations' clocks, so no machine matters.
"""

import pytest
from bench.flood_sim import CALM, of, serve, traffic
from bench.priority_sim import DEVICES, batch_alone, simulate

from flamingo_common.wire.priority import Priority


@pytest.mark.parametrize("name", DEVICES)
def test_a_live_request_beside_a_batch_takes_little_longer_than_alone(name):
    alone, low = (
        simulate(DEVICES[name], num_batch=number, is_low=True, num_live=30) for number in (0, 32)
    )
    assert low.p50_s <= 1.3 * alone.p50_s
    assert low.batch_per_s > 0


def test_without_its_priority_a_batch_is_in_the_way():
    device = DEVICES["CPU, tiny model"]
    alone = simulate(device, num_batch=0, is_low=False, num_live=10)
    normal = simulate(device, num_batch=32, is_low=False, num_live=10)
    assert normal.p50_s > 5 * alone.p50_s


@pytest.mark.parametrize("name", DEVICES)
def test_a_batch_that_is_alone_is_as_fast_with_low_priority(name):
    low, normal = (
        batch_alone(DEVICES[name], num_batch=32, is_low=is_low, seconds=20)
        for is_low in (True, False)
    )
    assert low >= 0.97 * normal > 0


def test_steady_live_load_leaves_a_batch_its_share():
    device = DEVICES["24 GB GPU"]
    steady = simulate(device, num_batch=32, is_low=True, num_live=40, pause_s=1e-6)
    alone_per_s = batch_alone(device, num_batch=32, is_low=True, seconds=20)
    assert steady.batch_per_s >= 0.08 * alone_per_s


def test_the_router_keeps_a_batch_out_of_the_way_of_its_own_tenant():
    until_s, since_s = 60.0, 20.0
    calm, batch = (
        (lambda: traffic(CALM, 0.5, until_s, 1)),
        traffic(CALM, 30.0, until_s, 2, Priority.LOW),
    )
    alone = of(serve(calm()), CALM, since_s)
    world = serve([*calm(), *batch])
    beside, low = of(world, CALM, since_s), of(world, CALM, since_s, Priority.LOW)

    assert beside.num_refused == 0
    # The prefill of a window that has begun is finished before: 0.15 s in this simulation.
    assert beside.p50_s <= alone.p50_s + 0.25
    assert beside.done_p50_s <= 1.35 * alone.done_p50_s
    assert low.num - low.num_refused > 6 * (until_s - since_s)  # the pods stay busy
