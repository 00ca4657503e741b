"""The autoscaler of the routers, and who sets their number."""

from control_plane.deployments import AUTOSCALING
from fakes.clusters import RELEASE, Cluster

from flamingo_operator.manifests import owned_objects


def manifests(**router):
    deployment = Cluster.of({"router": router}).deployment
    made = owned_objects.build_manifests(deployment, RELEASE, 2)
    return deployment, {one["kind"]: one for one in made}


def initial_replicas(deployment, made):
    initial = owned_objects.initial_fields(deployment, made["Deployment"])
    return initial.get("spec", {}).get("replicas")


def test_a_number_in_the_spec_is_a_field_of_the_deployment():
    deployment, made = manifests(replicas=3)
    assert made["Deployment"]["spec"]["replicas"] == 3
    assert initial_replicas(deployment, made) is None
    assert "HorizontalPodAutoscaler" not in made


def test_without_a_number_two_routers_are_created_and_the_field_is_not_ours():
    deployment, made = manifests()
    assert "replicas" not in made["Deployment"]["spec"]
    assert initial_replicas(deployment, made) == 2


def test_an_autoscaler_without_metrics_reads_the_cpu_usage_and_targets_the_deployment():
    deployment, made = manifests(autoscaling={"minReplicas": 3, "maxReplicas": 9})
    spec = made["HorizontalPodAutoscaler"]["spec"]
    target = {"type": "Utilization", "averageUtilization": 80}
    assert spec["metrics"] == [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 9)
    assert spec["scaleTargetRef"]["name"] == made["Deployment"]["metadata"]["name"]
    assert "behavior" not in spec
    assert initial_replicas(deployment, made) == 3


def test_metrics_and_behavior_are_passed_on_as_they_were_written():
    _, made = manifests(autoscaling=AUTOSCALING)
    spec = made["HorizontalPodAutoscaler"]["spec"]
    assert spec["metrics"][1:] == AUTOSCALING["metrics"]
    assert spec["metrics"][0]["resource"]["target"]["averageUtilization"] == 60
    assert spec["behavior"] == AUTOSCALING["behavior"]


def test_only_metrics_that_were_written_count():
    _, made = manifests(autoscaling={"maxReplicas": 5, "metrics": AUTOSCALING["metrics"][:1]})
    assert made["HorizontalPodAutoscaler"]["spec"]["metrics"] == AUTOSCALING["metrics"][:1]
