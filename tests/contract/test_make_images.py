"""The pages' ways to call `make images`, with a builder that only says what it was asked for."""

import os
import re
import subprocess

import pytest
from documents.pages import ROOT
from documents.selections import IMAGES

EXAMPLES = [pytest.param(one.text, id=one.place) for one in IMAGES.commands()]


@pytest.mark.parametrize("text", EXAMPLES)
def test_every_image_is_built_with_what_the_page_gives(text):
    given = {"CPU_INDEX": "https://index.example/cpu", "DIGEST": "0" * 64}
    environ = os.environ | {"BUILDER": "echo", **given}
    done = subprocess.run(
        ["bash", "-euc", text], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    )
    variables = dict(re.findall(r"(REGISTRY|VERSION)=(\S+)", text))
    tags = re.findall(r"--tag (\S+):(\S+) --file", done.stdout)
    assert [name.rpartition("/")[2] for name, _ in tags] == ["pod", "router", "operator", "batches"]
    for name, version in tags:
        assert name.startswith(variables.get("REGISTRY", "ghcr.io/flamingo-fleet"))
        assert version == variables.get("VERSION", version)
    for argument in re.findall(r"--build-arg [^ \"$]+", text):
        assert done.stdout.count(argument) == len(tags)
