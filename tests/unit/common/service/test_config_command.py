"""`flamingo config`: effective settings, and their JSON schema."""

import json
import subprocess
import sys

import jsonschema_rs
import pytest
import yaml
from fakes.example_settings import Settings, loader

from flamingo_common.service import config_command


@pytest.fixture
def load(tmp_path):
    return loader(tmp_path)


def test_the_shown_settings_are_a_file_with_the_same_values(load):
    found, given = load("--port", "4", file="names: [a, 'b: c']\n")
    text = config_command.to_yaml(found, given, prog="test")
    assert load(file=text)[0].model_dump() | {"config": None} == found.model_dump() | {
        "config": None
    }
    assert [line.split("#")[1].strip() for line in text.splitlines() if "port:" in line] == [
        "--port"
    ]


def test_secrets_are_masked(load):
    found, given = load(HUB_TOKEN="hf_abc")
    text = config_command.to_yaml(found, given, prog="test")
    assert "hf_abc" not in text
    assert "hub_token: '***'" in text


def test_the_schema_accepts_what_the_settings_accept():
    validator = jsonschema_rs.validator_for(config_command.json_schema(Settings))
    assert validator.is_valid(yaml.safe_load("port: 1\nnames: [a]\n"))
    assert not validator.is_valid({"prot": 1})
    assert not validator.is_valid({"max_items": 0})


@pytest.mark.parametrize("service", ["pod", "router", "operator", "batches"])
def test_the_command_runs_for_each_service(service):
    command = [sys.executable, "-P", "-c", "from flamingo.cli import main; main()", "config"]
    done = subprocess.run([*command, "schema", service], capture_output=True, check=True)
    assert json.loads(done.stdout)["additionalProperties"] is False
    done = subprocess.run([*command, "show", service], capture_output=True, check=True)
    assert "port" in yaml.safe_load(done.stdout)
