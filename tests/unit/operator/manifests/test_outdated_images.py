"""Pods whose image is the default of another release."""

from dataclasses import replace

from control_plane import kstatus
from fakes.clusters import RELEASE, Cluster
from fakes.operator_inputs import QUICK, router_pod

from flamingo_operator.cluster import observed
from flamingo_operator.manifests.outdated_images import outdated_pods
from flamingo_operator.reporting import events

NEWER = replace(RELEASE, server_image="pod:2", router_image="router:2")


def upgraded(**spec):
    """Return a fleet of an earlier release, after the operator was upgraded."""
    cluster = Cluster.of({"replicas": 2, "rollout": QUICK, **spec})
    cluster.live(6)
    cluster.release = NEWER
    return cluster


def test_server_pods_keep_an_outdated_default_image_and_are_counted():
    cluster = upgraded()
    before, pods = cluster.status, set(cluster.pods)
    cluster.operate()
    assert before["outdatedReplicas"] == 0
    assert cluster.status["outdatedReplicas"] == 2
    found = [one for one in events.events(before, cluster.status) if one.reason == "ImageOutdated"]
    assert [one.is_warning for one in found] == [False]
    cluster.live(6)
    assert set(cluster.pods) == pods
    complete = next(one for one in cluster.status["conditions"] if one["type"] == "Progressing")
    assert "2 run the default image of another release" in complete["message"]
    assert "kubectl flamingo restart music" in complete["message"]
    body = {"metadata": cluster.body["metadata"], "status": cluster.status}
    assert kstatus.status_of(body) == "Current"


def test_an_image_that_the_spec_names_is_not_outdated():
    cluster = upgraded(server={"image": "mine:1"})
    cluster.operate()
    assert cluster.status["outdatedReplicas"] == 0


def test_pods_of_a_revision_that_is_being_replaced_are_not_counted():
    cluster = upgraded()
    cluster.change(model={"id": "flamingo-tiny", "maxAudioSeconds": 60})
    cluster.operate()
    assert cluster.status["outdatedReplicas"] == 0
    cluster.live(12)
    assert cluster.status["outdatedReplicas"] == 0
    assert cluster.status["updatedReplicas"] == 2


def test_router_pods_are_counted_until_their_deployment_has_replaced_them():
    cluster = Cluster.of({"replicas": 1})

    def num_outdated(*images, image=None):
        raw = [router_pod(str(number), "10.0.0.1") for number in range(len(images))]
        for pod, one in zip(raw, images, strict=True):
            pod["spec"] = {"containers": [{"name": "sidecar"}, {"name": "router", "image": one}]}
        cluster.change(router={"image": image} if image else {})
        routers = tuple(observed.parse_controlled_pod(one, observed.ROUTER_KIND) for one in raw)
        seen = replace(cluster.observed, routers=routers)
        return outdated_pods(cluster.deployment, seen, NEWER, None).num_routers

    assert num_outdated("router:1", "router:2") == 1
    assert num_outdated("router:2", "router:2") == 0
    assert num_outdated("router:1", image="router:1") == 0
