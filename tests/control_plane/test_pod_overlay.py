"""Overlays of pod templates: judged, and merged, as by a real API server."""

import pytest
from control_plane.api_server import ApiServer
from control_plane.bad_pods import BAD_PODS
from control_plane.operators import wait_until
from control_plane.overlays import BAD, GOOD
from fakes.clusters import RELEASE, Cluster
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flamingo_operator.api import names
from flamingo_operator.manifests import router, strategic_merge

OURS = f"/apis/{names.GROUP}/{names.VERSION}/namespaces/default/{names.PLURAL}"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
TEMPLATE = {
    "type": "object",
    "properties": {"metadata": {"$ref": "ObjectMeta"}, "spec": {"$ref": "PodSpec"}},
}


@pytest.fixture(scope="module")
def api(cluster):
    return ApiServer.of(cluster)


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.id)
def test_a_valid_overlay_is_stored_as_it_is(api, case):
    stored = api.create(OURS, case.body)["spec"]
    for name, block in case.spec.items():
        assert stored[name]["podTemplate"] == block["podTemplate"]


@pytest.mark.parametrize("case", BAD + BAD_PODS, ids=lambda case: case.id)
def test_what_no_pod_may_have_is_refused_with_the_same_words(api, case):
    refusal = api.create(OURS, case.body)["message"]
    for error in case.errors:
        assert error in refusal


WORDS = st.sampled_from(["a", "b", "c", "d"])
VALUES = st.sampled_from(["1", "2"])
PORTS = st.sampled_from([8001, 8002, 8003])
VARIABLE = st.fixed_dictionaries({"name": WORDS, "value": VALUES})
MOUNT = st.builds(
    lambda name, path: {"name": name, "mountPath": f"/mnt/{path}"},
    st.sampled_from(["scratch", "spool"]),
    WORDS,
)
PORT = st.builds(lambda port: {"containerPort": port, "protocol": "TCP", "name": f"p{port}"}, PORTS)


def _unique(item, key, **limits):
    return st.lists(item, unique_by=lambda one: one[key], max_size=3, **limits)


CONTAINER = {
    "env": _unique(VARIABLE, "name"),
    "volumeMounts": _unique(MOUNT, "mountPath"),
    "ports": _unique(PORT, "containerPort"),
    "workingDir": WORDS.map(lambda word: f"/{word}"),
    "resources": st.fixed_dictionaries({"limits": st.dictionaries(st.just("cpu"), VALUES)}),
    "securityContext": st.fixed_dictionaries({"readOnlyRootFilesystem": st.booleans()}),
}
OURS_PATCHED = st.fixed_dictionaries({"name": st.just("router")}, optional=CONTAINER)
SIDECAR = st.fixed_dictionaries({"name": WORDS, "image": WORDS}, optional=CONTAINER)
INIT = SIDECAR.map(lambda one: one | {"name": "i" + one["name"]})
SPEC = st.fixed_dictionaries(
    {},
    optional={
        "containers": _unique(st.one_of(OURS_PATCHED, SIDECAR), "name"),
        "initContainers": _unique(
            SIDECAR.map(lambda one: one | {"name": "i" + one["name"]}), "name"
        ),
        "hostAliases": _unique(
            st.builds(lambda ip, host: {"ip": f"10.0.0.{ip}", "hostnames": [host]}, VALUES, WORDS),
            "ip",
        ),
        "imagePullSecrets": _unique(st.fixed_dictionaries({"name": WORDS}), "name"),
        "nodeSelector": st.dictionaries(WORDS, VALUES, max_size=2),
        "tolerations": st.lists(st.fixed_dictionaries({"key": WORDS, "value": VALUES}), max_size=2),
        "securityContext": st.fixed_dictionaries({"fsGroup": st.integers(1, 3)}),
        "volumes": _unique(
            st.builds(lambda name, medium: {"name": name, "emptyDir": medium}, WORDS, st.just({})),
            "name",
        ),
    },
)
PATCH = st.fixed_dictionaries(
    {"spec": SPEC},
    optional={
        "metadata": st.fixed_dictionaries({"labels": st.dictionaries(WORDS, VALUES, max_size=2)})
    },
)


@pytest.fixture(scope="module")
def stored(cluster, api):
    """Create the Deployment of a fleet's routers; return its template as it was applied."""
    deployment = Cluster.of({}).deployment
    manifests = router.router_manifests(deployment, RELEASE)
    (made,) = (one for one in manifests if one["kind"] == "Deployment")
    made["metadata"] = {"name": "patched"}
    made["spec"]["replicas"] = 0
    cluster.output("create", "-f", "-", body=made)
    wait_until(lambda: "kind" in api.patch(f"{DEPLOYMENTS}/patched", {}), "it is stored")
    yield made
    cluster.output("delete", "deployment", "patched")


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(patch=PATCH)
def test_a_merge_gives_what_a_strategic_merge_patch_gives(api, stored, patch):
    patched = api.patch(f"{DEPLOYMENTS}/patched", {"spec": {"template": patch}})
    assert patched["kind"] == "Deployment", patched["message"]
    merged = strategic_merge.merge(TEMPLATE, stored["spec"]["template"], patch)
    ours = api.create(
        DEPLOYMENTS,
        {
            **stored,
            "metadata": {"name": "merged"},
            "spec": {**stored["spec"], "template": merged},
        },
    )
    assert ours["kind"] == "Deployment", ours["message"]
    assert ours["spec"]["template"] == patched["spec"]["template"]


def test_a_volume_s_source_is_replaced_as_with_retained_keys(api, stored):
    volume = {"name": "scratch", "hostPath": {"path": "/fast", "type": ""}}
    retained = {**volume, "$retainKeys": ["name", "hostPath"]}
    patch = {"spec": {"template": {"spec": {"volumes": [retained]}}}}
    patched = api.patch(f"{DEPLOYMENTS}/patched", patch)["spec"]["template"]["spec"]["volumes"]
    merged = strategic_merge.merge(
        TEMPLATE, stored["spec"]["template"], {"spec": {"volumes": [volume]}}
    )
    assert merged["spec"]["volumes"] == patched
