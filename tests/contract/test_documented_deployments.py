"""Every FlamingoDeployment in the documentation is valid."""

import pytest
import yaml
from control_plane.deployments import deployment
from documents.selections import DEPLOYMENTS

from flamingo_operator.api import names, spec


def examples():
    for command in DEPLOYMENTS.commands():
        for body in yaml.safe_load_all(command.text):
            # Some examples show a part of the spec only.
            if body.get("kind", names.KIND) == names.KIND:
                yield pytest.param(body, id=command.place)


@pytest.mark.parametrize("body", list(examples()))
def test_an_example_is_valid(body):
    whole = deployment()
    spec.parse({**whole, **body, "spec": {**whole["spec"], **body["spec"]}})


def test_there_are_examples():
    assert len(list(examples())) >= 3
