"""The containers that the operator creates, with the settings of the programs in them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from control_plane.deployments import FULL
from fakes.clusters import RELEASE, Cluster

from flamingo_common.service import auth, keys, settings
from flamingo_common.service.sent_key import parse_sent_key
from flamingo_operator.api import router as api_router
from flamingo_operator.api import server as api_server
from flamingo_operator.cluster.observed import ObjectRef, Revision
from flamingo_operator.manifests import owned_objects, pod_template, preload, router
from flamingo_pod.settings import Settings as PodSettings
from flamingo_router.pods.endpoint_slices import Service
from flamingo_router.settings import Settings as RouterSettings

MAXIMUM = {
    "model": {"id": "a/b", "servedName": "x" * 200, "maxAudioSeconds": 7200},
    "drain": {"settleSeconds": 120, "deadlineSeconds": 7200},
    "auth": {"keysSecretRef": {"name": "k"}, "observeKeySecretRef": {"name": "k"}},
    "router": {
        "replicas": 20,
        "admission": {"maxQueuedAudioSeconds": 1_000_000, "maxHoldSeconds": 3600},
    },
}
MINIMUM = {
    "model": {"id": "a/b", "maxAudioSeconds": 1},
    "drain": {"settleSeconds": 0, "deadlineSeconds": 5},
    "router": {
        "replicas": 1,
        "admission": {"maxQueuedAudioSeconds": 1, "maxHoldSeconds": 0},
    },
}
SPECS = {
    "the model only": {},
    "everything": FULL,
    "all at their maximum": MAXIMUM,
    "minimum": MINIMUM,
}

KEY = "fk-observes"
ENTRY = {"name": "fleet", "sha256": keys.digest_of(KEY), "may": ["observe"]}
SECRET = {
    "keys.yaml": json.dumps({"keys": [ENTRY]}),
    **dict.fromkeys(("observe", "observe-key", "batches-key"), KEY),
}


@dataclass(frozen=True)
class Manifests:
    """The manifests of one spec; a directory stands for the root of the containers."""

    pods: dict[str, dict[str, Any]]
    owned: list[dict[str, Any]]
    root: Path

    def container(self, name: str) -> dict[str, Any]:
        (found,) = self.pods[name]["containers"]
        return found

    def settings(self, name: str, kind: type[settings.S]) -> settings.S:
        """Return the settings that a container's program reads from its arguments."""
        mounts = [mount["mountPath"] for mount in self.container(name)["volumeMounts"]]
        args = self.container(name)["args"]
        for volume in self.pods[name]["volumes"]:
            # The volumes of users are mounted anywhere.
            if "configMap" in volume:
                continue
            self._mount(volume, self._folder(name, volume["name"]))
        for path in mounts:
            args = [arg.replace(f"={path}", f"={self.root}{path}") for arg in args]
        return settings.load(kind, args, {}, prog=name)

    def _folder(self, name: str, volume: str) -> Path:
        (path,) = (
            mount["mountPath"]
            for mount in self.container(name)["volumeMounts"]
            if mount["name"] == volume
        )
        return self.root / path.removeprefix("/")

    def _mount(self, volume: dict[str, Any], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for source in volume.get("projected", {}).get("sources", ()):
            for item in source["secret"]["items"]:
                (folder / item["path"]).write_text(SECRET[item["key"]])


@pytest.fixture(params=SPECS)
def manifests(request, tmp_path):
    deployment = Cluster.of(SPECS[request.param]).deployment
    owned = owned_objects.build_manifests(deployment, RELEASE, 2)
    (router,) = (one["spec"]["template"]["spec"] for one in owned if one["kind"] == "Deployment")
    server = pod_template.build_template(deployment, RELEASE)["spec"]
    return Manifests({"router": router, "server": server}, owned, tmp_path)


@pytest.mark.parametrize(("name", "kind"), [("router", RouterSettings), ("server", PodSettings)])
def test_a_program_accepts_its_flags_and_has_its_grace_period(manifests, name, kind):
    given = manifests.settings(name, kind)
    hook = manifests.container(name).get("lifecycle", {}).get("preStop", {}).get("sleep", {})
    least_s = hook.get("seconds", 0) + given.grace_period_s
    assert least_s < manifests.pods[name]["terminationGracePeriodSeconds"] < least_s + 30


def test_a_server_s_grace_period_includes_the_shutdown_delay(manifests):
    given = manifests.settings("server", PodSettings)
    assert given.grace_period_s >= given.shutdown_delay_s + 5


def test_a_router_waits_for_the_longest_response_of_a_server(manifests):
    server, router = (
        manifests.settings("server", PodSettings),
        manifests.settings("router", RouterSettings),
    )
    assert (
        router.grace_period_s
        >= router.cold_start_hold_s + server.grace_period_s - server.shutdown_delay_s
    )


def test_a_router_s_spool_fits_its_volume(manifests):
    given = manifests.settings("router", RouterSettings)
    (spool,) = (one for one in manifests.pods["router"]["volumes"] if one["name"] == "spool")
    assert given.spool_dir
    assert given.spool_max_bytes < int(spool["emptyDir"]["sizeLimit"].removesuffix("Gi")) << 30


BLOCKS = {"router": api_router, "server": api_server}


@pytest.mark.parametrize("name", BLOCKS)
def test_users_must_not_set_the_flags_that_the_operator_sets(manifests, name):
    user_args = {"--max-concurrent-answers", "--model-impl", "--log-level", "--cors-origin"}
    flags = {arg.partition("=")[0] for arg in manifests.container(name)["args"]} - user_args
    assert flags <= {*BLOCKS[name].OPERATOR_FLAGS}


@pytest.mark.parametrize("name", BLOCKS)
def test_users_must_not_use_the_names_and_paths_of_the_operator_s_volumes(manifests, name):
    mounts = {
        one["name"]: one["mountPath"]
        for one in manifests.container(name)["volumeMounts"]
        if one["name"] != "certificates"
    }
    assert mounts.items() <= BLOCKS[name].MOUNTS.items()
    volumes = {one["name"] for one in manifests.pods[name]["volumes"]} - {"certificates"}
    assert volumes == mounts.keys()


@pytest.mark.parametrize("name", BLOCKS)
def test_a_program_listens_on_all_interfaces_of_both_families(manifests, name):
    kinds = {"router": RouterSettings, "server": PodSettings}
    assert manifests.settings(name, kinds[name]).host == "::"


def test_users_must_not_set_the_variables_that_the_operator_sets(manifests):
    ours = {one["name"] for one in pod_template.server_env(Cluster.of(FULL).deployment.spec)}
    ours -= {one["name"] for one in FULL["server"]["env"]}
    reserved = {*api_server.CACHE_VARIABLES, *api_server.TOKEN_VARIABLES}
    assert {name for name in ours if not name.startswith("FLAMINGO_")} <= reserved


@pytest.mark.parametrize("manifests", ["everything"], indirect=True)
@pytest.mark.parametrize("name", BLOCKS)
def test_what_a_user_writes_about_a_pod_is_in_it(manifests, name):
    pod, container, given = manifests.pods[name], manifests.container(name), FULL[name]
    for field in ("schedulerName", "serviceAccountName", "securityContext", "priorityClassName"):
        assert pod[field] == given[field]
    assert pod["imagePullSecrets"] == given["imagePullSecrets"]
    assert given["volumes"][0] in pod["volumes"]
    assert given["volumeMounts"][0] in container["volumeMounts"]
    assert given["env"][0] in container["env"]
    assert container["envFrom"] == given["envFrom"]
    assert {*given["args"]} <= {*container["args"]}


@pytest.mark.parametrize("name", ["router", "server"])
def test_probes_use_public_routes(manifests, name):
    container = manifests.container(name)
    paths = {kind: probe["httpGet"]["path"] for kind, probe in container.items() if "Probe" in kind}
    assert set(paths.values()) <= auth.PUBLIC_ROUTES
    assert paths["livenessProbe"] == "/health/live"
    # A router is ready without server pods: it holds requests.
    assert paths["readinessProbe"] == f"/health/{'live' if name == 'router' else 'ready'}"


def test_a_router_has_five_minutes_to_start(manifests):
    probe = manifests.container("router")["startupProbe"]
    assert probe["httpGet"]["path"] == "/health/live"
    assert probe["periodSeconds"] * probe["failureThreshold"] == 300


def test_the_startup_probe_allows_for_the_startup_deadline(manifests):
    probe = manifests.container("server")["startupProbe"]
    assert probe["httpGet"]["path"] == "/health/ready"
    assert probe["periodSeconds"] * probe["failureThreshold"] in {900, 1800}


@pytest.mark.parametrize("manifests", ["everything", "all at their maximum"], indirect=True)
def test_routers_and_servers_require_keys_and_routers_share_the_limits(manifests):
    server, router = (
        manifests.settings("server", PodSettings),
        manifests.settings("router", RouterSettings),
    )
    for given in (server, router):
        assert given.key_file
        assert keys.parse(given.key_file.read_bytes()).find(KEY.encode()).may == {"observe"}
    assert router.pod_key_file
    assert parse_sent_key(router.pod_key_file.read_bytes()).get_secret_value() == KEY
    peers = Service.parse(router.quota_peers)
    (deployment,) = (one for one in manifests.owned if one["kind"] == "Deployment")
    (service,) = (
        one
        for one in manifests.owned
        if one["kind"] == "Service" and one["metadata"]["name"] == peers.name
    )
    assert service["metadata"]["namespace"] == peers.namespace
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]
    (monitor,) = (one for one in manifests.owned if one["kind"] == "PodMonitor")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert SECRET[endpoint["authorization"]["credentials"]["key"]] == KEY


