"""Which revision a spec has: the one whose pods are rendered alike."""

import json
from dataclasses import replace

from control_plane.deployments import FULL, deployment
from fakes.clusters import RELEASE, Cluster
from fakes.effort import examples
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from flamingo_operator.api import spec as specs
from flamingo_operator.cluster import observed
from flamingo_operator.manifests import pod_template, spec_revision
from flamingo_operator.manifests.common import Release

QUICK = {"minReadySeconds": 0}
NEXT_RELEASE = Release("pod:2", "router:2", "batches:2", RELEASE.operator_namespace)
CHANGED = {"image": "other:2", "args": ["--max-concurrent-answers=9"], "sharedMemory": "3Gi"}


def leaves(value, path=()):
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from leaves(inner, (*path, name))
    else:
        yield path, value


def with_leaf(body, path, value):
    name, *rest = path
    return {**body, name: with_leaf(body.get(name, {}), rest, value) if rest else value}


LEAVES = [
    *leaves({name: value for name, value in FULL.items() if name != "model"}),
    *leaves({"model": {name: one for name, one in FULL["model"].items() if name != "id"}}),
    *leaves({"server": CHANGED, "replicas": 2, "drain": {"deadlineSeconds": 700}}),
]


def parsed_from(chosen):
    """Return a deployment with these fields of a full spec, and some others."""
    body = {"model": {"id": "flamingo-tiny"}}
    for path, value in chosen:
        body = with_leaf(body, path, value)
    try:
        return specs.parse(deployment(body))
    except specs.SpecError:
        assume(False)


@st.composite
def pairs(draw):
    """Return two valid deployments, of which the second has up to three other fields."""
    chosen = draw(st.lists(st.sampled_from(LEAVES), max_size=12))
    changed = draw(st.lists(st.sampled_from(LEAVES), max_size=3))
    return parsed_from(chosen), parsed_from([*chosen, *changed])


def stored(of, release=RELEASE, number=1):
    """Return the revision of a deployment, as it is read back from the API server."""
    manifest = spec_revision.new_manifest(of, release, number=number, annotations={})
    metadata = {**manifest["metadata"], "uid": f"u-{number}", "resourceVersion": "1"}
    text = json.dumps({**manifest, "metadata": metadata})
    return observed.parse_revision(json.loads(text))


@settings(max_examples=examples(150), deadline=None)
@given(pair=pairs())
def test_two_specs_have_one_revision_if_and_only_if_their_pods_are_equal(pair):
    before, after = pair
    pods = [pod_template.build_template(one, RELEASE) for one in (before, after)]
    found = spec_revision.find(after, RELEASE, [stored(before)])
    assert (found is not None) == (pods[0] == pods[1])
    assert (stored(before).hash == stored(after).hash) == (pods[0] == pods[1])
    both = [stored(before), stored(after, number=2)]
    assert spec_revision.find(after, RELEASE, both).number == 2


@settings(max_examples=examples(50), deadline=None)
@given(pair=pairs())
def test_a_revision_is_found_again_after_it_was_stored_also_by_the_next_release(pair):
    of = pair[1]
    revision = stored(of)
    assert json.loads(revision.template) == pod_template.build_template(of, RELEASE)
    for release in (RELEASE, NEXT_RELEASE):
        assert spec_revision.find(of, release, [revision]) == revision


@settings(max_examples=examples(100), deadline=None)
@given(pair=pairs())
def test_a_change_after_an_upgrade_starts_a_rollout_only_if_it_changes_a_pod(pair):
    before, after = pair
    revision = stored(before)
    # As if another release of the operator had rendered it, with a flag that is gone now.
    template = json.loads(revision.template)
    template["spec"]["containers"][0]["args"].append("--of-the-last-release")
    revision = replace(revision, template=json.dumps(template), hash="0123456789")
    pods = [pod_template.build_template(one, RELEASE) for one in (before, after)]
    found = spec_revision.find(after, NEXT_RELEASE, [revision])
    assert (found == revision) == (pods[0] == pods[1])


def test_the_default_image_is_taken_by_name_or_with_any_other_change_of_the_pod():
    cluster = Cluster.of({"replicas": 2, "rollout": QUICK})
    cluster.live(4)
    (old,) = cluster.hashes
    cluster.change(server={"image": RELEASE.server_image})
    assert cluster.operate().actions == ()
    cluster.release = NEXT_RELEASE
    cluster.change(server={})
    cluster.live(4)
    assert cluster.hashes == [old]
    cluster.change(server={"image": "pod:2"})
    cluster.live(8)
    assert cluster.hashes != [old]
    taken = cluster.hashes
    cluster.change(server={})
    cluster.live(4)
    assert cluster.hashes == taken


def test_changes_that_touch_no_pod_replace_none():
    claim = {"size": "1Gi", "retain": True}
    cluster = Cluster.of(
        {"replicas": 2, "rollout": QUICK, "cache": {"type": "PersistentVolumeClaim"}}
        | {"cache": {"type": "PersistentVolumeClaim", "persistentVolumeClaim": claim}}
    )
    cluster.live(4)
    before = dict(cluster.pods)
    for changed in ({"size": "2Gi"}, {"retain": False}, {"size": "3Gi", "retain": False}):
        cache = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {**claim, **changed}}
        cluster.change(cache=cache, replicas=2, router={"replicas": 3})
        cluster.live(3)
    assert cluster.pods == before
    assert len([one for one in cluster.raw if one[0] == "ControllerRevision"]) == 1


def test_another_spelling_of_a_quantity_is_no_other_pod():
    def resources(cpu, memory):
        requests = {"cpu": cpu, "memory": memory}
        return specs.parse(deployment({"server": {"resources": {"requests": requests}}}))

    revision = stored(resources("1000m", "2048Mi"))
    assert spec_revision.find(resources(1, "2Gi"), RELEASE, [revision]) == revision
    assert spec_revision.find(resources(2, "2Gi"), RELEASE, [revision]) is None


def test_a_revision_that_cannot_be_read_is_not_the_spec_s():
    of = specs.parse(deployment({}))
    for inputs in ("{}", "", '{"spec": {"model": 7}, "serverImage": "pod:1"}'):
        revision = replace(stored(of), inputs=inputs, hash="other")
        assert spec_revision.find(of, RELEASE, [revision]) is None
    bare = {"metadata": {"name": "x", "uid": "u", "resourceVersion": "1"}, "revision": 1}
    assert spec_revision.find(of, RELEASE, [observed.parse_revision(bare)]) is None


def test_the_revision_of_an_unchanged_spec_is_found_without_rendering_any():
    of = parsed_from(LEAVES[:3])
    known = [stored(of, number=2), stored(parsed_from([]), number=1)]
    spec_revision.rendered_hash.cache_clear()
    for release in (RELEASE, NEXT_RELEASE):
        assert spec_revision.find(of, release, known) == known[0]
    assert spec_revision.rendered_hash.cache_info().misses == 0
