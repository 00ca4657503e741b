"""The operator as a process, under its own rules, in a namespace of its own."""

import contextlib
import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from control_plane.deployments import deployment
from fakes.patience import PATIENCE_S

from flamingo_operator.api.names import COMPONENT_LABEL, FIELD_MANAGER, PLURAL

OWN_KINDS = (
    "pods,services,deployments,poddisruptionbudgets,networkpolicies,serviceaccounts,roles,"
    "rolebindings,controllerrevisions,jobs,persistentvolumeclaims"
)
SERVERS = "flamingo.dev/component=server"
WAIT_S = 120.0
QUICK = {"minReadySeconds": 0}
BASE = {"rollout": QUICK, "drain": {"settleSeconds": 0, "deadlineSeconds": 5}}


def wait_until(holds: Callable[[], Any], what: str, *, within_s: float = WAIT_S) -> Any:
    """Return what `holds` returns once that is true."""
    deadline_s = time.monotonic() + within_s
    while True:
        if found := holds():
            return found
        assert time.monotonic() < deadline_s, f"not within {within_s:.0f} s: {what}"
        time.sleep(0.1)


@dataclass
class Operator:
    """An operator process; whoever starts it stops it."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        """Its address, once it listens."""
        return "http://127.0.0.1:" + wait_until(self._port, "it listens")

    def _port(self) -> str | None:
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        found = re.search(r'"port": (\d+), "event": "service.listening"', self.log.read_text())
        return found[1] if found else None

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(self.url + path, timeout=PATIENCE_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name: str) -> float:
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.get("/metrics")[1], re.MULTILINE)
        return float(found[1]) if found else 0.0

    def is_leading(self) -> bool:
        return self.metric("flamingo_operator_leader") == 1

    def is_idle(self) -> bool:
        """Whether it has reconciled everything and has nothing to do."""
        num_reconciles = self.metric("flamingo_operator_reconcile_seconds_count")
        return num_reconciles >= 1 and self.metric("flamingo_operator_queue_depth") == 0

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE_S)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


@dataclass
class Site:
    """A namespace, an account with the operator's rules, and the operators in it."""

    cluster: Any
    namespace: str
    folder: Path
    operators: list[Operator] = field(default_factory=list)

    def start(self, *flags: str, namespaces: str | None = None) -> Operator:
        log = self.folder / f"operator-{len(self.operators)}.log"
        given = [f"--kubeconfig={self.folder / 'kubeconfig'}", "--port=0"]
        given += [f"--operator-namespace={self.namespace}"]
        given += [f"--identity=replica-{len(self.operators)}"]
        given += [f"--namespaces={self.namespace if namespaces is None else namespaces}"]
        command = [sys.executable, "-P", "-m", "flamingo_operator", *given, *flags]
        with log.open("wb") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out)
        self.operators.append(Operator(process, log))
        return self.operators[-1]

    def kubectl(self, *args: str, body: object = None) -> str:
        return self.cluster.output("-n", self.namespace, *args, body=body)

    def create(self, spec: dict[str, Any] | None = None, *, name: str = "music") -> None:
        body = deployment({**BASE, **(spec or {})}, name=name)
        body["metadata"]["namespace"] = self.namespace
        self.cluster.create(self.namespace, body)

    def change(self, spec: dict[str, Any], *, name: str = "music") -> None:
        self.patch(PLURAL, name, {"spec": spec})

    def patch(self, kind: str, name: str, patch: dict[str, Any]) -> None:
        self.cluster.patch(self.namespace, kind, name, patch)

    def delete(self, kind: str, name: str, *, is_forced: bool = False) -> None:
        self.cluster.delete(self.namespace, kind, name, is_forced=is_forced)

    def get(self, kinds: str, name: str = "") -> dict[str, Any]:
        return self.cluster.get(self.namespace, kinds, name)

    def status(self, name: str = "music") -> dict[str, Any]:
        return self.get(PLURAL, name).get("status", {})

    def reason(self, kind: str, name: str = "music") -> str:
        found = (one for one in self.status(name).get("conditions", ()) if one["type"] == kind)
        return next((one["reason"] for one in found), "")

    def pods(self) -> list[dict[str, Any]]:
        return [
            pod
            for pod in self.get("pods")["items"]
            if pod["metadata"].get("labels", {}).get(COMPONENT_LABEL) == "server"
        ]

    def images(self) -> set[str]:
        return {pod["spec"]["containers"][0]["image"] for pod in self.pods()}

    def event_reasons(self) -> set[str]:
        return {one["reason"] for one in self.get("events")["items"]}

    def is_complete(self, num: int, name: str = "music") -> bool:
        """Whether the status reports that this generation is complete."""
        body = self.get(PLURAL, name)
        status = body.get("status", {})
        reasons = {one["type"]: one["reason"] for one in status.get("conditions", ())}
        return (
            status.get("observedGeneration") == body["metadata"]["generation"]
            and reasons.get("Progressing") == "Complete"
            and status["readyReplicas"] == status["updatedReplicas"] == num
            and status["drainingReplicas"] == 0
        )

    def wait_complete(self, num: int, *, within_s: float = WAIT_S) -> None:
        wait_until(lambda: self.is_complete(num), f"{num} servers, complete", within_s=within_s)

    def pods_watched(
        self, selector: str = SERVERS
    ) -> contextlib.AbstractContextManager[Callable[[], list[list[dict[str, Any]]]]]:
        """Yield what returns the servers after each of their changes so far: none is missed."""
        return self.watched("pods", selector)

    @contextlib.contextmanager
    def watched(
        self, kind: str, selector: str
    ) -> Iterator[Callable[[], list[list[dict[str, Any]]]]]:
        """Yield what returns objects after each of their changes so far: none is missed."""
        file = self.folder / f"{kind}-{self.namespace}"
        command = [self.cluster.kubectl, f"--kubeconfig={self.cluster.kubeconfig}"]
        command += ["-n", self.namespace, "get", kind, "-l", selector]
        command += ["--watch", "--output-watch-events", "-o", "json"]
        with file.open("wb") as out, subprocess.Popen(command, stdout=out) as process:
            try:
                yield lambda: _after_each(file.read_text())
            finally:
                process.terminate()

    def written(self) -> dict[str, Any]:
        """Return what the operator wrote, and when, of all objects that exist."""
        items = self.get(f"{OWN_KINDS},{PLURAL},events")["items"]
        return {
            f"{item['kind']}/{item['metadata']['name']}/{item['metadata']['uid']}": [
                entry
                for entry in item["metadata"].get("managedFields", ())
                if entry["manager"] == FIELD_MANAGER
            ]
            for item in items
            if item.get("reportingComponent", FIELD_MANAGER) == FIELD_MANAGER
        }

    def objects(self) -> dict[str, Any]:
        """Return all that the operator made, without what no two runs have in common."""
        found = {}
        for item in self.get(OWN_KINDS)["items"]:
            labels = item["metadata"].get("labels", {})
            if "flamingo.dev/deployment" not in labels or "pod-template-hash" in labels:
                continue
            spec = item.get("spec", {})
            for key in ("nodeName", "clusterIP", "clusterIPs"):
                spec.pop(key, None)
            for port in spec.get("ports", ()):
                port.pop("nodePort", None)
            name = f"{item['kind']}/{item['metadata']['name']}"
            fields = (spec, labels, item.get("data"), item.get("rules"), item.get("revision"))
            # JSON text compares as a whole and shows where it differs.
            found[name] = json.dumps(fields, sort_keys=True)
        return found


