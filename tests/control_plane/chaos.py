"""A seed → moves against one FlamingoDeployment: its owner's, its neighbours' and the weather's."""

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
GOING = OWN_KINDS.replace(",persistentvolumeclaims", "")
"""Kinds of which all that is made goes with the deployment."""
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
    ("mode", ("Plan", "Apply")),
    ("router", ({"enabled": False}, {"enabled": True}, {"replicas": 1}, {"replicas": 3})),
    ("router", tuple({"service": one} for one in ({"port": 81}, {"type": "NodePort"}))),
    ("router", tuple({"service": one} for one in ({"port": 80}, {"type": "ClusterIP"}))),
    ("cache", (CLAIM, {**CLAIM, "preload": True}, EMPTY)),
    ("auth", (KEYS, None)),
    ("pdb", ({"minAvailable": 0, "maxUnavailable": None}, None)),
    ("drain", ({"deadlineSeconds": 6}, {"deadlineSeconds": 5})),
    ("priorityClassName", ("no-such-class", None)),
    ("scaling", (INTERNAL, EXTERNAL)),
)
HEALED = {
    "mode": "Apply",
    "priorityClassName": None,
    "rollout": {"paused": False},
    "cache": EMPTY,
}
"""What has to be so for all else to become so."""
LABELS = ("deployment", "component", "serving", "revision")
CHILDREN = (
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
    """One deployment, and what is done to it; `moves` says what was, for who looks at a failure."""

    site: Site
    dice: random.Random
    moves: list[str] = field(default_factory=list)
    nodes: list[dict[str, Any]] = field(default_factory=list)
    """Those that were taken away."""

    most: int = 0
    """Most servers that any spec since the last rest allows."""

    @property
    def operator(self) -> Operator:
        return self.site.operators[-1]

    def begin(self) -> None:
        self.site.start(*QUIET)
        self.site.create({"replicas": self.dice.randint(1, 3)}, name=NAME)

    def burst(self) -> None:
        """Make some moves, one soon after the other."""
        self.most = len(self.servers())
        self._allow()
        for _ in range(self.dice.randint(2, 6)):
            weights = [weight for _, weight in MOVES]
            (move,) = self.dice.choices([move for move, _ in MOVES], weights)
            move(self)
            time.sleep(self.dice.choice((0.0, 0.0, 0.3, 1.5)))

    def heal(self) -> None:
        """Make the rest possible: nodes are back, and the spec can be had."""
        self.restore_nodes()
        self.edit(HEALED)

    def restore_nodes(self) -> None:
        for node in self.nodes:
            self.site.cluster.call("create", "-f", "-", body=node)
        self.nodes.clear()
        self.site.cluster.told("uncordon", "-l", "simulated=true")

    def edit(self, spec: dict[str, Any]) -> None:
        """Write into the spec; the API server refuses what contradicts the rest of it."""
        self.by_hand("patch", "fd", NAME, "--type=merge", f"--patch={json.dumps({'spec': spec})}")
        self._allow()

    def _allow(self) -> None:
        spec = self.site.get(PLURAL, NAME)["spec"]
        is_internal = spec["scaling"]["mode"] == "Internal"
        num = spec["scaling"]["maxReplicas"] if is_internal else spec["replicas"]
        self.most = max(self.most, num + spec["rollout"]["maxSurge"])

    def by_hand(self, *args: str) -> None:
        done = self.site.cluster.call("-n", self.site.namespace, *args)
        self.moves.append(" ".join(args) + (f": {done.stderr}" if done.returncode else ""))

    def pod(self) -> str | None:
        names = [f"pod/{one['metadata']['name']}" for one in self.servers()]
        return self.dice.choice(names) if names else None

    def servers(self) -> list[dict[str, Any]]:
        """Return those that have our labels still."""
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

    def told(self) -> str:
        """Return what was done, and what came of it, for who looks at a failure."""
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
    name, values = game.dice.choice(CHOICES)
    game.edit({name: game.dice.choice(values)})


def thing(game: Game) -> str:
    return (game.dice.random() < 0.5 and game.pod()) or game.dice.choice(CHILDREN)


def delete(game: Game) -> None:
    game.by_hand(
        "delete", thing(game), "--wait=false", game.dice.choice(("--now", "--force=false"))
    )


def delete_revision(game: Game) -> None:
    names = game.site.kubectl("get", "controllerrevisions", "-o", "name").split()
    if names:
        game.by_hand("delete", game.dice.choice(names))


def unlabel(game: Game) -> None:
    name, label = thing(game), f"flamingo.dev/{game.dice.choice(LABELS)}"
    new = game.dice.choice(("-", "=x", "=false"))
    game.by_hand("label", name, f"{label}{new}", "--overwrite")


def disown(game: Game) -> None:
    patch = '--patch={"metadata":{"ownerReferences":null}}'
    game.by_hand("patch", thing(game), "--type=merge", patch)


def disown_revision(game: Game) -> None:
    names = game.site.kubectl("get", "controllerrevisions", "-o", "name").split()
    if names:
        patch = '--patch={"metadata":{"ownerReferences":null}}'
        game.by_hand("patch", game.dice.choice(names), "--type=merge", patch)


def tamper(game: Game) -> None:
    name, patch = game.dice.choice(
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
    game.by_hand("cordon", f"simulated-{game.dice.randrange(12)}")


def lose_node(game: Game) -> None:
    name = f"simulated-{game.dice.randrange(12)}"
    node = json.loads(game.site.cluster.told("get", "node", name, "-o", "json"))
    for key in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
        node["metadata"].pop(key, None)
    game.nodes.append(node)
    game.by_hand("delete", "node", name)


def kill(game: Game) -> None:
    game.moves.append("kill")
    game.operator.kill()
    time.sleep(game.dice.uniform(0.0, 1.0))
    game.site.start(*QUIET)


def silence(game: Game) -> None:
    duration_s = game.dice.uniform(0.5, 7.0)
    game.moves.append(f"silence {duration_s:.1f} s")
    server = process_id(game.site.cluster, "kube-apiserver")
    os.kill(server, signal.SIGSTOP)
    try:
        time.sleep(duration_s)
    finally:
        os.kill(server, signal.SIGCONT)


def reborn(game: Game) -> None:
    """Delete the deployment and write it again, as tools do that cannot change a thing."""
    body = game.site.get(PLURAL, NAME)
    way = game.dice.choice(("orphan", "background", "foreground"))
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
    (reborn, 0.7),
)


def num_wanted(spec: dict[str, Any], status: dict[str, Any]) -> int:
    """Return how many servers there should be."""
    if spec["suspend"]:
        return 0
    if spec["scaling"]["mode"] == "External":
        return int(spec["replicas"])
    told = int(status["scaling"]["desiredReplicas"])
    assert spec["scaling"]["minReplicas"] <= told <= spec["scaling"]["maxReplicas"]
    return told
