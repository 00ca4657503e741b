"""The forecasts of paused deployments, computed beside the event loop."""

import asyncio
import threading
from dataclasses import replace

from fakes.clusters import Cluster
from fakes.patience import PATIENCE_S

from flamingo_operator.plans import PlanInputs, Plans

KEY = "default/music"


class Waiting(dict):
    """Loads that can be read once the event loop has done something else."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go = threading.Event()
        self.num_read = 0

    def items(self):
        self.num_read += 1
        assert self.may_go.wait(PATIENCE_S), "the forecast holds up the event loop"
        return super().items()


def inputs_of(cluster, **changed):
    observed = replace(cluster.observed, **changed)
    return PlanInputs(
        cluster.deployment, observed, cluster.release, cluster.decide(), cluster.now_s
    )


def test_the_event_loop_goes_on_while_a_forecast_is_computed():
    loads = Waiting()

    async def plan():
        asyncio.get_running_loop().call_soon(loads.may_go.set)
        return await Plans().forecast(KEY, inputs_of(Cluster.of({"replicas": 2}), loads=loads))

    assert asyncio.run(plan()).num_created == 2


def test_a_forecast_is_computed_again_only_if_it_may_differ():
    cluster, loads, plans = Cluster.of({"replicas": 2}), Waiting(), Plans()
    loads.may_go.set()

    def plan():
        return asyncio.run(plans.forecast(KEY, inputs_of(cluster, loads=loads)))

    first = plan()
    assert plan() is first
    assert loads.num_read == 1
    cluster.change(replicas=3)
    assert plan().num_created == 3
    plans.forget(KEY)
    plan()
    assert loads.num_read == 3
