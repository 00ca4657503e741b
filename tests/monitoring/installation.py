"""A whole installation as Prometheus sees it: fleets, their pods, and the operator.

The API server, the scheduler and the operator are real, and so are the router and the server
pods of the fleet `music`, which answer requests. Only the kubelet is simulated: it reports pods as
ready, and their addresses are changed to those where the processes listen. A second fleet,
`blocked`, cannot come up. The monitors are those that the operator and its chart make.
"""

import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from control_plane.deployments import deployment
from control_plane.operators import BASE, Operator, Site, site, wait_until
from fakes import processes
from fakes.processes import Service
from monitoring import scrape_configs
from monitoring.scrape_configs import Target

from flamingo_operator.api import names, spec
from flamingo_operator.api.names import COMPONENT_LABEL, DRAIN_ANNOTATION
from flamingo_operator.manifests import common, pod_monitor

NAMESPACE = "audio"
FLEET, BLOCKED = "music", "blocked"
NUM_SERVERS = 2
PORT = 8000
SPEC = {
    **BASE,
    "router": {"replicas": 1},
    "server": {"podMetadata": {"annotations": {"ready.simulated/delay": "2s"}}},
    "scaling": {"mode": "Internal", "minReplicas": NUM_SERVERS + 1, "maxReplicas": 6},
    "cost": {"gpuPerHour": "1.90", "currency": "EUR"},
}
OFTEN = ("--router-poll-interval-s=0.5",)


@dataclass
class Stack:
    """What runs."""

    here: Site
    operator: Operator
    router: Service
    batches: Service
    servers: list[Service]
    targets: list[Target]

    def scrape_config(self, service_monitor: dict[str, Any]) -> dict[str, Any]:
        """Return Prometheus' configuration for the fleet and the operator."""
        body = deployment(SPEC, name=FLEET)
        body["metadata"]["namespace"] = NAMESPACE
        (monitor,) = common.without_empty(pod_monitor.pod_monitors(spec.parse(body)))
        address = self.operator.url.removeprefix("http://")
        operator = Target(address, "flamingo-system", "operator-0", "operator", service="operator")
        return scrape_configs.config(
            scrape_configs.of_pod_monitor(monitor, self.targets),
            scrape_configs.of_service_monitor(service_monitor, [operator]),
        )

    def drain_one(self) -> None:
        """Have a pod without a process drained and replaced."""
        used = {target.pod for target in self.targets}
        spare = next(
            pod["metadata"]["name"]
            for pod in self.here.pods()
            if pod["metadata"]["name"] not in used and "music" in pod["metadata"]["name"]
        )
        patch = {"metadata": {"annotations": {DRAIN_ANNOTATION: "true"}}}
        self.here.patch("pod", spare, patch)


@contextlib.contextmanager
def running(cluster: Any, folder: Path) -> Iterator[Stack]:
    """Run everything, until the fleet is complete."""
    with contextlib.ExitStack() as stack:
        here = stack.enter_context(site(cluster, NAMESPACE, folder))
        operator = here.start(*OFTEN)
        _block(here)
        here.create(SPEC, name=FLEET)
        servers = [
            stack.enter_context(_process("flamingo_pod", folder, number, "--model=flamingo-tiny"))
            for number in range(NUM_SERVERS)
        ]
        broken = stack.enter_context(
            processes.fake_pod(folder / "broken", model="flamingo-tiny", aborts_unanswered=True)
        )
        flags = [f"--endpoint={one.address}" for one in (*servers, broken)]
        router = stack.enter_context(_process("flamingo_router", folder, 0, *flags))
        for one in servers:
            processes.wait_until_ready(one)
        wait_until(lambda: _num_ready(router) > NUM_SERVERS, "the router knows all servers")
        batches = stack.enter_context(_batches(folder, router))
        processes.wait_until_ready(batches)
        targets = [
            *_placed(here, "router", [router]),
            *_placed(here, "server", servers),
            _batches_target(batches),
        ]
        here.wait_complete(NUM_SERVERS + 1)
        yield Stack(here, operator, router, batches, servers, targets)


def _num_ready(router: Service) -> int:
    """Return how many servers a router sends requests to."""
    try:
        with urllib.request.urlopen(f"{router.address}/health/ready", timeout=30) as answer:
            return json.load(answer)["ready"]
    except urllib.error.HTTPError:  # none
        return 0


def _block(here: Site) -> None:
    """Create a fleet whose server pods are rejected and whose Service has another owner."""
    port = {"name": "http", "port": 80}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": BLOCKED}}
    here.kubectl("create", "-f", "-", body=service | {"spec": {"ports": [port]}})
    here.create({"server": {"priorityClassName": "missing"}, "replicas": 1}, name=BLOCKED)


def _process(
    package: str, folder: Path, number: int, *flags: str
) -> contextlib.AbstractContextManager[Service]:
    """Start a process that listens, as in a pod, on port 8000 of an address of its own."""
    log = folder / f"{package}-{number}"
    listens_on = (processes.loopback_host(), PORT)
    return processes.service(package, *flags, log=log, listens_on=listens_on)


def _batches(folder: Path, router: Service) -> contextlib.AbstractContextManager[Service]:
    """Start the service of batches, before the router."""
    flags = {
        "server-url": router.address,
        "database-url": f"sqlite:///{folder}/batches.db",
        "contents-url": f"{folder}/contents",
    }
    given = [f"--{name}={value}" for name, value in flags.items()]
    return _process("flamingo_batches", folder, 0, *given)


def _batches_target(running: Service) -> Target:
    """Return what Prometheus scrapes of the service of batches: no pod stands for it here."""
    labels = names.labels(FLEET, "batches")
    return Target(
        _host(running) + f":{PORT}", NAMESPACE, "music-batches-0", "batches", labels=labels
    )


def _placed(here: Site, component: str, running: list[Service]) -> Iterator[Target]:
    """Give pods of the fleet the addresses of processes, and yield what Prometheus scrapes."""
    pods = wait_until(lambda: _ready(here, component, len(running)), f"{component} pods")
    for pod, one in zip(pods, running, strict=False):
        host = _host(one)
        patch = {"status": {"podIP": host, "podIPs": [{"ip": host}]}}
        name = pod["metadata"]["name"]
        args = ("pod", name, "--subresource=status", "--type=merge", f"--patch={json.dumps(patch)}")
        here.kubectl("patch", *args)
        yield Target(f"{host}:{PORT}", NAMESPACE, name, component, labels=pod["metadata"]["labels"])


def _host(running: Service) -> str:
    return running.address.removeprefix("http://").partition(":")[0]


def _ready(here: Site, component: str, num: int) -> list[dict[str, Any]]:
    selector = f"flamingo.dev/deployment={FLEET},{COMPONENT_LABEL}={component}"
    found = json.loads(here.kubectl("get", "pods", "-l", selector, "-o", "json"))["items"]
    ready = [
        pod
        for pod in found
        if any(
            one["type"] == "Ready" and one["status"] == "True"
            for one in pod["status"].get("conditions", ())
        )
    ]
    return ready if len(ready) >= num else []
