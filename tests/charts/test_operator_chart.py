"""What the chart of the operator renders."""

import tomllib

import pytest
import yaml
from charts.helm import OPERATOR, ROOT, of_kind

from flamingo_common.service.settings import resolve as load_settings
from flamingo_operator import crd, rbac, settings
from flamingo_operator.api import names, spec

WITHOUT_CRD = {"crds": {"install": False}}
PROMETHEUS_OPERATOR = (
    "--api-versions=monitoring.coreos.com/v1/ServiceMonitor",
    "--api-versions=monitoring.coreos.com/v1/PrometheusRule",
)


def rendered(helm, values=None, *flags):
    """Return all objects but the CustomResourceDefinition."""
    return helm.render(OPERATOR, {**WITHOUT_CRD, **(values or {})}, *PROMETHEUS_OPERATOR, *flags)


def definition(helm, values):
    return of_kind(helm.render(OPERATOR, values), "CustomResourceDefinition")


def test_the_chart_has_no_lint(helm):
    done = helm.call("lint", "--strict", str(OPERATOR))
    assert done.returncode == 0, done.stdout


def test_the_template_of_the_definition_is_generated_from_the_types():
    written = (ROOT / crd.CHART_TEMPLATE).read_text()
    assert written == crd.to_chart_template(crd.manifest()), "run python -m flamingo_operator.crd"


