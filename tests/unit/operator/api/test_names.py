"""Names of the operator's objects."""

import re

import pytest

from flamingo_operator.api import names

LONGEST = "x" * names.MAX_NAME_CHARS


@pytest.mark.parametrize("name", ["a", "music", "music-2", LONGEST])
def test_objects_of_a_valid_name_have_valid_names(name):
    object_names = [
        names.service(name),
        names.servers_service(name),
        names.router(name),
        names.cache_claim(name),
        names.disruption_budget(name),
        names.preload_job(name, "6c9f41aa02"),
        names.server_pod(name, "6c9f41aa02", "x7k2m9q1ab"),
    ]
    assert names.is_name(name)
    assert all(re.fullmatch("[a-z]([-a-z0-9]{0,61}[a-z0-9])?", one) for one in object_names)
    assert len(set(object_names) - {names.servers_service(name)}) == len(object_names) - 2


@pytest.mark.parametrize("name", ["", "2music", "music.flamingo", "Music", "music-", "music\n"])
def test_an_invalid_name(name):
    assert not names.is_name(name)


def test_a_selector_is_part_of_the_labels_and_has_a_string_form():
    selector = names.selector("music", "server")
    assert selector.items() <= names.labels("music", "server").items()
    assert names.selector_string("music", "server") == (
        "flamingo.dev/deployment=music,flamingo.dev/component=server"
    )


def test_components_have_different_selectors():
    assert names.selector("music", "server") != names.selector("music", "router")


def test_the_url_of_a_service():
    assert names.service_url("music", "audio", 80) == "http://music.audio.svc"
