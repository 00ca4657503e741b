"""A user's changes of the pods that the operator renders."""

import pytest
from fakes.clusters import RELEASE, Cluster

from flamingo_operator.manifests import common, overlay, pod_template, router, spec_revision


def server_template(pod_template_patch, **server):
    cluster = Cluster.of({"server": {"podTemplate": pod_template_patch, **server}})
    return pod_template.build_template(cluster.deployment, RELEASE)


def router_template(pod_template_patch):
    cluster = Cluster.of({"router": {"podTemplate": pod_template_patch}})
    manifests = router.router_manifests(cluster.deployment, RELEASE)
    (found,) = (one for one in manifests if one["kind"] == "Deployment")
    return common.without_empty(found["spec"]["template"])


TEMPLATES = pytest.mark.parametrize(
    ("template_of", "container"), [(server_template, "server"), (router_template, "router")]
)
PROXY = {"name": "proxy", "image": "proxy:1"}


def named(items, name):
    (found,) = (one for one in items if one["name"] == name)
    return found


@TEMPLATES
def test_a_field_of_the_pod_is_added(template_of, container):
    changed = template_of({"spec": {"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["hub"]}]}})
    assert changed["spec"]["hostAliases"] == [{"ip": "10.0.0.1", "hostnames": ["hub"]}]
    assert named(changed["spec"]["containers"], container)["args"]


@TEMPLATES
def test_what_the_operator_sets_is_changed_field_by_field(template_of, container):
    security = {"readOnlyRootFilesystem": False}
    patch = {"spec": {"containers": [{"name": container, "securityContext": security}]}}
    changed = named(template_of(patch)["spec"]["containers"], container)["securityContext"]
    assert changed["readOnlyRootFilesystem"] is False
    assert changed["allowPrivilegeEscalation"] is False


@TEMPLATES
def test_a_sidecar_comes_beside_the_operator_s_container(template_of, container):
    changed = template_of({"spec": {"containers": [PROXY]}})
    assert named(changed["spec"]["containers"], "proxy") == PROXY
    assert named(changed["spec"]["containers"], container)["readinessProbe"]


@TEMPLATES
def test_kubectl_chooses_the_operator_s_container_beside_a_sidecar(template_of, container):
    annotations = template_of({"spec": {"containers": [PROXY]}})["metadata"]["annotations"]
    assert annotations == {overlay.DEFAULT_CONTAINER: container}


def test_kubectl_chooses_the_container_that_the_user_named():
    chosen = {"annotations": {overlay.DEFAULT_CONTAINER: "proxy"}}
    changed = server_template({"metadata": chosen, "spec": {"containers": [PROXY]}})
    assert changed["metadata"] == chosen


@TEMPLATES
def test_the_operator_s_labels_and_volumes_stay(template_of, container):
    before, changed = template_of({}), template_of({"metadata": {"labels": {"team": "audio"}}})
    labels = before.get("metadata", {}).get("labels", {})
    assert changed["metadata"]["labels"] == {**labels, "team": "audio"}
    assert changed["spec"] == before["spec"]


def test_it_is_applied_after_the_fields_of_the_block():
    patch = {"metadata": {"labels": {"team": "b"}}, "spec": {"nodeSelector": {"pool": "b"}}}
    block = {"podMetadata": {"labels": {"team": "a", "app": "c"}}, "nodeSelector": {"pool": "a"}}
    changed = server_template(patch, **block)
    assert changed["metadata"]["labels"] == {"team": "b", "app": "c"}
    assert changed["spec"]["nodeSelector"] == {"pool": "b"}


def test_quantities_are_written_as_the_api_server_stores_them():
    limits = {"cpu": 2, "memory": "1024Mi"}
    sidecar = {**PROXY, "resources": {"limits": limits, "requests": {"cpu": "500m"}}}
    changed = server_template({"spec": {"containers": [sidecar]}})
    assert named(changed["spec"]["containers"], "proxy")["resources"] == {
        "limits": {"cpu": "2", "memory": "1Gi"},
        "requests": {"cpu": "500m"},
    }


def test_no_overlay_and_an_empty_one_render_the_same_pod():
    cluster = Cluster.of({})
    plain = pod_template.build_template(cluster.deployment, RELEASE)
    assert server_template({}) == plain
    assert server_template({"spec": {}}) == plain
    assert server_template({"metadata": {}, "spec": {"containers": [{"name": "server"}]}}) == plain


def test_another_overlay_is_another_revision():
    hashes = {
        pod_template.template_hash(server_template({"spec": {"hostname": name}})) for name in "ab"
    }
    assert len(hashes) == 2


def test_the_overlay_of_the_routers_is_no_part_of_the_revision():
    before = Cluster.of({}).deployment
    after = Cluster.of({"router": {"podTemplate": {"spec": {"hostname": "a"}}}}).deployment
    made = [
        spec_revision.new_manifest(one, RELEASE, number=1, annotations={})
        for one in (before, after)
    ]
    assert made[0]["metadata"]["name"] == made[1]["metadata"]["name"]