def test_the_definition_is_the_one_in_crds_with_the_chart_s_metadata(helm):
    found = definition(helm, {})
    assert found["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert found["metadata"].pop("labels")["app.kubernetes.io/managed-by"] == "Helm"
    assert found == yaml.load((ROOT / crd.FILE).read_text(), yaml.CSafeLoader)


@pytest.mark.parametrize("is_kept", [True, False])
def test_the_definition_is_kept_on_request(helm, is_kept):
    found = definition(helm, {"crds": {"keep": is_kept, "annotations": {"a": "b"}}})
    kept = {"helm.sh/resource-policy": "keep"} if is_kept else {}
    assert found["metadata"]["annotations"] == {"a": "b", **kept}


def test_a_description_may_contain_what_begins_an_action_of_a_template(helm, tmp_path):
    chart = tmp_path / OPERATOR.name
    (chart / "templates").mkdir(parents=True)
    for name in ("Chart.yaml", "values.yaml", "templates/_helpers.tpl"):
        (chart / name).write_text((OPERATOR / name).read_text())
    spec = {"a": "replicas {{ .Values.replicas }} are {{- wanted }}"}
    template = crd.to_chart_template({**crd.manifest(), "spec": spec})
    (chart / "templates" / "crd.yaml").write_text(template)
    assert definition_of(helm.render(chart, {})) == spec


def definition_of(objects):
    return of_kind(objects, "CustomResourceDefinition")["spec"]


def test_the_operator_of_the_whole_cluster_has_exactly_its_rules(helm):
    objects = rendered(helm, {"rbac": {"aggregateClusterRoles": False}})
    assert of_kind(objects, "ClusterRole")["rules"] == rbac.rules() + rbac.cluster_rules()
    assert of_kind(objects, "Role")["rules"] == rbac.own_rules()


def container_of(objects):
    (container,) = of_kind(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    return container


def images_of(objects):
    """Return the image of the operator, and those of server pods, router pods and batches."""
    container = container_of(objects)
    flags = dict(one.lstrip("-").partition("=")[::2] for one in container["args"])
    given = (flags[f"{one}-image"] for one in ("server", "router", "batches"))
    return container["image"], *given


DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("image", "registry", "expected"),
    [
        ({}, "", f"ghcr.io/flamingo-fleet/pod:{settings.RELEASE}"),
        ({"tag": "1"}, "", "ghcr.io/flamingo-fleet/pod:1"),
        ({"digest": DIGEST}, "", f"ghcr.io/flamingo-fleet/pod@{DIGEST}"),
        ({"tag": "1", "digest": DIGEST}, "", f"ghcr.io/flamingo-fleet/pod:1@{DIGEST}"),
        ({"tag": "1"}, "mirror.example:5000", "mirror.example:5000/flamingo-fleet/pod:1"),
        ({"tag": "1"}, "mirror.example/a/", "mirror.example/a/flamingo-fleet/pod:1"),
        ({"tag": "1", "repository": "audio/pod"}, "mirror.example", "mirror.example/audio/pod:1"),
        ({"tag": "1", "repository": "pod"}, "mirror.example", "mirror.example/pod:1"),
        ({"tag": "1", "repository": "localhost/pod"}, "mirror.example", "mirror.example/pod:1"),
    ],
)
def test_images_are_given_by_tag_or_digest_and_their_registry_is_replaced(
    helm, image, registry, expected
):
    values = dict.fromkeys(("image", "serverImage", "routerImage", "batchesImage"), image)
    if "repository" not in image:
        names = ("operator", "pod", "router", "batches")
        wanted = tuple(expected.replace("/pod", f"/{name}") for name in names)
    else:
        wanted = (expected,) * 4
    objects = rendered(helm, {**values, "global": {"imageRegistry": registry}})
    assert images_of(objects) == wanted


def test_the_chart_and_the_operator_are_of_one_release(helm):
    chart = yaml.safe_load((OPERATOR / "Chart.yaml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert chart["version"] == chart["appVersion"] == project["version"] == settings.RELEASE
    defaults = settings.Settings()
    assert images_of(rendered(helm))[1:] == (
        defaults.server_image,
        defaults.router_image,
        defaults.batches_image,
    )


def test_what_artifact_hub_shows_is_true(helm):
    chart = yaml.safe_load((OPERATOR / "Chart.yaml").read_text())
    found = {name: yaml.safe_load(text) for name, text in chart["annotations"].items()}
    images = {one["image"] for one in found["artifacthub.io/images"]}
    assert images == set(images_of(rendered(helm)))
    (kind,) = found["artifacthub.io/crds"]
    assert (kind["name"], kind["version"]) == (names.CRD, names.VERSION)
    for example in found["artifacthub.io/crdsExamples"]:
        spec.parse({**example, "metadata": {"namespace": "audio", **example["metadata"]}})
    assert {one["kind"] for one in found["artifacthub.io/changes"]} <= {"added", "changed", "fixed"}


def test_the_flags_are_valid_settings(helm):
    values = {"watchNamespaces": ["a", "b"], "extraArgs": ["--resync-interval-s=60"]}
    values |= {"scraperNamespaces": ["prometheus"], "logLevel": "debug"}
    container = container_of(rendered(helm, values))
    found, _ = load_settings(settings.Settings, container["args"], {}, prog="operator")
    assert found.namespaces == ["a", "b"]
    assert found.host == "::"
    assert (found.resync_interval_s, found.log_level) == (60, "debug")
    assert found.scraper_namespaces == ["prometheus"]


NAMESPACED = {"rbac": {"aggregateClusterRoles": False}, "watchNamespaces": ["a", "b"]}


def test_an_operator_of_namespaces_needs_no_permission_in_the_cluster(helm):
    objects = rendered(helm, NAMESPACED)
    assert all(one["metadata"]["namespace"] for one in objects)
    roles = {one["metadata"]["namespace"]: one["rules"] for one in objects if one["kind"] == "Role"}
    assert roles == {"a": rbac.rules(), "b": rbac.rules(), "flamingo-system": rbac.own_rules()}
    bindings = [one for one in objects if one["kind"] == "RoleBinding"]
    assert {one["metadata"]["namespace"] for one in bindings} == roles.keys()
    account = {
        "kind": "ServiceAccount",
        "name": "flamingo-operator",
        "namespace": "flamingo-system",
    }
    assert all(one["subjects"] == [account] for one in bindings)


def test_two_releases_have_no_cluster_scoped_name_in_common(helm):
    def cluster_scoped(namespace):
        objects = rendered(helm, {}, f"--namespace={namespace}")
        return {
            (one["kind"], one["metadata"]["name"])
            for one in objects
            if "namespace" not in one["metadata"]
        }

    assert len(cluster_scoped("a")) == 4
    assert cluster_scoped("a") & cluster_scoped("b") == set()


EVERYTHING = {
    "serviceMonitor": {"enabled": True, "labels": {"release": "kps"}, "interval": "30s"},
    "prometheusRule": {"enabled": True, "labels": {"release": "kps"}},
    "networkPolicy": {"egress": {"enabled": True}},
    "dashboards": {"enabled": True},
    "observeKeySecretRef": {"name": "observe"},
    "commonLabels": {"team": "audio", "app.kubernetes.io/name": "other"},
    "podLabels": {"team": "other", "app.kubernetes.io/component": "other"},
}


def test_every_object_has_the_common_labels_and_its_own_win(helm):
    for one in rendered(helm, EVERYTHING):
        labels = one["metadata"]["labels"]
        assert labels["team"] == "audio", one["kind"]
        assert labels["app.kubernetes.io/name"] == "flamingo-operator"
        assert labels["app.kubernetes.io/version"] == settings.RELEASE


def test_the_pods_are_those_that_every_selector_names(helm):
    objects = rendered(helm, EVERYTHING)
    pod = of_kind(objects, "Deployment")["spec"]["template"]
    labels = pod["metadata"]["labels"].items()
    # The NetworkPolicies of fleets admit the operator by this label.
    assert pod["metadata"]["labels"]["app.kubernetes.io/component"] == "operator"
    selectors = [
        of_kind(objects, "Deployment")["spec"]["selector"]["matchLabels"],
        of_kind(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        of_kind(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        of_kind(objects, "Service")["spec"]["selector"],
        *(one["labelSelector"]["matchLabels"] for one in pod["spec"]["topologySpreadConstraints"]),
    ]
    assert all(one.items() <= labels for one in selectors)
    monitor = of_kind(objects, "ServiceMonitor")
    service = of_kind(objects, "Service")["metadata"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["labels"].items()
    assert monitor["spec"]["namespaceSelector"] == {"matchNames": [service["namespace"]]}
    assert monitor["metadata"]["labels"]["release"] == "kps"


def test_the_operator_reads_its_key_from_the_secret(helm):
    (variable,) = container_of(rendered(helm, EVERYTHING))["env"]
    assert variable["name"] == "FLAMINGO_OPERATOR_OBSERVE_KEY"
    assert variable["valueFrom"] == {"secretKeyRef": {"name": "observe", "key": "observe-key"}}


def test_the_alerts_are_those_of_the_file_without_the_disabled_ones(helm):
    file = yaml.safe_load((OPERATOR / "files" / "alerts.yaml").read_text())
    assert alerts(helm, {}) == file["groups"]
    (first, *_) = (
        one["alert"] for group in file["groups"] for one in group["rules"] if "alert" in one
    )
    changed = alerts(helm, {"disabledAlerts": [first], "ruleLabels": {"team": "audio"}})
    rules = [one for group in changed for one in group["rules"] if "alert" in one]
    assert first not in {one["alert"] for one in rules}
    assert {one["labels"]["team"] for one in rules} == {"audio"}


def alerts(helm, values):
    objects = rendered(helm, {"prometheusRule": {"enabled": True, **values}})
    return of_kind(objects, "PrometheusRule")["spec"]["groups"]


def test_a_spread_constraint_keeps_its_own_selector(helm):
    own = {"topologyKey": "rack", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}
    selected = {**own, "labelSelector": {"matchLabels": {"a": "b"}}}
    objects = rendered(helm, {"topologySpreadConstraints": [own, selected]})
    first, second = of_kind(objects, "Deployment")["spec"]["template"]["spec"][
        "topologySpreadConstraints"
    ]
    assert first["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] == "operator"
    assert second == selected


def test_the_commands_of_the_notes_start_at_the_first_column(helm):
    """What is indented cannot end a here-document."""
    notes = helm.notes(OPERATOR, {"watchNamespaces": ["team"]})
    assert "<<END\n" in notes
    assert "\nEND\n" in notes
    assert "kubectl --namespace team wait" in notes
    document = notes.partition("<<END\n")[2].partition("\nEND\n")[0]
    spec.parse(yaml.safe_load(document))
    assert "create namespace" not in notes
