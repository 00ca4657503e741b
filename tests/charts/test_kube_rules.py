"""No manifest of ours has what kube-score calls critical."""

import copy
import json

import install_yaml
import pytest
from charts.helm import FLEET, OPERATOR, objects
from charts.kube_rules import findings, pod_of
from control_plane.batch_deployments import SHARED
from fakes.clusters import RELEASE, Cluster

from flamingo_operator.cluster.observed import ObjectRef, Revision
from flamingo_operator.manifests import owned_objects, pod_template

CLIENTS = {"networkPolicy": {"clients": [{"podSelector": {}}]}}
FLEETS = {
    "default": {},
    "tiny": {"model": {"id": "flamingo-tiny"}, "gpu": {"count": 0}},
    "preloaded": {
        "cache": {
            "type": "PersistentVolumeClaim",
            "preload": True,
            "persistentVolumeClaim": {"size": "60Gi"},
        }
    },
    "autoscaled": {"router": {"autoscaling": {"maxReplicas": 4}}},
    "batches on a claim": {"batches": {"storage": {"size": "1Gi"}}},
    "batches in a database": {"batches": {"replicas": 2, **SHARED}},
    "without routers": {"router": {"enabled": False}},
}


def fleet_objects(spec):
    """Return the objects of a fleet, and one of its server pods."""
    deployment = Cluster.of(spec).deployment
    template = pod_template.build_template(deployment, RELEASE)
    revision = Revision(
        ObjectRef("ControllerRevision", "audio", "music-a1b2c3d4e5", "uid", 1, "music"),
        "a1b2c3d4e5",
        1,
        json.dumps(template),
    )
    server = pod_template.build_pod(deployment, revision, 0)
    return [*owned_objects.build_manifests(deployment, RELEASE, 2), server]


def test_install_yaml_has_no_critical_finding():
    assert list(findings(objects(install_yaml.FILE.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"watchNamespaces": ["a"], "observeKeySecretRef": {"name": "keys"}},
        {"networkPolicy": {"egress": {"enabled": True}}, "image": {"tag": "0.2.0"}},
    ],
)
def test_the_chart_of_the_operator_has_no_critical_finding(helm, values):
    crds = {"crds": {"install": False}}
    assert list(findings(helm.render(OPERATOR, {**values, **crds}))) == []


def test_the_test_of_a_fleet_s_chart_has_no_critical_finding(helm):
    manifests = helm.render(FLEET, {"model": {"id": "flamingo-tiny"}})
    assert [one for one in findings(manifests) if not one.endswith("no NetworkPolicy")] == []


@pytest.mark.parametrize("spec", FLEETS.values(), ids=FLEETS)
def test_the_objects_of_a_fleet_have_no_critical_finding(spec):
    assert list(findings(fleet_objects({**spec, **CLIENTS}))) == []


DAMAGE = {
    "no tag": lambda pod: pod["containers"][0].update(image="ghcr.io:443/a/b"),
    "no memory": lambda pod: pod["containers"][0]["resources"]["limits"].pop("memory"),
    "no cpu": lambda pod: pod["containers"][0]["resources"]["requests"].pop("cpu"),
    "root filesystem": lambda pod: pod["containers"][0]["securityContext"].pop(
        "readOnlyRootFilesystem"
    ),
    "escalate": lambda pod: pod["containers"][0]["securityContext"].pop("allowPrivilegeEscalation"),
    "runAsUser": lambda pod: pod["securityContext"].update(runAsUser=1000),
    "no probes": lambda pod: pod["containers"][0].pop("livenessProbe"),
    "identical": lambda pod: pod["containers"][0].update(
        livenessProbe=pod["containers"][0]["readinessProbe"]
    ),
    "repeat": lambda pod: pod["containers"][0].update(env=[{"name": "A"}, {"name": "A"}]),
}


@pytest.mark.parametrize("message", DAMAGE)
def test_what_is_critical_is_found(message):
    manifests = copy.deepcopy(objects(install_yaml.FILE.read_text(encoding="utf-8")))
    (deployment,) = (one for one in manifests if one["kind"] == "Deployment")
    DAMAGE[message](pod_of(deployment)["spec"])
    (found,) = findings(manifests)
    assert message in found


@pytest.mark.parametrize("kind", ["NetworkPolicy", "PodDisruptionBudget"])
def test_a_missing_object_is_found(kind):
    manifests = objects(install_yaml.FILE.read_text(encoding="utf-8"))
    (found,) = findings([one for one in manifests if one["kind"] != kind])
    assert found == f"Deployment/flamingo-operator: no {kind}"
