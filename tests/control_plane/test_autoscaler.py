"""Kubernetes' own HorizontalPodAutoscaler on the scale of a FlamingoDeployment.

The router is a process of ours, with the rights of the router pods; the external metric is what
it exports at that moment. A server pod is simulated: it gets an address of this machine, at which a
scripted pod answers. Loopback does not do, since no EndpointSlice may contain it.
"""

import contextlib
import json
import re
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from control_plane.api_access import account_access
from control_plane.autoscalers import autoscaler, external_metric
from control_plane.operators import Site, wait_until
from fakes import pods, processes
from fakes.own_address import own_address
from fakes.patience import PATIENCE_S
from fakes.pods import FakePod

from flamingo_operator.api.names import KIND
from flamingo_operator.api.pod_overlay import PORT

NUM_PLACES = 2
TARGET = {"apiVersion": "flamingo.dev/v1alpha1", "kind": KIND, "name": "music"}
HOLD_S = 120
QUESTION = {"messages": [{"role": "user", "content": "What key is this in?"}]}


def autoscaled(place: Site, metric: str, average: str, **spec: int) -> None:
    body = autoscaler(TARGET, external_metric(metric, average), **spec)
    place.kubectl("create", "-f", "-", body=body)


@contextlib.contextmanager
def router(place: Site, folder: Path) -> Iterator[str]:
    """Run a router of the fleet; yield its address."""
    access = account_access(place.cluster, folder, place.namespace, "music-router")
    flags = (
        f"--endpointslice={place.namespace}/music-servers:http",
        f"--kube-api={access.url}",
        f"--kube-token-file={access.token_file}",
        f"--kube-ca-file={access.ca_file}",
        f"--cold-start-hold-s={HOLD_S}",
    )
    with processes.service("flamingo_router", *flags, log=folder / "router.log") as running:
        yield running.address


def num_requests(address: str) -> float:
    """Return how many requests wait or run, as the router exports it."""
    with urllib.request.urlopen(f"{address}/metrics", timeout=PATIENCE_S) as response:
        text = response.read().decode()
    name = "flamingo_router_(?:queued_requests|requests_in_flight)"
    return sum(map(float, re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)))


def ask(address: str) -> int:
    """Send a request that waits for a server pod; return the status of the response."""
    request = urllib.request.Request(
        f"{address}/v1/chat/completions", json.dumps(QUESTION).encode()
    )
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=HOLD_S) as response:
        return response.status


def give_address(place: Site, address: str) -> None:
    """Give the server pod an address at which something answers."""
    wait_until(lambda: [pod for pod in place.pods() if pod["status"].get("podIP")], "it runs")
    status = {"podIP": address, "podIPs": [{"ip": address}]}
    patch = json.dumps({"status": status})
    name = place.pods()[0]["metadata"]["name"]
    place.kubectl("patch", "pod", name, "--subresource=status", "--type=merge", f"--patch={patch}")


def test_kubernetes_own_autoscaler_scales_the_fleet_by_a_metric(place, metrics_api):
    metrics_api.figures["flamingo_test_audio"] = lambda: 170
    place.create({"replicas": 1})
    autoscaled(place, "flamingo_test_audio", "60", minReplicas=1, maxReplicas=5)
    place.wait_complete(3)
    assert place.get("hpa", "music")["status"]["desiredReplicas"] == 3
    assert metrics_api.num_asked > 0


def test_it_removes_the_last_server_pod_and_a_held_request_brings_one_back(
    place, metrics_api, tmp_path
):
    place.create({"replicas": 1})
    place.wait_complete(1)
    with router(place, tmp_path) as url, ThreadPoolExecutor() as threads:
        metrics_api.figures["flamingo_test_requests"] = lambda: num_requests(url)
        autoscaled(place, "flamingo_test_requests", "4", minReplicas=0, maxReplicas=3)
        place.wait_complete(0)
        assert place.reason("Ready") == "ScaledToZero"

        response = threads.submit(ask, url)
        wait_until(place.pods, "the held request brings a server pod")
        with pods.served(server := FakePod(), own_address(), PORT):
            give_address(place, own_address())
            assert response.result() == 200
        assert [each.path for each in server.received] == ["/v1/chat/completions"]
        place.wait_complete(0)
        place.delete("hpa", "music")  # its metric ends with the router
