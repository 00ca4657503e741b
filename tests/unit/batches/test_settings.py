"""The settings of the service: addresses and buckets are checked before it starts."""

import pytest
from pydantic import ValidationError

from flamingo_batches.settings import Settings


def test_addresses_are_brought_into_one_form():
    settings = Settings(
        server_url="http://router:8000/v1/",
        database_url="postgres://u:p@h/n",
        clip_source=["s3://music/a"],
    )
    assert settings.server_url == "http://router:8000"
    assert settings.database_url.get_secret_value() == "postgresql://u:p@h/n"
    assert settings.clip_source == ["s3://music/a/"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("server_url", "router:8000"),
        ("database_url", "mysql://h/n"),
        ("contents_url", "ftp://h/n"),
        ("contents_url", "s3://"),
        ("clip_source", ["/music"]),
        ("clip_source", ["s3://key:secret@bucket/"]),
    ],
)
def test_an_address_of_another_kind_is_refused(name, value):
    with pytest.raises(ValidationError, match=r"expected|must be"):
        Settings(**{name: value})


def test_a_password_is_not_shown():
    settings = Settings(database_url="postgresql://u:hunter2@h/n")
    assert "hunter2" not in repr(settings)
