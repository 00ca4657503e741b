"""The chart of a fleet renders a valid FlamingoDeployment from its values."""

import base64
import json

import pytest
import yaml
from charts.helm import FLEET, of_kind
from control_plane.batch_deployments import SHARED

from flamingo_common.service import keys
from flamingo_operator.api import names, spec

ALICE = {"name": "alice", "sha256": keys.digest_of("fk-alice"), "requests_per_minute": 600}


def spec_of(helm, values):
    body = of_kind(helm.render(FLEET, values), "FlamingoDeployment")
    spec.parse(body)
    return body["spec"]


def key_file(secret):
    return {name: base64.b64decode(one).decode() for name, one in secret["data"].items()}


def test_the_chart_has_no_lint(helm):
    done = helm.call("lint", "--strict", str(FLEET))
    assert done.returncode == 0, done.stdout


def test_the_default_values_make_a_fleet_of_the_release_s_name_without_replicas(helm):
    objects = helm.render(FLEET, {})
    assert [one["kind"] for one in objects] == ["FlamingoDeployment", "Pod"]
    body = of_kind(objects, "FlamingoDeployment")
    assert body["metadata"]["name"] == "music"
    assert body["spec"] == {"model": {"id": "nvidia/music-flamingo-2601-hf"}}


EXAMPLES = (
    {"model": {"id": "flamingo-tiny"}, "gpu": {"count": 0}},
    {"replicas": 3, "paused": True, "suspend": False},
    {"server": {"securityContext": {"runAsUser": 1_000_680_000}, "sharedMemory": "16Gi"}},
    {"router": {"pdb": {"maxUnavailable": "50%"}, "replicas": 2}, "gpu": {"minMemory": "40Gi"}},
    {"networkPolicy": {"clients": []}, "cost": {"gpuPerHour": "1.5"}},
    {"router": {"ingress": {}}},
    {"batches": {"replicas": 2, **SHARED, "podTemplate": {"spec": {"hostAliases": []}}}},
)


@pytest.mark.parametrize("values", EXAMPLES, ids=",".join)
def test_values_become_the_spec_as_they_are(helm, values):
    model = {"id": "nvidia/music-flamingo-2601-hf"}
    assert spec_of(helm, values) == {"model": model} | values


def test_null_unsets_a_value_of_an_earlier_file(helm, tmp_path):
    values = {"replicas": None, "router": {"replicas": None, "service": None}, "gpu": None}
    (tmp_path / "more.json").write_text(json.dumps(values))
    earlier = {"replicas": 3, "router": {"replicas": 3}, "gpu": {"count": 0}}
    (body, _) = helm.render(FLEET, earlier, f"--values={tmp_path / 'more.json'}")
    assert body["spec"].keys() == {"model", "router"}
    assert body["spec"]["router"] == {}


def test_labels_and_annotations_are_on_all_objects(helm):
    values = {"commonLabels": {"team": "audio"}, "commonAnnotations": {"owner": "a"}}
    objects = helm.render(FLEET, values | {"apiKeys": {"keys": [ALICE]}})
    assert {one["kind"] for one in objects} == {"FlamingoDeployment", "Secret", "Pod"}
    for body in objects:
        assert body["metadata"]["labels"]["team"] == "audio"
        assert body["metadata"]["labels"]["app.kubernetes.io/instance"] == "music"
        assert body["metadata"]["annotations"]["owner"] == "a"
        assert body["metadata"]["namespace"] == "audio"


def test_the_secret_with_api_keys_is_a_key_file_that_admits_its_own_keys(helm):
    objects = helm.render(FLEET, {"apiKeys": {"keys": [ALICE]}})
    entries = key_file(of_kind(objects, "Secret"))
    ring = keys.parse(entries["keys.yaml"].encode())
    assert ring.find(b"fk-alice").requests_per_minute == 600
    assert ring.find(entries["observe-key"].encode()).may == {"observe"}
    assert ring.find(entries["test-key"].encode()).may == {"infer"}
    auth = of_kind(objects, "FlamingoDeployment")["spec"]["auth"]
    name = {"name": of_kind(objects, "Secret")["metadata"]["name"]}
    assert auth == {"keysSecretRef": name, "observeKeySecretRef": name}
    spec.parse(of_kind(objects, "FlamingoDeployment"))


