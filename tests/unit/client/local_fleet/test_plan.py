"""What `flamingo up` starts: the number of pods, their commands and environments."""

import dataclasses

import pytest

from flamingo.local_fleet import plan

LISTING = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaaa)
  MIG 1g.10gb     Device  0: (UUID: MIG-cccc)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-bbbb)
"""
OPTIONS = plan.FleetOptions(
    model="flamingo-tiny",
    num_pods=None,
    host="127.0.0.1",
    port=8000,
    log_level="warning",
    grace_period_s=10.0,
)


def fleet_options(**changes):
    return dataclasses.replace(OPTIONS, **changes)


@pytest.mark.parametrize(
    ("listing", "environ", "gpus"),
    [
        pytest.param(LISTING, {}, ("0", "1"), id="all installed"),
        pytest.param(LISTING, {"CUDA_VISIBLE_DEVICES": "1"}, ("1",), id="restricted"),
        pytest.param(LISTING, {"CUDA_VISIBLE_DEVICES": ""}, (), id="none allowed"),
        pytest.param("", {"CUDA_VISIBLE_DEVICES": "0"}, (), id="allowed but not installed"),
        pytest.param("No devices were found\n", {}, (), id="a driver without a GPU"),
    ],
)
def test_cuda_visible_devices_restricts_the_gpus(listing, environ, gpus):
    assert plan.visible_gpus(listing, environ) == gpus


@pytest.mark.parametrize(
    ("requested", "gpus", "num_pods"),
    [
        pytest.param(None, (), 2, id="no GPU"),
        pytest.param(None, ("0", "1", "2"), 3, id="one per GPU"),
        pytest.param(1, ("0", "1"), 1, id="as requested"),
    ],
)
def test_number_of_pods(requested, gpus, num_pods):
    hardware = plan.Hardware(gpus, num_cores=8)

    assert plan.num_pods(fleet_options(num_pods=requested), hardware) == num_pods


def test_pods_get_the_recipes_of_the_user():
    command = plan.pod_command(("pod",), fleet_options(recipes_dir="/recipes"), 7)
    assert command[-2:] == ("--recipes-dir", "/recipes")


def test_pod_command():
    options = fleet_options(model="nvidia/music-flamingo-2601-hf", grace_period_s=2.5)

    assert plan.pod_command(("pod",), options, 7) == (
        *("pod", "--fd", "7", "--stop-with-parent", "--grace-period-s", "2.5"),
        *("--model", "nvidia/music-flamingo-2601-hf"),
    )


def test_router_command_names_each_pod():
    ports = plan.FleetPorts(pods=[9001, 9002])
    command = plan.router_command(("router",), fleet_options(), 8, ports)

    assert command == (
        *("router", "--fd", "8", "--stop-with-parent", "--grace-period-s", "10"),
        *("--endpoint", "http://127.0.0.1:9001", "--endpoint", "http://127.0.0.1:9002"),
    )


def test_router_and_service_of_batches_name_each_other():
    ports = plan.FleetPorts(pods=[9001], batches=9002)
    router = plan.router_command(("router",), fleet_options(), 8, ports)
    options = fleet_options(batches_dir="/kept")
    batches = plan.batches_command(("batches",), options, 9, "http://127.0.0.1:8000")

    assert router[-2:] == ("--batches-url", "http://127.0.0.1:9002")
    assert batches == (
        *("batches", "--fd", "9", "--stop-with-parent", "--grace-period-s", "10"),
        *("--server-url", "http://127.0.0.1:8000"),
        *("--database-url", "sqlite:////kept/batches.db", "--contents-url", "/kept/contents"),
    )


@pytest.mark.parametrize(
    ("number", "gpus", "environ", "added"),
    [
        pytest.param(1, ("4", "6"), {}, {"CUDA_VISIBLE_DEVICES": "6"}, id="one GPU per pod"),
        pytest.param(2, ("4", "6"), {}, {"CUDA_VISIBLE_DEVICES": "4"}, id="GPUs round robin"),
        pytest.param(0, (), {}, {"OMP_NUM_THREADS": "5"}, id="a share of the cores"),
        pytest.param(0, (), {"OMP_NUM_THREADS": "1"}, {}, id="set by the user"),
    ],
)
def test_environment_of_a_pod(number, gpus, environ, added):
    hardware = plan.Hardware(gpus, num_cores=16)

    result = plan.pod_environ(number, 3, hardware, {"PATH": "/bin", **environ})

    assert result == {"PATH": "/bin", **environ, **added}


def test_with_more_pods_than_cores_each_gets_one_thread():
    environ = plan.pod_environ(0, 8, plan.Hardware((), num_cores=2), {})

    assert environ == {"OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://127.0.0.1:80"),
        ("::1", "http://[::1]:80"),
        ("music.example", "http://music.example:80"),
    ],
)
def test_listener_url_can_be_reached(host, url):
    assert plan.listener_url(host, 80) == url
