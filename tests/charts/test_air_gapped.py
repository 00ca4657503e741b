"""The values of docs/air-gapped.md: no image is from outside."""

import yaml
from charts.helm import OPERATOR
from documents.selections import AIR_GAPPED_VALUES

OUTSIDE = "ghcr.io"
INSIDE = "registry.internal/"


def test_all_images_are_from_the_registry_of_the_values(helm):
    (command,) = AIR_GAPPED_VALUES.commands()
    objects = helm.render(OPERATOR, yaml.safe_load(command.text))
    text = yaml.safe_dump_all(objects)
    (deployment,) = (one for one in objects if one["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    flags = dict(one.split("=", 1) for one in container["args"] if "-image=" in one)

    assert container["image"].startswith(INSIDE)
    assert set(flags) == {"--server-image", "--router-image", "--batches-image"}
    assert all(value.startswith(INSIDE) for value in flags.values())
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert OUTSIDE not in text