def test_without_the_test_there_is_no_key_for_it(helm):
    values = {"apiKeys": {"keys": [ALICE]}, "tests": {"enabled": False}}
    objects = helm.render(FLEET, values)
    entries = key_file(of_kind(objects, "Secret"))
    assert entries.keys() == {"keys.yaml", "observe-key"}
    names = [one["name"] for one in yaml.safe_load(entries["keys.yaml"])["keys"]]
    assert names == ["alice", "flamingo-observe"]
    assert "Pod" not in {one["kind"] for one in objects}


def test_with_batches_the_secret_has_a_key_with_which_they_call_the_routers(helm):
    batches = {"storage": {"size": "20Gi"}}
    objects = helm.render(FLEET, {"apiKeys": {"keys": [ALICE]}, "batches": batches})
    entries = key_file(of_kind(objects, "Secret"))
    ring = keys.parse(entries["keys.yaml"].encode())
    found = ring.find(entries["batches-key"].encode())
    assert (found.name, found.may) == ("flamingo-batches", {"infer"})
    body = of_kind(objects, "FlamingoDeployment")
    assert body["spec"]["batches"] == batches
    parsed = spec.parse(body).spec.auth
    assert parsed.batches_key_secret_ref.name == parsed.keys_secret_ref.name


def test_an_existing_secret_is_used_and_none_is_made(helm):
    objects = helm.render(FLEET, {"apiKeys": {"existingSecret": "mine"}})
    assert "Secret" not in {one["kind"] for one in objects}
    auth = of_kind(objects, "FlamingoDeployment")["spec"]["auth"]
    assert auth["keysSecretRef"] == auth["observeKeySecretRef"] == {"name": "mine"}


AUTH = {"keysSecretRef": {"name": "a"}, "observeKeySecretRef": {"name": "b"}}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"apiKeys": {"keys": [ALICE], "existingSecret": "a"}}, "apiKeys.existingSecret are both"),
        ({"apiKeys": {"existingSecret": "a"}, "auth": AUTH}, "auth and apiKeys are both set"),
        ({"apiKeys": {"keys": [ALICE | {"name": "flamingo-test"}]}}, "has the name flamingo-test"),
        ({"apiKeys": {"keys": [ALICE, ALICE | {"name": "bob"}]}}, "same sha256 for alice and bob"),
        ({"apiKeys": None}, "missing property 'apiKeys'"),
        ({"tests": {"timeoutSeconds": None}}, "at '/tests': missing property 'timeoutSeconds'"),
    ],
)
def test_values_that_contradict_each_other_are_refused_in_one_sentence(helm, values, message):
    assert message in helm.refusal(FLEET, values)


def test_a_chart_that_is_a_dependency_gets_its_condition_and_global_values(helm):
    assert spec_of(helm, {"enabled": True, "global": {"a": 1}}).keys() == {"model"}


@pytest.mark.parametrize("name", ["1st", "music.team", "a" * 41, "music-servers"])
def test_a_release_whose_name_no_fleet_may_have_is_refused_before_anything_is_made(helm, name):
    done = helm.call("template", name, str(FLEET))
    assert f'"{name}" cannot be the name of a FlamingoDeployment' in done.stderr
    body = {**spec_body(helm), "metadata": {"name": name}}
    with pytest.raises(spec.SpecError, match=r"metadata\.name"):
        spec.parse(body)


def spec_body(helm):
    return of_kind(helm.render(FLEET, {}), "FlamingoDeployment")


def test_the_longest_name_that_a_fleet_may_have_is_accepted(helm):
    done = helm.call("template", "a" * names.MAX_NAME_CHARS, str(FLEET))
    assert done.returncode == 0, done.stderr
