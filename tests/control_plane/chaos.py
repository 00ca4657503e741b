"""Random moves against one FlamingoDeployment, by seed: edits, deletions, faults and kills."""

import json
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from control_plane.operators import OWN_KINDS, Operator, Site, process_id

from flamingo_operator.api.names import PLURAL, Component, selector, selector_string

QUIET = ("--no-leader-election", "--resync-interval-s=1")
NAME = "music"
SELECTOR = selector_string(NAME, "server")
COLLECTED_KINDS = OWN_KINDS.replace(",persistentvolumeclaims", "")
"""Kinds that the garbage collector deletes with the deployment."""
KEYS = {"keysSecretRef": {"name": "api-keys"}}
EMPTY = {"type": "EmptyDir", "preload": False, "persistentVolumeClaim": None}
CLAIM = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "1Gi"}}
INTERNAL = {"mode": "Internal", "minReplicas": 1, "maxReplicas": 3}
EXTERNAL = {"mode": "External"}
CHOICES: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("replicas", (0, 1, 2, 3, 4)),
    ("replicas", (1, 2, 3)),
    ("server", tuple({"image": f"example.com/pod:{number}"} for number in range(3))),
    ("server", ({"args": ["--max-concurrent-answers=9"]}, {"args": None})),
    ("rollout", ({"strategy": "Recreate"}, {"strategy": "Auto"}, {"strategy": "RollingUpdate"})),
    ("rollout", ({"maxSurge": 1, "maxUnavailable": 0}, {"maxSurge": 0, "maxUnavailable": 1})),
    ("rollout", ({"maxSurge": 2, "maxUnavailable": 1}, {"paused": True}, {"paused": False})),
    ("suspend", (True, False)),
    ("paused", (True, False)),
    ("router", ({"enabled": False}, {"enabled": True}, {"replicas": 1}, {"replicas": 3})),
    ("router", tuple({"service": one} for one in ({"port": 81}, {"type": "NodePort"}))),
    ("router", tuple({"service": one} for one in ({"port": 80}, {"type": "ClusterIP"}))),
    ("cache", (CLAIM, {**CLAIM, "preload": True}, EMPTY)),
    ("auth", (KEYS, None)),
    ("server", ({"pdb": {"minAvailable": 0, "maxUnavailable": None}}, {"pdb": None})),
    ("drain", ({"deadlineSeconds": 6}, {"deadlineSeconds": 5})),
    ("server", ({"priorityClassName": "no-such-class"}, {"priorityClassName": None})),
    ("scaling", (INTERNAL, EXTERNAL)),
)
ACHIEVABLE = {
    "paused": False,
    "server": {"priorityClassName": None},
    "rollout": {"paused": False},
    "cache": EMPTY,
}
"""What the spec needs to be reachable."""
LABELS = ("deployment", "component", "serving", "revision")
OWNED = (
    "deployment/music-router",
    "service/music",
    "service/music-servers",
    "pdb/music-servers",
    "networkpolicy/music-servers",
    "serviceaccount/music-servers",
    "role/music-router",
    "rolebinding/music-router",
)


@dataclass
class Game:
    """One deployment, and the moves made against it."""

    site: Site
    rng: random.Random
    moves: list[str] = field(default_factory=list)
    nodes: list[dict[str, Any]] = field(default_factory=list)
    """Nodes that were deleted."""
    max_pods: int = 0
    """Most server pods that any spec since the last rest allows."""

    @property
    def operator(self) -> Operator:
        return self.site.operators[-1]

    def begin(self) -> None:
        self.site.start(*QUIET)
        spec = {"replicas": self.rng.randint(1, 3), "router": {"replicas": 2}}
        self.site.create(spec, name=NAME)

    def burst(self) -> None:
        """Make some moves, one soon after the other."""
        self.max_pods = len(self.servers())
        self._allow()
        for _ in range(self.rng.randint(2, 6)):
            weights = [weight for _, weight in MOVES]
            (move,) = self.rng.choices([move for move, _ in MOVES], weights)
            move(self)
            time.sleep(self.rng.choice((0.0, 0.0, 0.3, 1.5)))

    def heal(self) -> None:
        """Restore the nodes and make the spec achievable."""
        self.restore_nodes()
        self.edit(ACHIEVABLE)

    def restore_nodes(self) -> None:
        for node in self.nodes:
            self.site.cluster.call("create", "-f", "-", body=node)
        self.nodes.clear()
        self.site.cluster.output("uncordon", "-l", "simulated=true")

    def edit(self, spec: dict[str, Any]) -> None:
        """Write into the spec; the API server refuses what contradicts the rest of it."""
        self.by_hand("patch", "fd", NAME, "--type=merge", f"--patch={json.dumps({'spec': spec})}")
        self._allow()

    def _allow(self) -> None:
        spec = self.site.get(PLURAL, NAME)["spec"]
        is_internal = spec["scaling"]["mode"] == "Internal"
        num = spec["scaling"]["maxReplicas"] if is_internal else spec["replicas"]
        self.max_pods = max(self.max_pods, num + spec["rollout"]["maxSurge"])

    def by_hand(self, *args: str) -> None:
        done = self.site.cluster.call("-n", self.site.namespace, *args)
        self.moves.append(" ".join(args) + (f": {done.stderr}" if done.returncode else ""))

    def pod(self) -> str | None:
        names = [f"pod/{one['metadata']['name']}" for one in self.servers()]
        return self.rng.choice(names) if names else None

    def servers(self) -> list[dict[str, Any]]:
        """Return those that still have our labels."""
        return self._pods("server")

    def _pods(self, component: Component) -> list[dict[str, Any]]:
        wanted = selector(NAME, component).items()
        found = self.site.get("pods")["items"]
        return [one for one in found if wanted <= one["metadata"].get("labels", {}).items()]

    def num_routers(self) -> int:
        """Return how many routers there are; those that come or go count twice."""
        pods = self._pods("router")
        ready = [one for one in pods if one["status"].get("phase") == "Running"]
        return len(pods) + len(pods) - len(ready)

    def report(self) -> str:
        """Return the moves and their outcome, to debug a failure."""
        show = ("-n", self.site.namespace, "get")
        return "\n".join(
            [
                *self.moves,
                self.site.cluster.call(*show, "fd", NAME, "-o", "yaml").stdout,
                self.site.cluster.call(*show, "pods", "--show-labels").stdout,
                self.operator.log.read_text()[-8000:],
            ]
        )


