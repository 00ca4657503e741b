"""A fleet whose pods have containers and fields that the spec has no fields for."""

import json

from control_plane.operators import wait_until

NUM_PLACES = 1
LOGGER = {
    "name": "logger",
    "image": "logger:1",
    "ports": [{"containerPort": 9000}],
    "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}},
}
ALIASES = [{"ip": "10.0.0.7", "hostnames": ["hub.example.com"]}]
MOUNT = {"name": "certificates", "mountPath": "/certificates", "readOnly": True}
OVERLAY = {
    "metadata": {"annotations": {"example.com/team": "audio"}},
    "spec": {
        "containers": [LOGGER, {"name": "server", "volumeMounts": [MOUNT]}],
        "hostAliases": ALIASES,
        "volumes": [{"name": "certificates", "configMap": {"name": "ca", "optional": True}}],
    },
}
SAFE = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def test_an_overlay_reaches_the_pods_and_settles(place):
    overlay = json.loads(json.dumps(OVERLAY))
    overlay["spec"]["containers"][0]["securityContext"] = SAFE
    routers = {"spec": {"containers": [overlay["spec"]["containers"][0]], "hostAliases": ALIASES}}
    place.create({"server": {"podTemplate": overlay}, "router": {"podTemplate": routers}})
    place.wait_complete(1)
    (pod,) = place.pods()
    containers = {one["name"]: one for one in pod["spec"]["containers"]}
    assert containers["logger"]["image"] == "logger:1"
    assert MOUNT in containers["server"]["volumeMounts"]
    assert pod["spec"]["hostAliases"] == ALIASES
    assert pod["metadata"]["annotations"]["example.com/team"] == "audio"
    wait_until(lambda: place.reason("Ready") == "AllReady", "all are ready")
    deployment = place.get("deployments", "music-router")
    assert len(deployment["spec"]["template"]["spec"]["containers"]) == 2
    # It was not written again, although the API server stores other text for the quantities.
    assert deployment["metadata"]["generation"] == 1

    changed = json.loads(json.dumps(overlay).replace("logger:1", "logger:2"))
    place.change({"server": {"podTemplate": changed}})
    wait_until(
        lambda: [_image(one) for one in place.pods()] == ["logger:2"], "the pod was replaced"
    )


def _image(pod):
    return next(one["image"] for one in pod["spec"]["containers"] if one["name"] == "logger")
