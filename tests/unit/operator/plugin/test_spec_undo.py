"""The spec that has the pods of an earlier revision again."""

import json

import pytest
from control_plane.deployments import FULL
from fakes.clusters import RELEASE, Cluster

from flamingo_operator.api import spec as specs
from flamingo_operator.cluster import observed
from flamingo_operator.manifests import pod_template, spec_revision
from flamingo_operator.plugin import spec_undo

CLAIM = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "1Gi"}}
KEYS = {"keysSecretRef": {"name": "a"}, "observeKeySecretRef": {"name": "b"}}


def defaulted(given):
    """Return a spec with its defaults, as the API server stores it."""
    spec = Cluster.of(given).deployment.spec
    return json.loads(spec.model_dump_json(by_alias=True, exclude_none=True))


def stored(given, release=RELEASE):
    manifest = spec_revision.new_manifest(
        Cluster.of(given).deployment, release, number=1, annotations={}
    )
    metadata = {**manifest["metadata"], "uid": "u", "resourceVersion": "1"}
    return observed.parse_revision({**manifest, "metadata": metadata})


def pods_of(spec):
    body = {**Cluster.of({}).body, "spec": spec}
    return pod_template.build_template(specs.parse(body), RELEASE)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"server": {"image": "a:1"}}, {"server": {"image": "b:2"}}),
        ({}, {"server": {"args": ["-x"], "env": [{"name": "A", "value": "1"}]}}),
        ({"server": {"args": ["-x"]}}, {}),
        ({"cache": CLAIM}, {"cache": {"type": "EmptyDir"}}),
        ({"cache": {"type": "EmptyDir"}}, {"cache": CLAIM}),
        ({"drain": {"settleSeconds": 1, "deadlineSeconds": 5}}, {"drain": {"settleSeconds": 60}}),
        ({"auth": KEYS}, {}),
        ({}, {"auth": KEYS}),
        ({}, FULL),
        (FULL, {"model": FULL["model"]}),
    ],
)
def test_the_pods_are_those_of_the_revision_and_other_fields_stay(before, after):
    model = {"model": FULL["model"]}
    others = {"replicas": 7, "router": {"replicas": 5}, "rollout": {"maxSurge": 3}}
    if "scaling" in after:
        others.pop("replicas")
    current = defaulted({**model, **after, **others})
    spec = spec_undo.spec_of_revision("music", current, stored({**model, **before}))
    assert pods_of(spec) == pods_of(defaulted({**model, **before}))
    for field in ("replicas", "router", "rollout", "scaling", "cost", "paused"):
        assert spec.get(field) == current.get(field)


def test_only_what_the_pods_need_is_restored():
    before = {"server": {"args": ["-x"], "pdb": {"maxUnavailable": 1}}, "cache": {**CLAIM}}
    claim = {"size": "5Gi", "retain": False}
    after = {"server": {"pdb": {"maxUnavailable": 2}}}
    after |= {"cache": {**CLAIM, "persistentVolumeClaim": claim}}
    current = defaulted(after)
    spec = spec_undo.spec_of_revision("music", current, stored(before))
    assert spec == {**current, "server": {**current["server"], "args": ["-x"]}}


def test_the_spec_of_the_revision_itself_stays_as_it_is():
    current = defaulted({"server": {"image": "a:1"}})
    assert (
        spec_undo.spec_of_revision("music", current, stored({"server": {"image": "a:1"}}))
        == current
    )


def test_a_revision_without_a_usable_spec_cannot_be_returned_to():
    revision = stored({})
    for inputs in ("", "{}", '{"spec": {"model": 1}, "serverImage": "pod:1"}'):
        broken = observed.Revision(revision.ref, "x", 1, revision.template, inputs=inputs)
        assert spec_undo.spec_of_revision("music", defaulted({}), broken) is None


def test_the_image_of_a_revision_can_be_named():
    assert spec_undo.pinned(defaulted({}), stored({}))["server"]["image"] == RELEASE.server_image


def test_fields_of_a_newer_release_stay_as_they_are():
    current = {**defaulted({"server": {"image": "b:2"}}), "ofTheNextRelease": {"a": 1}}
    spec = spec_undo.spec_of_revision("music", current, stored({"server": {"image": "a:1"}}))
    assert spec == {**current, "server": {**current["server"], "image": "a:1"}}
