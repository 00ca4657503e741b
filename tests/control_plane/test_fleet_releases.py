"""The chart of a fleet in a cluster: installed, changed beside Helm, upgraded, uninstalled."""

import copy
import json
import tempfile
from pathlib import Path

import pytest
from charts.helm import Helm, of_kind
from control_plane.conftest import started
from control_plane.helm_releases import FLEET, TINY, Releases
from control_plane.operators import BASE, OWN_KINDS, wait_until
from fakes.kube_programs import program

from flamingo_common.service import keys
from flamingo_operator import crd
from flamingo_operator.api.names import PLURAL

NUM_PLACES = 4
ALICE = {"name": "alice", "sha256": keys.digest_of("fk-alice")}
CLAIM = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "1Gi"}}


@pytest.fixture
def releases(place, whole_cluster, tmp_path):
    """Return Helm in a namespace that an operator looks after."""
    return Releases(whole_cluster.kubeconfig, place.namespace, tmp_path)


def replicas(place):
    return place.get(PLURAL, "music")["spec"]["replicas"]


def set_by_an_autoscaler(place, number):
    """Apply the number of server pods as another field manager does."""
    body = {"apiVersion": "flamingo.dev/v1alpha1", "kind": "FlamingoDeployment"}
    body |= {"metadata": {"name": "music"}, "spec": TINY | {"replicas": number}}
    flags = ("--server-side", "--field-manager=autoscaler", "--force-conflicts")
    place.kubectl("apply", *flags, "-f", "-", body=body)


def secret(place):
    return place.get("secrets", "music-api-keys")["data"]


def test_an_upgrade_keeps_the_number_of_server_pods_that_others_set_and_the_keys(place, releases):
    values = {**BASE, "apiKeys": {"keys": [ALICE]}}
    assert "STATUS: deployed" in releases.install(values, "--wait", "--timeout=90s")
    assert replicas(place) == 1
    made = secret(place)
    place.kubectl("scale", f"{PLURAL}/music", "--replicas=2")
    releases.upgrade(values | {"router": {"replicas": 1}})
    assert replicas(place) == 2
    set_by_an_autoscaler(place, 3)
    releases.upgrade(values | {"router": {"replicas": 1}}, "--wait", "--timeout=90s")
    assert replicas(place) == 3
    assert place.is_complete(3)
    releases.output("rollback", "music", "1")
    assert replicas(place) == 3
    assert secret(place) == made
    refusal = releases.refusal("upgrade", "music", str(FLEET), values=TINY | {"replicas": 2})
    assert ".spec.replicas" in refusal
    assert replicas(place) == 3


def test_an_uninstalled_fleet_leaves_the_claim_with_its_model_and_nothing_else(place, releases):
    kinds = f"{OWN_KINDS},secrets,configmaps,{PLURAL}"
    before = {*place.kubectl("get", kinds, "-o", "name").split()}
    values = {**BASE, "cache": CLAIM, "apiKeys": {"keys": [ALICE]}}
    releases.install(values)
    wait_until(lambda: place.get("pods")["items"], "there are pods")
    releases.output("uninstall", "music")
    claim = {"persistentvolumeclaim/music-cache"}

    def is_gone():
        return {*place.kubectl("get", kinds, "-o", "name").split()} == before | claim

    wait_until(is_gone, "all but the claim is gone")


def test_what_the_api_server_refuses_is_said_by_helm_with_the_field(place, releases):
    place.create(name="taken")
    refusal = releases.refusal("install", "taken", str(FLEET), values=TINY)
    assert 'FlamingoDeployment "taken" in namespace' in refusal
    assert "exists and cannot be imported into the current release" in refusal
    refusal = releases.refusal(
        "install", "music", str(FLEET), values=TINY | {"cache": {"preload": True}}
    )
    assert (
        "spec.cache.preload: Invalid value: cache.preload needs a PersistentVolumeClaim" in refusal
    )
    releases.upgrade({}, "--install")
    refusal = releases.refusal("upgrade", "music", str(FLEET), values={"model": {"id": "other"}})
    assert "model.id is immutable" in refusal
    _admits_the_test(place, releases.home)


