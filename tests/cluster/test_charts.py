"""From an empty cluster to captions by the charts: in the cluster, and from outside with TLS."""

import dataclasses
import json
import sys

import httpx2
import pytest
from cluster import readers
from cluster.fleets import NAME
from cluster.streams import LONG
from control_plane.operators import wait_until
from documents import selections
from fakes.audio_files import with_sndfile

EMBEDDED = """
import base64, os
from openai import OpenAI
song = "data:audio/mpeg;base64," + base64.b64encode(open("song.mp3", "rb").read()).decode()
with OpenAI(base_url=os.environ["FLAMINGO_URL"] + "/v1", api_key="none", max_retries=0) as client:
    print(len(client.embeddings.create(model="flamingo-tiny", input=song).data[0].embedding))
"""
LONG_CLIP_S = 40
"""More than 1 MB as a WAV file: more than ingress controllers take by default."""


@pytest.fixture(scope="module", params=["service", "ingress"])
def reader(outside, request, clips, tmp_path_factory):
    """Yield a terminal whose programs know one of the fleet's addresses."""
    is_inside = request.param == "service"
    url = outside.fleet.address if is_inside else f"https://{outside.host}"
    folder = tmp_path_factory.mktemp("caller")
    hosts = {outside.host: outside.address}
    trusted = dict.fromkeys(("SSL_CERT_FILE", "CURL_CA_BUNDLE"), str(outside.authority))
    environ = {"FLAMINGO_URL": url, **trusted}
    with readers.reading(outside.fleet.cluster, folder, clips["notes.mp3"], hosts) as terminal:
        yield dataclasses.replace(terminal, environ={**terminal.environ, **environ})


def printed(terminal, command):
    status, text = terminal.run(command)
    assert status == 0, text
    return text


def test_the_commands_of_the_readme_lead_to_a_caption(installed):
    answer = json.loads(installed)
    assert answer["model"] == "flamingo-tiny"
    assert answer["caption"]


def test_an_upgrade_of_the_fleet_fails_no_request(outside):
    assert outside.upgrade.failures == []
    assert all(outside.upgrade.num_answered.values())
    assert outside.fleet.is_complete(1)
    (server,) = outside.fleet.pods()
    assert server["spec"]["containers"][0]["resources"]["requests"]["nvidia.com/gpu"] == "1"


def test_the_status_says_where_the_fleet_is_reached_from_outside(outside):
    fleet = outside.fleet
    wait_until(lambda: fleet.reason("Exposed") == "Reachable", "the Ingress has an address")
    assert {one["value"] for one in fleet.status()["addresses"]} == {outside.host}


@pytest.mark.parametrize("number", range(2), ids=["our client", "openai"])
def test_the_python_examples_of_the_readme_work(reader, number):
    command = [one for one in selections.FLEET_PYTHON.commands() if one.page == "README.md"][number]
    url = reader.environ["FLAMINGO_URL"]
    (reader.folder / "example.py").write_text(command.text.replace(selections.LOCAL, url))
    assert len(printed(reader, f"{sys.executable} example.py")) > 20


def test_the_official_client_gets_an_embedding(reader):
    (reader.folder / "embedded.py").write_text(EMBEDDED)
    assert int(printed(reader, f"{sys.executable} embedded.py")) > 0


def test_the_command_line_client_asks(reader):
    assert printed(reader, 'flamingo ask song.mp3 "Which key?" --max-tokens 8').strip()


def test_a_clip_of_more_than_a_megabyte_gets_through(reader):
    clip = with_sndfile("WAV", "PCM_16", seconds=LONG_CLIP_S)
    assert len(clip) > 1_048_576
    (reader.folder / "long.wav").write_bytes(clip)
    url = reader.environ["FLAMINGO_URL"]
    asked = f"curl -s {url}/v1/audio/captions -F file=@long.wav -F max_tokens=4"
    assert json.loads(printed(reader, asked))["usage"]["audio_seconds"] == LONG_CLIP_S


@pytest.mark.parametrize("reader", ["ingress"], indirect=True)
def test_the_notes_say_how_the_fleet_is_asked_through_the_ingress(outside, reader):
    notes = outside.fleet.cluster.helm("get", "notes", NAME, "--namespace", outside.fleet.namespace)
    (asked,) = (line.strip() for line in notes.splitlines() if f"https://{outside.host}" in line)
    assert json.loads(printed(reader, f"{asked} 2>/dev/null"))["caption"]


def test_helm_tests_the_fleet(outside):
    fleet = outside.fleet
    said = fleet.cluster.helm("test", NAME, "--namespace", fleet.namespace, "--logs")
    assert "PASSED" in said
    assert "Phase:          Succeeded" in said


def test_a_streamed_answer_is_not_held_back(outside):
    door, (server,) = outside.ingress, outside.fleet.pods()

    def ask():
        with (
            door.client() as client,
            client.stream(
                "POST", "/v1/chat/completions", json=LONG, extensions=door.extensions
            ) as answer,
        ):
            first = next(lines := answer.iter_lines())
            stats = httpx2.get(f"http://{server['status']['podIP']}:8000/stats").json()
            lines.close()
            return first, stats["num_running"]

    first, num_running = outside.fleet.cluster.inside(ask)
    assert first.startswith("data: ")
    assert num_running == 1, "the rest of the answer is still to come"
