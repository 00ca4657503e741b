"""Every FlamingoDeployment in the documentation is valid."""

import re
from pathlib import Path

import pytest
import yaml
from control_plane.deployments import deployment

from flamingo_operator.api import names, spec

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def examples():
    for page in sorted(DOCS.glob("*.md")):
        for number, block in enumerate(BLOCK.findall(page.read_text(encoding="utf-8"))):
            for body in yaml.safe_load_all(block):
                # Some examples show a part of the spec only.
                if body.get("kind", names.KIND) == names.KIND and "spec" in body:
                    yield pytest.param(body, id=f"{page.name}-{number}")


@pytest.mark.parametrize("body", list(examples()))
def test_an_example_is_valid(body):
    whole = deployment()
    spec.parse({**whole, **body, "spec": {**whole["spec"], **body["spec"]}})


def test_there_are_examples():
    assert len(list(examples())) >= 3
