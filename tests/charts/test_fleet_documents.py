"""What the pages say of a fleet's chart: values that it takes, and manifests for GitOps."""

import json

import pytest
import yaml
from charts.helm import FLEET, of_kind
from documents import selections

from flamingo_operator.api import spec
from flamingo_operator.api.names import KIND

MODEL = {"model": {"id": "nvidia/music-flamingo-2601-hf"}}


def bodies(selection):
    """Return the YAML documents of a selection."""
    texts = (one.text for one in selection.commands() if one.language == "yaml")
    return [body for text in texts for body in yaml.safe_load_all(text)]


def test_every_spec_in_the_documentation_may_be_given_as_values(helm, tmp_path):
    """As one chart of all of them, because each start of Helm takes a while."""
    shown = (one for one in bodies(selections.DEPLOYMENTS) if one.get("kind", KIND) == KIND)
    specs = {f"fleet{n}": one["spec"] for n, one in enumerate(shown)}
    assert len(specs) > 10
    wanted = [{"name": "flamingo", "version": "0.1.0", "alias": name} for name in specs]
    (tmp_path / "charts").mkdir()
    (tmp_path / "charts" / "flamingo").symlink_to(FLEET)
    chart = {"apiVersion": "v2", "name": "all", "version": "0.1.0", "dependencies": wanted}
    (tmp_path / "Chart.yaml").write_text(json.dumps(chart))
    values = {name: one | {"fullnameOverride": name} for name, one in specs.items()}
    done = helm.call("template", "all", str(tmp_path), "--values=-", stdin=json.dumps(values))
    assert done.returncode == 0, done.stderr
    rendered = [one for one in yaml.safe_load_all(done.stdout) if one["kind"] == KIND]
    found = {one["metadata"]["name"]: one["spec"] for one in rendered}
    assert found == {name: MODEL | one for name, one in specs.items()}


def test_values_in_the_documentation_make_a_valid_fleet(helm):
    found = bodies(selections.VALUES)
    assert len(found) >= 2
    for values in found:
        spec.parse(of_kind(helm.render(FLEET, values), KIND))


@pytest.mark.parametrize(
    ("kind", "values_of"),
    [
        ("HelmRelease", lambda one: one["spec"]["values"]),
        ("Application", lambda one: one["spec"]["source"]["helm"]["valuesObject"]),
    ],
)
def test_a_manifest_for_gitops_has_values_that_the_chart_takes(helm, kind, values_of):
    manifest = of_kind(bodies(selections.GITOPS), kind)
    spec.parse(of_kind(helm.render(FLEET, values_of(manifest)), KIND))


def test_the_manifests_for_gitops_name_the_chart_and_ignore_the_number_of_server_pods():
    chart = yaml.safe_load((FLEET / "Chart.yaml").read_text())
    found = {one["kind"]: one["spec"] for one in bodies(selections.GITOPS)}
    source = found["Application"]["source"]
    assert (source["chart"], source["targetRevision"]) == (chart["name"], chart["version"])
    assert found["OCIRepository"]["url"] == f"oci://{source['repoURL']}/{chart['name']}"
    (ignored,) = found["Application"]["ignoreDifferences"]
    assert (ignored["group"], ignored["kind"]) == ("flamingo.dev", KIND)
    (also,) = found["HelmRelease"]["driftDetection"]["ignore"]
    assert ignored["jsonPointers"] == also["paths"] == ["/spec/replicas"]
    assert also["target"]["kind"] == KIND