def _after_each(text: str) -> list[list[dict[str, Any]]]:
    """Return the objects after each event of a watch, as far as it is written."""
    decoder, place, there = json.JSONDecoder(), 0, {}
    seen = []
    with contextlib.suppress(json.JSONDecodeError):
        while True:
            event, place = decoder.raw_decode(text, place)
            name = event["object"]["metadata"]["name"]
            there = {**there, name: event["object"]}
            if event["type"] == "DELETED":
                del there[name]
            seen.append([*there.values()])
            place += len(text[place:]) - len(text[place:].lstrip())
    return seen


@contextlib.contextmanager
def neighbours(first: Site, names: Iterable[str]) -> Iterator[list[Site]]:
    """Yield more namespaces in which the first one's account has the operator's rules."""
    made = []
    for name in names:
        first.cluster.admit(name, first.namespace)
        made.append(Site(first.cluster, name, first.folder, first.operators))
    try:
        yield [*made]
    finally:
        for one in made:
            first.cluster.dismiss(one.namespace)


@contextlib.contextmanager
def site(cluster: Any, namespace: str, folder: Path) -> Iterator[Site]:
    """Yield a new namespace in which an operator may run; end what was started there."""
    cluster.admit(namespace, namespace)
    (folder / "kubeconfig").write_text(json.dumps(cluster.account(namespace)))
    here = Site(cluster, namespace, folder)
    try:
        yield here
    finally:
        for operator in here.operators:
            if operator.process.poll() is None:
                operator.process.send_signal(signal.SIGCONT)
                operator.kill()
        cluster.dismiss(namespace)


def process_id(cluster: Any, program: str) -> int:
    """Return the id of one of the cluster's own processes."""
    return int(json.loads(cluster.state.read_text())["pids"][program])