def edit(game: Game) -> None:
    name, values = game.rng.choice(CHOICES)
    game.edit({name: game.rng.choice(values)})


def random_object(game: Game) -> str:
    return (game.rng.random() < 0.5 and game.pod()) or game.rng.choice(OWNED)


def delete(game: Game) -> None:
    game.by_hand(
        "delete", random_object(game), "--wait=false", game.rng.choice(("--now", "--force=false"))
    )


def delete_revision(game: Game) -> None:
    names = game.site.kubectl("get", "controllerrevisions", "-o", "name").split()
    if names:
        game.by_hand("delete", game.rng.choice(names))


def unlabel(game: Game) -> None:
    name, label = random_object(game), f"flamingo.dev/{game.rng.choice(LABELS)}"
    new = game.rng.choice(("-", "=x", "=false"))
    game.by_hand("label", name, f"{label}{new}", "--overwrite")


def disown(game: Game) -> None:
    patch = '--patch={"metadata":{"ownerReferences":null}}'
    game.by_hand("patch", random_object(game), "--type=merge", patch)


def disown_revision(game: Game) -> None:
    names = game.site.kubectl("get", "controllerrevisions", "-o", "name").split()
    if names:
        patch = '--patch={"metadata":{"ownerReferences":null}}'
        game.by_hand("patch", game.rng.choice(names), "--type=merge", patch)


def tamper(game: Game) -> None:
    name, patch = game.rng.choice(
        (
            ("deployment/music-router", {"replicas": 0}),
            ("deployment/music-router", {"template": {"spec": {"serviceAccountName": "other"}}}),
            ("service/music", {"selector": {"flamingo.dev/component": "none"}}),
            ("service/music", {"ports": [{"port": 99, "name": "http"}]}),
            ("pdb/music-servers", {"maxUnavailable": 9}),
        )
    )
    game.by_hand("patch", name, "--type=merge", f"--patch={json.dumps({'spec': patch})}")


def drain(game: Game) -> None:
    if pod := game.pod():
        game.by_hand("annotate", pod, "flamingo.dev/drain=true", "--overwrite")


def fail(game: Game) -> None:
    if pod := game.pod():
        failing = ("fail.simulated/reason=Error", "ready.simulated/delay=200ms")
        game.by_hand("annotate", pod, *failing, "--overwrite")


def cordon(game: Game) -> None:
    game.by_hand("cordon", f"simulated-{game.rng.randrange(12)}")


def lose_node(game: Game) -> None:
    name = f"simulated-{game.rng.randrange(12)}"
    node = json.loads(game.site.cluster.output("get", "node", name, "-o", "json"))
    for key in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
        node["metadata"].pop(key, None)
    game.nodes.append(node)
    game.by_hand("delete", "node", name)


def kill(game: Game) -> None:
    game.moves.append("kill")
    game.operator.kill()
    time.sleep(game.rng.uniform(0.0, 1.0))
    game.site.start(*QUIET)


def silence(game: Game) -> None:
    duration_s = game.rng.uniform(0.5, 7.0)
    game.moves.append(f"silence {duration_s:.1f} s")
    server = process_id(game.site.cluster, "kube-apiserver")
    os.kill(server, signal.SIGSTOP)
    try:
        time.sleep(duration_s)
    finally:
        os.kill(server, signal.SIGCONT)


def recreate(game: Game) -> None:
    """Delete the deployment and create it again, as tools do that cannot update."""
    body = game.site.get(PLURAL, NAME)
    way = game.rng.choice(("orphan", "background", "foreground"))
    game.by_hand("delete", "fd", NAME, f"--cascade={way}")
    kept = {"name": NAME, "namespace": game.site.namespace}
    body = {key: body[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": kept}
    game.site.kubectl("create", "-f", "-", body=body)


MOVES: tuple[tuple[Callable[[Game], None], float], ...] = (
    (edit, 12),
    (delete, 3),
    (delete_revision, 1),
    (unlabel, 3),
    (disown, 2),
    (disown_revision, 1),
    (tamper, 2),
    (drain, 1.5),
    (fail, 1.5),
    (cordon, 1),
    (lose_node, 0.3),
    (kill, 2),
    (silence, 1),
    (recreate, 0.7),
)


def num_desired(spec: dict[str, Any], status: dict[str, Any]) -> int:
    """Return how many servers there should be."""
    if spec["suspend"]:
        return 0
    if spec["scaling"]["mode"] == "External":
        return int(spec["replicas"])
    desired = int(status["scaling"]["desiredReplicas"])
    assert spec["scaling"]["minReplicas"] <= desired <= spec["scaling"]["maxReplicas"]
    return desired