@pytest.mark.parametrize("manifests", ["the model only", "minimum"], indirect=True)
def test_without_auth_there_are_no_keys(manifests):
    for name, kind in (("server", PodSettings), ("router", RouterSettings)):
        assert manifests.settings(name, kind).key_file is None
        assert "keys" not in {volume["name"] for volume in manifests.pods[name]["volumes"]}


def test_pod_metadata_of_the_user_is_added_and_overwrites_nothing():
    deployment = Cluster.of(FULL).deployment
    data = pod_template.build_template(deployment, RELEASE)
    ref = ObjectRef("ControllerRevision", "default", "r", "u", 1, "music")
    server = pod_template.build_pod(deployment, Revision(ref, "abc", 1, json.dumps(data)), 0)
    assert server["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "audio"
    assert server["metadata"]["labels"]["flamingo.dev/serving"] == "true"
    assert server["metadata"]["annotations"] == {"sidecar.istio.io/inject": "false"}
    assert server["spec"]["runtimeClassName"] == "nvidia"
    (spread,) = server["spec"]["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"].items() <= server["metadata"]["labels"].items()
    (made,) = (
        one for one in router.router_manifests(deployment, RELEASE) if one["kind"] == "Deployment"
    )
    router_pod = made["spec"]["template"]
    assert router_pod["metadata"]["annotations"] == {"sidecar.istio.io/inject": "true"}
    assert (
        made["spec"]["selector"]["matchLabels"].items() <= router_pod["metadata"]["labels"].items()
    )
    assert router_pod["spec"]["nodeSelector"] == {"pool": "system"}
    assert router_pod["spec"]["tolerations"] == [{"key": "system", "operator": "Exists"}]
    assert router_pod["spec"]["priorityClassName"] == "routers"
    assert "metadata" not in pod_template.build_template(Cluster.of({}).deployment, RELEASE)


def test_the_preload_job_has_the_environment_of_servers_except_offline_mode():
    mirror = {"name": "HF_ENDPOINT", "value": "https://mirror.example"}
    offline = {"name": "HF_HUB_OFFLINE", "value": "1"}
    spec = {**FULL, "server": {"env": [offline, mirror]}}
    deployment = Cluster.of(spec).deployment
    (job,) = (one for one in preload.cache_manifests(deployment, RELEASE) if one["kind"] == "Job")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    (server,) = pod_template.build_template(deployment, RELEASE)["spec"]["containers"]
    assert mirror in container["env"]
    assert container["env"] == [one for one in server["env"] if one != offline]


def test_a_host_path_must_exist():
    deployment = Cluster.of({"cache": {"type": "HostPath", "hostPath": {"path": "/m"}}}).deployment
    volumes = pod_template.build_template(deployment, RELEASE)["spec"]["volumes"]
    (models,) = (volume for volume in volumes if volume["name"] == "models")
    assert models["hostPath"] == {"path": "/m", "type": "Directory"}


def test_another_key_file_is_another_revision_and_another_observe_key_is_not():
    def hash_of(*names):
        secrets = dict(zip(("keysSecretRef", "observeKeySecretRef"), names, strict=True))
        given = {"auth": {field: {"name": name} for field, name in secrets.items()}}
        return Cluster.of(given).spec_hash

    assert hash_of("a", "b") == hash_of("a", "c")
    assert hash_of("a", "b") != hash_of("c", "b")
