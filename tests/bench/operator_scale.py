"""Measure the operator with ten thousand pods: startup, memory, writes at rest and latency.

    FLAMINGO_KUBE=DIR python tests/bench/operator_scale.py [--resources 1000] [--pods 10]

Starts a control plane with simulated nodes, lets the operator create everything, and
then measures a new operator: the time until it has reconciled every deployment, its memory,
its writes and CPU at rest, and the time from a changed spec to the pod that it creates.
"""

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from kubernetes.aio import client

from flamingo_operator import crd
from flamingo_operator.cluster import kinds
from flamingo_operator.cluster.kube import MERGE, KubeClient, _Request, load_configuration

REST_S = 30.0
QUIET_S = 10.0
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
RECONCILES = "flamingo_operator_reconcile_seconds_count"


class Process:
    """An operator process and its metrics."""

    def __init__(self, kubeconfig: Path, log: Path) -> None:
        self.log = log
        self.began_s = time.monotonic()
        command = [sys.executable, "-P", "-m", "flamingo_operator", f"--kubeconfig={kubeconfig}"]
        command += ["--port=0", "--no-leader-election", "--log-level=info"]
        with log.open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out)
        self.url = ""

    def metric(self, name: str) -> float:
        return sum(self.samples(name))

    def samples(self, name: str, labels: str = "") -> list[float]:
        """Return a metric's values; only it is requested, because all metrics are megabytes."""
        if not self.url:
            found = re.search(r'"port": (\d+), "event": "service.listening"', self.log.read_text())
            self.url = f"http://127.0.0.1:{found[1]}/metrics" if found else ""
        if not self.url:
            return []
        text = urllib.request.urlopen(f"{self.url}?name[]={name}", timeout=30).read().decode()
        found = re.findall(rf"^{name}(?:\{{.*{labels}.*\}})? (\S+)$", text, re.MULTILINE)
        return [float(one) for one in found]

    def rss_mb(self) -> float:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * PAGE_BYTES / 1e6

    def peak_mb(self) -> float:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", text)[1]) / 1e3

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


async def fill(kube: KubeClient, num_resources: int, num_pods: int) -> None:
    room = asyncio.Semaphore(24)

    async def create(number: int) -> None:
        async with room:
            await kube.create(kinds.RESOURCE, resource(number, num_pods))

    await asyncio.gather(*(create(number) for number in range(num_resources)))


def resource(number: int, num_pods: int) -> dict:
    scaling = {"scaleUp": {"maxPending": 100}}
    return {
        "apiVersion": kinds.RESOURCE.version,
        "kind": kinds.RESOURCE.name,
        "metadata": {"name": f"fd-{number}", "namespace": "default"},
        "spec": {
            "model": {"id": "flamingo-tiny"},
            "replicas": num_pods,
            "scaling": scaling,
            "rollout": {"minReadySeconds": 0},
            # Pods that stay unscheduled: the benchmark is about the operator, not about kubelets.
            "server": {"nodeSelector": {"bench": "none"}},
            "router": {"enabled": False},
        },
    }


async def until(holds: Callable[[], bool], what: str, within_s: float) -> None:
    deadline_s = time.monotonic() + within_s
    while not await asyncio.to_thread(holds):
        if time.monotonic() > deadline_s:
            raise SystemExit(f"not within {within_s:.0f} s: {what}")
        await asyncio.sleep(0.1)


async def latencies_ms(
    kube: KubeClient, num: int, num_pods: int
) -> tuple[list[float], list[float]]:
    """Return, for some deployments, the time from one more replica to its pod.

    The second list is the same with the benchmark in the operator's place: what the API
    server alone takes on this machine.
    """
    ours, bare = [], []
    for number in range(num):
        ours.append(await change_ms(kube, number, {"spec": {"replicas": num_pods + 1}}, None))
        note = {"metadata": {"annotations": {"bench": str(number)}}}
        bare.append(await change_ms(kube, number, note, pod(number)))
    return sorted(ours), sorted(bare)


def pod(number: int) -> dict:
    labels = {"flamingo.dev/deployment": f"fd-{number}", "bench": "bare"}
    containers = [{"name": "server", "image": "x:1"}]
    return {
        "metadata": {"name": f"bare-{number}", "namespace": "default", "labels": labels},
        "spec": {"containers": containers, "nodeSelector": {"bench": "none"}},
    }


