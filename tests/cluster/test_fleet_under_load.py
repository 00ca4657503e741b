"""A fleet that is scaled, upgraded, rolled back and hurt while it answers at both addresses."""

import asyncio
import os
import signal

import aiohttp
import pytest
from cluster import charts
from cluster.fleets import NAME, process_of
from cluster.nodes import NUM_GPUS
from cluster.outside import values
from cluster.streams import busy_with_streams
from cluster.traffic import asking_again
from control_plane.operators import wait_until

CHANGED = {"args": ["--max-concurrent-answers=64"]}


@pytest.fixture(scope="module")
def clip(clips):
    return clips["drums.wav"]


@pytest.fixture(scope="module")
def fleet(outside):
    return outside.fleet


def scale(fleet, num):
    fleet.kubectl("scale", "fd", NAME, f"--replicas={num}")


def assert_all_answered(asked):
    assert asked.failures == []
    assert all(num > 0 for num in asked.num_answered.values())


def test_the_plugin_says_how_the_fleet_does(fleet):
    assert "audio/music: Ready (AllReady)" in fleet.plugin("status", NAME)
    rows = {row.split()[0]: row.split() for row in fleet.plugin("top", NAME).splitlines()}
    for name in fleet.names():
        assert rows[name.removeprefix(f"{NAME}-")][1:3] == ["ready", "H200"]
    assert "pod.state_changed before=warming state=ready" in fleet.plugin("logs", NAME)


def test_only_servers_carry_torch(fleet):
    look = "import importlib.util; print(importlib.util.find_spec('torch') is not None)"

    def carries_torch(namespace, workload):
        where = ("-n", namespace, "exec", workload, "--", "python", "-c", look)
        return fleet.cluster.output(*where).strip() == "True"

    assert carries_torch(fleet.namespace, next(iter(fleet.names())))
    assert not carries_torch(fleet.namespace, f"deployment/{NAME}-router")
    assert not carries_torch(charts.HOME, f"deployment/{charts.NAME}")


def test_more_servers_come_without_a_failed_request(outside, fleet, clip):
    with outside.traffic(clip) as asked:
        scale(fleet, NUM_GPUS)
        fleet.wait_complete(NUM_GPUS)
    assert_all_answered(asked)


def test_an_upgrade_without_a_free_gpu_fails_no_request(outside, fleet, clip):
    before, given = fleet.names(), values()
    given["server"] |= CHANGED
    with outside.traffic(clip) as asked:
        charts.upgrade_fleet(fleet.cluster, NAME, fleet.namespace, given)
    assert_all_answered(asked)
    assert fleet.is_complete(NUM_GPUS), "Helm waits for the last server"
    assert not fleet.names().keys() & before.keys()


def test_a_rollback_with_a_free_gpu_fails_no_request(outside, fleet, clip):
    scale(fleet, 2)
    fleet.wait_complete(2)
    before = fleet.names()
    with outside.traffic(clip) as asked:
        charts.rollback(fleet.cluster, NAME, fleet.namespace)
    assert_all_answered(asked)
    assert fleet.is_complete(2)
    assert not fleet.names().keys() & before.keys()
    servers = [pod["spec"]["containers"][0] for pod in fleet.pods()]
    assert all(CHANGED["args"][0] not in server["args"] for server in servers)


def test_a_server_that_is_killed_costs_no_request_and_comes_back(outside, fleet, clip):
    victim = fleet.pods()[0]
    with outside.traffic(clip) as asked:
        os.kill(process_of(victim), signal.SIGKILL)
        wait_until(lambda: fleet.reason("Ready") == "PartiallyReady", "it is told")
        wait_until(lambda: fleet.is_complete(2), "the server is back")
    assert_all_answered(asked)
    back = fleet.get("pod", victim["metadata"]["name"])["status"]["containerStatuses"][0]
    assert back["restartCount"] == 1
    assert back["lastState"]["terminated"]["exitCode"] == 128 + signal.SIGKILL


def test_a_router_that_is_killed_fails_no_caller_that_asks_again(fleet, clip):
    victim, *others = fleet.routers()
    assert others
    with asking_again(fleet.cluster, fleet.address, clip) as asked:
        os.kill(process_of(victim), signal.SIGKILL)
        wait_until(lambda: fleet.num_restarts(victim) == 1, "it is started again")
        wait_until(lambda: fleet.num_ready_routers() == 2, "it is ready")
    assert_all_answered(asked)


def test_a_server_that_leaves_finishes_what_it_streams_and_goes_when_it_is_empty(fleet):
    before = fleet.names()

    async def scenario():
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
            streams = await busy_with_streams(fleet, session, tasks)
            await asyncio.to_thread(scale, fleet, 1)
            draining = await asyncio.to_thread(
                wait_until, lambda: fleet.status().get("draining"), "a server drains"
            )
            were_all_running = not any(stream.done() for stream in streams)
        return draining, were_all_running, [stream.result() for stream in streams]

    draining, were_all_running, ends = fleet.cluster.inside(lambda: asyncio.run(scenario()))
    assert were_all_running
    assert set(ends) == {"length"}
    (leaving,) = draining
    wait_until(lambda: leaving["pod"] not in fleet.names(), "it goes", within_s=20)
    assert fleet.names().items() < before.items()
    fleet.wait_complete(1)
