"""A setting that is shown is read: none is taken and ignored."""

import ast
import re
from pathlib import Path

import pytest

from flamingo_batches.settings import Settings as BatchesSettings
from flamingo_common.service.settings import ServiceSettings
from flamingo_operator.settings import Settings as OperatorSettings
from flamingo_pod.settings import Settings as PodSettings
from flamingo_router.settings import Settings as RouterSettings

ROOT = Path(__file__).parents[2]
COMMON = ROOT / "common" / "flamingo_common" / "service"
SERVICES = {
    "pod": (PodSettings, ROOT / "inference_pod" / "flamingo_pod"),
    "router": (RouterSettings, ROOT / "router" / "flamingo_router"),
    "operator": (OperatorSettings, ROOT / "operator" / "flamingo_operator"),
    "batches": (BatchesSettings, ROOT / "batches" / "flamingo_batches"),
}
HOLDER = re.compile(r"settings|^given$", re.IGNORECASE)
"""What settings are called where they are read."""
BY_THE_LOADER = {"config"}
"""Read while settings are loaded, before there is an object."""


def attributes_read(folder):
    """Return the names of all attributes of something called settings that `folder` reads."""
    names = set()
    for path in folder.rglob("*.py"):
        if path.name == "settings.py":
            continue  # a setting's own checks are no use of it
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and HOLDER.search(ast.unparse(node.value)):
                names.add(node.attr)
    return names


@pytest.mark.parametrize("service", SERVICES)
def test_every_setting_that_is_shown_is_read(service):
    kind, folder = SERVICES[service]
    read = attributes_read(folder) | attributes_read(COMMON) | BY_THE_LOADER
    assert set(kind.model_fields) - read == set()


@pytest.mark.parametrize("service", SERVICES)
def test_a_common_setting_that_the_frame_does_not_read_is_read_by_each_service(service):
    _, folder = SERVICES[service]
    left = set(ServiceSettings.model_fields) - attributes_read(COMMON) - BY_THE_LOADER
    assert left - attributes_read(folder) == set()
