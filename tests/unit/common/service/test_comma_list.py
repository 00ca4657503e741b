"""Every setting that is a list takes it in the same forms."""

import pytest
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from flamingo_common.service import settings
from flamingo_common.service.comma_list import split_commas
from flamingo_common.service.settings import CommaList, ServiceSettings
from flamingo_operator.settings import Settings as OperatorSettings
from flamingo_pod.settings import Settings as PodSettings
from flamingo_router.settings import Settings as RouterSettings


class Listing(ServiceSettings):
    """A setting that is a list of numbers."""

    model_config = SettingsConfigDict(env_prefix="LISTING_")

    numbers: CommaList[int] = Field(default=[])
    """Some numbers."""


def test_blanks_and_empty_items_do_not_count():
    assert split_commas(" a, b ,,c") == ("a", "b", "c")
    assert split_commas("") == ()


@pytest.mark.parametrize(
    "argv",
    [
        ["--numbers=1, 2,,3"],
        ["--numbers=1", "--numbers=2", "--numbers", "3"],
        ["--numbers= 1,2 ,3,"],
    ],
)
def test_a_flag_is_comma_separated_or_repeated(argv):
    assert settings.load(Listing, argv, {}, prog="x").numbers == [1, 2, 3]


def test_a_variable_is_comma_separated():
    assert settings.load(Listing, [], {"LISTING_NUMBERS": "1, 2"}, prog="x").numbers == [1, 2]


def test_a_file_has_a_list_or_a_string(tmp_path):
    for text in ("numbers: [1, 2]", "numbers: 1, 2"):
        (tmp_path / "x.yaml").write_text(text)
        loaded = settings.load(Listing, [f"--config={tmp_path / 'x.yaml'}"], {}, prog="x")
        assert loaded.numbers == [1, 2]


LISTS = [
    (OperatorSettings, "namespaces", "audio, video"),
    (OperatorSettings, "scraper_namespaces", "monitoring, observability"),
    (OperatorSettings, "cors_origin", "https://a.example.org, https://b.example.org"),
    (PodSettings, "fetch_allowed_hosts", "a.example.org, b.example.org"),
    (PodSettings, "fetch_allowed_networks", "10.0.0.0/8, 192.168.0.0/16"),
    (RouterSettings, "endpoint", "http://a:1, http://b:1"),
    (RouterSettings, "probe_allowed_hosts", "a.example.org, b.example.org"),
    (RouterSettings, "probe_allowed_networks", "10.0.0.0/8, 192.168.0.0/16"),
]


def test_no_list_is_left_out():
    found = {
        (kind, name)
        for kind in (OperatorSettings, PodSettings, RouterSettings)
        for name, field in kind.model_fields.items()
        if name not in ServiceSettings.model_fields and "list" in str(field.annotation)
    }
    assert found == {(kind, name) for kind, name, _ in LISTS if name != "cors_origin"}


@pytest.mark.parametrize(("kind", "name", "text"), LISTS)
def test_each_list_of_each_service_allows_blanks(kind, name, text):
    argv = [f"--{name.replace('_', '-')}={text}"]
    if kind is RouterSettings and name != "endpoint":
        argv.append("--dns=pods:8000")
    loaded = getattr(settings.load(kind, argv, {}, prog="x"), name)
    assert [str(item) for item in loaded] == text.split(", ")
