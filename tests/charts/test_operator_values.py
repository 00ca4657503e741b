"""The values of the operator's chart: each is described, used, and refused if it is misspelt."""

import json
import re

import operator_schema
import pytest
import yaml
from charts.helm import OPERATOR, of_kind

VALUES = yaml.safe_load((OPERATOR / "values.yaml").read_text(encoding="utf-8"))
SCHEMA = json.loads(operator_schema.FILE.read_text(encoding="utf-8"))
DIGEST = "sha256:" + "0" * 64


def sections(schema, path=()):
    """Yield the path of each section with the names of its values."""
    yield path, schema["properties"]
    for name, one in schema["properties"].items():
        if "properties" in one:
            yield from sections(one, (*path, name))


def leaves(schema):
    return [
        (*path, name)
        for path, properties in sections(schema)
        for name, one in properties.items()
        if "properties" not in one and (*path, name) != ("enabled",)
    ]


def misspelt(name):
    """Return a name with two of its letters exchanged."""
    at = next(at for at in range(len(name) - 1) if name[at] != name[at + 1])
    return name[:at] + name[at + 1] + name[at] + name[at + 2 :]


def test_the_schema_has_exactly_the_values_of_the_file():
    def known(path):
        found = VALUES
        for name in path:
            found = found[name]
        return True

    assert all(known(path) for path in leaves(SCHEMA))
    assert len(leaves(SCHEMA)) > 60


def test_every_value_is_used_by_a_template():
    templates = "".join(
        file.read_text(encoding="utf-8") for file in (OPERATOR / "templates").rglob("*.*")
    )
    for path in leaves(SCHEMA):
        whole = r"\.".join(path)
        # Within a section that `with` opened, or that was passed on, only the last name is written.
        is_used = re.search(rf"\.Values\.{whole}\b", templates) or (
            re.search(rf"\.Values\.{path[0]}\b", templates)
            and re.search(rf"[ (][$.a-zA-Z]*\.{path[-1]}\b", templates)
        )
        assert is_used, path


def test_every_misspelt_value_is_refused_with_its_path(helm):
    values, expected = {}, {}
    for path, properties in sections(SCHEMA):
        place = values
        for name in path:
            place = place.setdefault(name, {})
        place |= {misspelt(name): {} for name in properties}
        expected["/" + "/".join(path) if path else ""] = {misspelt(name) for name in properties}
    refused = {}
    for line in helm.refusal(OPERATOR, values).splitlines():
        if found := re.match(
            r"- at '([^']*)': additional properties (.*) not allowed", line.strip()
        ):
            refused[found[1]] = set(re.findall(r"'([^']+)'", found[2]))
    # Other charts' values are in this section, too.
    del expected["/global"]
    assert refused == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"replicas": "two"}, "at '/replicas': got string, want integer"),
        ({"replicas": 17}, "at '/replicas': maximum: got 17, want 16"),
        ({"logLevel": "verbose"}, "at '/logLevel': value must be one of 'debug', 'info'"),
        ({"image": {"digest": "sha256:abc"}}, "at '/image/digest': 'sha256:abc' does not match"),
        ({"watchNamespaces": ["Team"]}, "at '/watchNamespaces/0': 'Team' does not match"),
        ({"watchNamespaces": ["a", "a"]}, "at '/watchNamespaces': items at 0 and 1 are equal"),
        ({"watchNamespaces": "a"}, "at '/watchNamespaces': got string, want array"),
        ({"commonLabels": {"a": 1}}, "at '/commonLabels/a': got number, want string"),
        ({"tolerations": [{"kye": "a"}]}, "at '/tolerations/0': additional properties 'kye'"),
        ({"extraEnv": [{"value": "a"}]}, "at '/extraEnv/0': missing property 'name'"),
        ({"resources": {"limits": {"cpu": "lots"}}}, "at '/resources/limits/cpu': 'lots' does"),
        ({"resources": {"limit": {}}}, "at '/resources': additional properties 'limit'"),
        (
            {"affinity": {"nodeAffinity": {"required": {}}}},
            "at '/affinity/nodeAffinity': additional properties 'required'",
        ),
        (
            {"extraVolumes": [{"name": "ca", "configmap": {}}]},
            "at '/extraVolumes/0': additional properties 'configmap'",
        ),
        ({"serviceMonitor": {"interval": "often"}}, "at '/serviceMonitor/interval': 'often' does"),
        (
            {"serviceMonitor": {"relabelings": [{"source": ["a"]}]}},
            "at '/serviceMonitor/relabelings/0': additional properties 'source'",
        ),
        (
            {"networkPolicy": {"metricsFrom": [{"podSelectors": {}}]}},
            "at '/networkPolicy/metricsFrom/0': additional properties 'podSelectors'",
        ),
        ({"image": {"tag": 1.1}}, "at '/image/tag': got number, want string"),
        ({"image": {"tag": "a:b"}}, "at '/image/tag': 'a:b' does not match"),
        (
            {"image": {"repository": "a.example/b:1"}},
            "at '/image/repository': 'a.example/b:1' does",
        ),
        ({"global": {"imageRegistry": "http://a"}}, "at '/global/imageRegistry': 'http://a' does"),
        ({"fullnameOverride": "Ünicode"}, "at '/fullnameOverride': 'Ünicode' does not match"),
        ({"nameOverride": "a_b"}, "at '/nameOverride': 'a_b' does not match"),
    ],
)
def test_a_wrong_value_is_refused_with_its_path(helm, values, message):
    assert message in helm.refusal(OPERATOR, values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"image": None}, "at '': missing property 'image'"),
        ({"logLevel": None}, "at '': missing property 'logLevel'"),
        (
            {"networkPolicy": {"egress": {"enabled": True, "apiServerPorts": None}}},
            "at '/networkPolicy/egress': missing property 'apiServerPorts'",
        ),
        (
            {"prometheusRule": {"objectives": {"firstTokenSeconds": {"0-30s": None}}}},
            "at '/prometheusRule/objectives/firstTokenSeconds': missing property '0-30s'",
        ),
    ],
)
def test_null_does_not_unset_what_templates_rely_on(helm, values, message):
    """A rule without ports, for one, would allow connections to all."""
    assert message in helm.refusal(OPERATOR, values)