async def change_ms(kube: KubeClient, number: int, patch: dict, made: dict | None) -> float:
    selector = f"flamingo.dev/deployment=fd-{number}" + (",bench=bare" if made else ",!bench")
    page = await kube.get(kinds.POD.path("default"), {"limit": "1"})
    query = {
        "watch": "1",
        "labelSelector": selector,
        "resourceVersion": page["metadata"]["resourceVersion"],
    }
    async with kube.lines(kinds.POD.path("default"), query, read_timeout_s=30) as lines:
        path = kinds.RESOURCE.path("default", f"fd-{number}")
        began_s = time.perf_counter()
        await kube._write(_Request("PATCH", path, {}, patch, MERGE))
        if made:
            await kube.create(kinds.POD, made)
        async for line in lines:
            if json.loads(line)["type"] == "ADDED":
                break
    return (time.perf_counter() - began_s) * 1000


async def bench(folder: Path, args: argparse.Namespace) -> None:
    configuration: client.Configuration = await load_configuration(str(folder / "k/kubeconfig"))
    kube = KubeClient(configuration)
    manifest = crd.manifest()
    crds = kinds.Kind(manifest["kind"], manifest["apiVersion"], "customresourcedefinitions")
    await kube.apply(crds, manifest)
    await asyncio.sleep(2)  # until the kind is served
    total = args.resources * args.pods
    began_s = time.monotonic()
    first = Process(folder / "k/kubeconfig", folder / "first.log")
    await fill(kube, args.resources, args.pods)
    await until(lambda: num_created(first) >= total, f"{total} pods", 900)
    print(f"{args.resources} resources, {total} pods created in {time.monotonic() - began_s:.0f} s")
    await at_rest(first)
    first.stop()
    second = Process(folder / "k/kubeconfig", folder / "second.log")
    await until(lambda: second.metric(RECONCILES) >= args.resources, "all reconciled", 120)
    print(
        f"start: all reconciled after {time.monotonic() - second.began_s:.1f} s,"
        f" {second.cpu_s():.1f} CPU-s, {second.rss_mb():.0f} MB (peak {second.peak_mb():.0f})"
    )
    await asyncio.sleep(3)
    writes, cpu_s = second.metric("flamingo_operator_api_writes_total"), second.cpu_s()
    await asyncio.sleep(REST_S)
    print(
        f"rest: {second.metric('flamingo_operator_api_writes_total') - writes:.0f} writes"
        f" ({writes:.0f} since the start),"
        f" {100 * (second.cpu_s() - cpu_s) / REST_S:.1f} % of a core, {second.rss_mb():.0f} MB"
    )
    ours, bare = await latencies_ms(kube, min(args.resources, args.changes), args.pods)
    for name, found in (("change -> pod", ours), ("API server alone", bare)):
        print(
            f"{name}: p50 {found[len(found) // 2]:.1f} ms,"
            f" p99 {found[int(len(found) * 0.99)]:.1f} ms, {len(found)} changes"
        )
    second.stop()
    await kube.aclose()


async def at_rest(process: Process) -> None:
    """Return when nothing has been written for a while.

    The scheduler marks 50 pods a second as unschedulable, and the status counts them.
    """
    before, now = -1.0, 0.0
    while now != before:
        await asyncio.sleep(QUIET_S)
        before, now = now, process.metric("flamingo_operator_api_writes_total")


def num_created(process: Process) -> int:
    return int(sum(process.samples("flamingo_operator_replicas", 'state="pending"')))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--resources", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=10, help="pods of each resource")
    parser.add_argument("--changes", type=int, default=200)
    args = parser.parse_args()
    here = Path(__file__).parents[2]
    script = Path(os.environ.get("FLAMINGO_KUBE") or here.parent / "shared/kube") / "cluster"
    with tempfile.TemporaryDirectory(prefix="ob-") as name:
        folder = Path(name)
        subprocess.run([script, "start", folder / "k"], check=True, capture_output=True)
        try:
            asyncio.run(bench(folder, args))
        finally:
            subprocess.run([script, "stop", folder / "k"], check=True, capture_output=True)


if __name__ == "__main__":
    main()
