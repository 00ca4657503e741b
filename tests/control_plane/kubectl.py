"""A real cluster, through kubectl. `fakes.kmock_cluster` can do what Site asks of it, too."""

import functools
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from control_plane.api_reads import ApiReads

from flamingo_operator import rbac

CALL_S = 120
RBAC = "rbac.authorization.k8s.io"


class Kubectl:
    """What kubectl does for a test."""

    kubectl: str
    kubeconfig: Path

    def call(self, *args: str, body: object = None) -> subprocess.CompletedProcess[str]:
        command = [self.kubectl, f"--kubeconfig={self.kubeconfig}", *args]
        text = json.dumps(body) if body is not None else None
        return subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=CALL_S, check=False
        )

    def output(self, *args: str, body: object = None) -> str:
        """Return the output of a call that must succeed."""
        done = self.call(*args, body=body)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refusal(self, *args: str, body: object = None) -> str:
        """Return why a call is refused."""
        done = self.call(*args, body=body)
        assert done.returncode != 0, f"not refused: {done.stdout}"
        return done.stderr

    def get(self, namespace: str, kinds: str, name: str = "") -> dict[str, Any]:
        what = (kinds, *([name] if name else []), "-o", "json", "--show-managed-fields")
        return json.loads(self.output("-n", namespace, "get", *what))

    def create(self, namespace: str, body: dict[str, Any]) -> None:
        self.output("-n", namespace, "create", "-f", "-", body=body)

    def patch(self, namespace: str, kind: str, name: str, patch: dict[str, Any]) -> None:
        given = ("--type=merge", f"--patch={json.dumps(patch)}")
        self.output("-n", namespace, "patch", kind, name, *given)

    def delete(self, namespace: str, kind: str, name: str, *, is_forced: bool = False) -> None:
        how = "--force" if is_forced else "--wait=false"
        self.output("-n", namespace, "delete", kind, name, how, "--ignore-not-found")


@dataclass(frozen=True)
class Cluster(Kubectl):
    """An API server, through kubectl."""

    kubectl: str
    kubeconfig: Path
    state: Path | None = None
    """Where the script keeps its processes' ids; None where only an API server runs."""

    @functools.cached_property
    def _reads(self) -> ApiReads:
        return ApiReads(self.kubeconfig)

    def get(self, namespace: str, kinds: str, name: str = "") -> dict[str, Any]:
        return self._reads.get(namespace, kinds, name)

    def stored(self, name: str) -> dict[str, Any]:
        return json.loads(self.output("get", "fd", name, "-o", "json"))

    def admit(self, namespace: str, home: str) -> None:
        """Make a namespace in which the account of `home` has the operator's rules."""
        made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        # Whatever is made has to pass the strictest level.
        made["metadata"]["labels"] = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.output("create", "-f", "-", body=made)
        for body in _role("", "operator", home, rbac.rules() + rbac.own_rules()):
            self.create(namespace, body)

    def admit_everywhere(self, home: str) -> None:
        """Let the account of a namespace look after the whole cluster."""
        rules = rbac.rules() + rbac.cluster_rules()
        for body in _role("Cluster", f"operator-{home}", home, rules):
            self.output("create", "-f", "-", body=body)

    def account(self, namespace: str) -> dict[str, Any]:
        """Make an operator's account there; return the kubeconfig of who is it."""
        self.output("-n", namespace, "create", "serviceaccount", "operator")
        token = self.output("-n", namespace, "create", "token", "operator").strip()
        config = json.loads(self.output("config", "view", "--raw", "--minify", "-o", "json"))
        config["users"] = [{"name": "operator", "user": {"token": token}}]
        config["contexts"][0]["context"]["user"] = "operator"
        return config

    def dismiss(self, namespace: str) -> None:
        self.call("delete", "namespace", namespace, "--wait=false")


def _role(scope: str, name: str, home: str, rules: list[Any]) -> list[dict[str, Any]]:
    account = {"kind": "ServiceAccount", "name": "operator", "namespace": home}
    bound = {"apiGroup": RBAC, "kind": f"{scope}Role", "name": name}
    whole = {"apiVersion": f"{RBAC}/v1", "metadata": {"name": name}}
    return [
        {**whole, "kind": f"{scope}Role", "rules": rules},
        {**whole, "kind": f"{scope}RoleBinding", "roleRef": bound, "subjects": [account]},
    ]