def test_null_unsets_what_kubernetes_has_a_default_for(helm):
    values = dict.fromkeys(("replicas", "resources", "topologySpreadConstraints"))
    openshift = dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup"))
    objects = helm.render(OPERATOR, {**values, "podSecurityContext": openshift})
    deployment = of_kind(objects, "Deployment")["spec"]
    pod = deployment["template"]["spec"]
    assert deployment["replicas"] is None
    assert pod["containers"][0]["resources"] is None
    assert "topologySpreadConstraints" not in pod
    assert pod["securityContext"].keys() == {"runAsNonRoot", "seccompProfile"}


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--namespaces=a", "extraArgs has --namespaces, which the chart sets: use the value watch"),
        ("--log-level=debug", "extraArgs has --log-level, which the chart sets: use the value log"),
        ("--port=9000", "extraArgs has --port, but probes, the Service"),
    ],
)
def test_a_flag_that_the_chart_sets_is_refused_among_additional_ones(helm, flag, message):
    assert message in helm.refusal(OPERATOR, {"extraArgs": ["--resync-interval-s=60", flag]})


def test_the_address_to_listen_on_may_be_changed_for_nodes_without_ipv6(helm):
    assert helm.render(OPERATOR, {"extraArgs": ["--host=0.0.0.0"]})


@pytest.mark.parametrize("name", ["1st", "music.team"])
def test_a_release_whose_name_no_service_may_have_is_refused(helm, name):
    done = helm.call("template", name, str(OPERATOR))
    assert f'"{name}-flamingo-operator" cannot be the name of a Service' in done.stderr
    assert helm.call("template", name, str(OPERATOR), "--set=fullnameOverride=a").returncode == 0


def test_helm_3_refuses_wrong_values_too(helms):
    refusal = helms("helm3").refusal(OPERATOR, {"image": {"tga": 1}, "replicas": "two"})
    assert "image: Additional property tga is not allowed" in refusal
    assert "replicas: Invalid type. Expected: integer, given: string" in refusal


def test_what_copies_into_pods_accepts_what_kubernetes_does(helm):
    quantity = {"requests": {"cpu": 1, "memory": "1.5Gi"}, "limits": {"cpu": 0.5, "memory": "2Gi"}}
    values = {
        "resources": quantity,
        "podDisruptionBudget": {"maxUnavailable": "50%"},
        "extraEnv": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "gpu", "operator": "DoesNotExist"}]}
                    ]
                }
            }
        },
        "global": {"storageClass": "of another chart"},
        "enabled": True,
    }
    assert helm.render(OPERATOR, values)


def test_a_value_that_is_not_described_cannot_get_into_the_schema():
    with pytest.raises(ValueError, match="extra: add a comment"):
        operator_schema.schema("global: {a: 1}\n# Nothing says what it may have.\nextra: []\n")
