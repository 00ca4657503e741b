"""What an installation prints: commands that work with these values, and no key."""

import shlex

import pytest
from charts.helm import FLEET

from flamingo_common.service import keys

ALICE = {"name": "alice", "sha256": keys.digest_of("fk-alice")}
KEY = ' -H "Authorization: Bearer $FLAMINGO_API_KEY"'
CLIP = "-F file=@song.mp3"
PARENT = [{"name": "public", "namespace": "gateways"}]


def commands(notes):
    """Return the indented lines, which are commands."""
    return [line.strip() for line in notes.splitlines() if line.startswith("  ")]


def curls(helm, values):
    return [one for one in commands(helm.notes(FLEET, values)) if one.startswith("curl")]


PATH = "/v1/audio/captions"
# Retries, because the port-forward started just before it.
LOCAL = f"curl --retry 9 --retry-connrefused http://127.0.0.1:8080{PATH} {CLIP}"


@pytest.mark.parametrize(
    ("router", "expected"),
    [
        ({}, []),
        (None, []),
        ({"ingress": None, "service": None}, []),
        (
            {"ingress": {"hosts": ["a.example"], "tlsSecretName": "tls"}},
            [f"curl https://a.example{PATH} {CLIP}"],
        ),
        ({"ingress": {"hosts": ["a.example"]}}, [f"curl http://a.example{PATH} {CLIP}"]),
        (
            {"ingress": {"hosts": ["*.example"], "path": "/audio/", "tlsSecretName": "tls"}},
            [f"curl https://any.example/audio{PATH} {CLIP}"],
        ),
        ({"ingress": {}}, [f"curl http://$ADDRESS{PATH} {CLIP}"]),
        (
            {"httpRoute": {"parentRefs": PARENT, "hostnames": ["a.example"], "path": "/m"}},
            [f"curl https://a.example/m{PATH} {CLIP}"],
        ),
        ({"httpRoute": {"parentRefs": PARENT}}, [f"curl https://$ADDRESS{PATH} {CLIP}"]),
        ({"service": {"type": "LoadBalancer"}}, [f"curl http://$ADDRESS{PATH} {CLIP}"]),
        ({"enabled": False}, []),
    ],
)
def test_there_is_a_curl_for_each_way_to_reach_the_fleet(helm, router, expected):
    assert curls(helm, {"router": router}) == [*expected, LOCAL]
    assert curls(helm, {"router": router, "apiKeys": {"existingSecret": "a"}}) == [
        one.replace(f" {CLIP}", f"{KEY} {CLIP}") for one in (*expected, LOCAL)
    ]


@pytest.mark.parametrize(
    ("router", "service", "url"),
    [
        ({}, "service/music 8080:80", "http://music.audio.svc."),
        ({"service": {"port": 8000}}, "service/music 8080:8000", "http://music.audio.svc:8000."),
        ({"enabled": False}, "service/music-servers 8080:8000", "http://music-servers.audio.svc:8"),
    ],
)
def test_the_service_and_its_port_are_those_of_the_fleet(helm, router, service, url):
    notes = helm.notes(FLEET, {"router": router})
    assert f"kubectl --namespace audio port-forward {service} &" in commands(notes)
    assert f"the fleet is at {url}" in notes


def test_commands_are_one_line_each_and_name_the_fleet_and_its_namespace(helm):
    values = {"router": {"ingress": {}, "httpRoute": {"parentRefs": PARENT}}}
    for one in commands(helm.notes(FLEET, values)):
        words = shlex.split(one)
        if words[0] in {"kubectl", "helm"}:
            assert {"audio", "gateways"} & set(words), one
            assert any("music" in word or word == "public" for word in words), one


def test_who_needs_no_key_is_told_so_and_who_needs_one_where_to_put_it(helm):
    assert "There are no API keys" in helm.notes(FLEET, {})
    notes = helm.notes(FLEET, {"apiKeys": {"keys": [ALICE]}})
    assert "export FLAMINGO_API_KEY=" in notes
    assert "There are no API keys" not in notes


def test_who_gives_the_operator_no_key_is_told_what_it_cannot_do(helm):
    observer = ALICE | {"name": "operator", "sha256": keys.digest_of("fk-b"), "may": ["observe"]}
    told = "the operator cannot read the load"
    assert told in helm.notes(FLEET, {"apiKeys": {"keys": [ALICE]}})
    assert told not in helm.notes(FLEET, {"apiKeys": {"keys": [ALICE, observer]}})
    assert told not in helm.notes(FLEET, {"apiKeys": {"existingSecret": "keys"}})
    assert told not in helm.notes(FLEET, {})


def test_no_key_is_printed(helm):
    """Each rendering makes other keys, so the prefix of all keys is what to look for."""
    notes = helm.notes(FLEET, {"apiKeys": {"keys": [ALICE]}})
    assert notes.count("fk-") == notes.count("fk-…") == 1
    assert ALICE["sha256"] not in notes


def test_without_the_test_there_is_no_word_of_it(helm):
    assert "helm test music" in helm.notes(FLEET, {})
    assert "helm test" not in helm.notes(FLEET, {"tests": {"enabled": False}})
