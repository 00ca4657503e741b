"""What the operator's objects are called."""

import re

import pytest

from flamingo_operator.api import names

LONGEST = "x" * names.MAX_NAME_CHARS


@pytest.mark.parametrize("name", ["a", "music", "music-2", LONGEST])
def test_every_object_of_a_good_name_has_a_name_that_kubernetes_takes(name):
    made = [
        names.service(name),
        names.servers_service(name),
        names.router(name),
        names.cache_claim(name),
        names.disruption_budget(name),
        names.preload_job(name, "6c9f41aa02"),
        names.server_pod(name, "6c9f41aa02", "x7k2m9q1ab"),
    ]
    assert names.is_name(name)
    assert all(re.fullmatch("[a-z]([-a-z0-9]{0,61}[a-z0-9])?", one) for one in made)
    assert len(set(made) - {names.servers_service(name)}) == len(made) - 2


@pytest.mark.parametrize("name", ["", "2music", "music.flamingo", "Music", "music-", "music\n"])
def test_a_bad_name_is_seen(name):
    assert not names.is_name(name)


def test_a_selector_is_part_of_the_labels_and_written_as_kubectl_reads_it():
    selector = names.selector("music", "server")
    assert selector.items() <= names.labels("music", "server").items()
    assert names.selector_string("music", "server") == (
        "flamingo.dev/deployment=music,flamingo.dev/component=server"
    )


def test_the_components_of_a_deployment_are_told_apart():
    assert names.selector("music", "server") != names.selector("music", "router")


def test_the_address_is_the_services():
    assert names.service_url("music", "audio", 80) == "http://music.audio.svc"