def test_a_secret_that_lacks_an_entry_is_named_before_anything_is_made(place, releases):
    install = ("install", "music", str(FLEET))
    entries = {"keys.yaml": "a2V5czogW10K", "observe-key": "YQ=="}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mine"}, "data": {}}
    for name, encoded in entries.items():
        refusal = releases.refusal(*install, values=TINY | {"apiKeys": {"existingSecret": "mine"}})
        assert f"has no Secret of that name with the entry {name}: create it first" in refusal
        body["data"][name] = encoded
        place.kubectl("apply", "--server-side", "-f", "-", body=body)
    releases.output(*install, values=TINY | {"apiKeys": {"existingSecret": "mine"}})


def _admits_the_test(place, home):
    """Check that the namespace, whose level is restricted, admits the pod of `helm test`."""
    helm = Helm(program("helm", "see https://helm.sh/docs/intro/install"), home)
    for values in ({}, {"apiKeys": {"keys": [ALICE]}, "tests": {"labels": {"a": "b"}}}):
        pod = of_kind(helm.render(FLEET, values, f"--namespace={place.namespace}"), "Pod")
        place.kubectl("create", "--dry-run=server", "-f", "-", body=pod)


@pytest.fixture
def empty_cluster():
    """Yield a control plane without our kind."""
    with tempfile.TemporaryDirectory(prefix="fd-") as folder, started(Path(folder) / "k") as made:
        yield made


def fields(manifest):
    """Return the fields of a FlamingoDeployment's spec."""
    root = manifest["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return root["properties"]["spec"]["properties"]


def serve(cluster, manifest, known, unknown):
    """Apply a definition, and wait until it is served, by what it accepts."""
    flags = ("--server-side", "--force-conflicts", "-f", "-")
    cluster.output("apply", *flags, body=manifest)

    def accepts(given):
        body = {"apiVersion": "flamingo.dev/v1alpha1", "kind": "FlamingoDeployment"}
        body |= {"metadata": {"name": "probe"}, "spec": TINY | given}
        return cluster.call("create", "--dry-run=server", "-f", "-", body=body).returncode == 0

    wait_until(lambda: accepts(known) and not accepts(unknown), "the definition is served")


COST, LATER = {"cost": {"gpuPerHour": 2}}, {"later": "x"}


def test_a_chart_of_another_release_than_the_crd_works_or_names_the_field(empty_cluster, tmp_path):
    releases = Releases(empty_cluster.kubeconfig, "default", tmp_path)
    refusal = releases.refusal("install", "music", str(FLEET), values=TINY)
    assert "the cluster has no FlamingoDeployments: install the chart flamingo-operator" in refusal
    assert releases.output("list", "--short") == ""  # no failed release is left
    earlier = json.loads(json.dumps(crd.manifest()))
    later = copy.deepcopy(earlier)
    del fields(earlier)["cost"]
    fields(later)["later"] = {"type": "string"}
    serve(empty_cluster, earlier, {}, COST)
    releases.install({})
    refusal = releases.refusal("upgrade", "music", str(FLEET), values=TINY | COST)
    assert ".spec.cost: field not declared in schema" in refusal
    serve(empty_cluster, later, COST | LATER, {"cost": 1})
    releases.upgrade(COST)
    empty_cluster.patch("default", PLURAL, "music", {"spec": LATER})
    serve(empty_cluster, earlier, {}, COST)
    releases.output("rollback", "music", "1")
    assert "cost" not in empty_cluster.stored("music")["spec"]
    releases.output("uninstall", "music")
    assert json.loads(empty_cluster.output("get", "fd", "-o", "json"))["items"] == []
