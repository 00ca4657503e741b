"""The help of a service, and of each of ours."""

from ipaddress import IPv4Network
from pathlib import Path
from typing import ClassVar, Literal

import pytest
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from flamingo_batches.settings import Settings as BatchesSettings
from flamingo_common.service import settings, settings_help
from flamingo_common.service.settings import CommaList, ServiceSettings
from flamingo_operator.settings import Settings as OperatorSettings
from flamingo_pod.settings import Settings as PodSettings
from flamingo_router.settings import Settings as RouterSettings

SERVICES = [PodSettings, RouterSettings, OperatorSettings, BatchesSettings]


class Settings(ServiceSettings):
    """Do something.

    More of it.
    """

    model_config = SettingsConfigDict(env_prefix="FLAMINGO_TEST_")
    GROUPS: ClassVar = {"color": "Colors", "wait_s": "Time"}
    color: Literal["red", "blue"] = "red"
    """Which color."""
    is_bright: bool = True
    """Whether it is bright."""
    secret: SecretStr | None = None
    """A key."""
    networks: CommaList[IPv4Network] = Field(default=[])
    """Some networks."""
    wait_s: float
    """How long."""
    file: Path | None = None
    """A file."""


def help_of(topic=""):
    return settings_help.text(Settings, "test", topic)


def test_help_has_groups_with_readable_values_variables_and_defaults():
    text = help_of()

    assert text.startswith("usage: test [FLAG ...]\n\nDo something.\n")
    for lines in (
        "Colors:\n    --color red|blue\n        Which color.\n",
        "        Which color.\n        [FLAMINGO_TEST_COLOR; default: red]\n",
        "    --is-bright, --no-is-bright\n",
        "[FLAMINGO_TEST_IS_BRIGHT; default: yes]\n",
        "    --secret KEY\n        A key.\n        [FLAMINGO_TEST_SECRET]\n",
        "    --networks NETWORK,…\n",
        "\n\nTime:\n    --wait-s SECONDS\n        How long.\n",
        "[FLAMINGO_TEST_WAIT_S; required]\n",
        "    --file FILE\n",
        "    --max-body-bytes BYTES\n",
        "    --min-body-bytes-per-s NUMBER\n",
    ):
        assert lines in text
    order = [text.index(f"\n{title}:\n") for title in ("Colors", "Time", "Process", "Connections")]
    assert order == sorted(order)


@pytest.mark.parametrize("topic", ["Time", "time", "wait-s", "--wait-s", "wait_s"])
def test_help_is_about_a_group_or_a_flag(topic):
    text = help_of(topic)

    assert "--wait-s SECONDS" in text
    assert "--color" not in text


def test_an_unknown_topic_is_answered_with_the_groups(capsys):
    with pytest.raises(SystemExit) as ended:
        settings.load(Settings, ["--help=nothing"], {}, prog="test")
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "test: --help=nothing: no such group or flag;"
        " groups: Colors, Time, Process, Callers, Connections\n"
    )


@pytest.mark.parametrize("flags", [["-h"], ["--help"], ["--color", "green", "--help"]])
def test_help_is_printed_whatever_else_is_there(flags, capsys):
    with pytest.raises(SystemExit) as ended:
        settings.load(Settings, flags, {}, prog="test")
    assert ended.value.code == 0
    assert capsys.readouterr().out == help_of()


@pytest.mark.parametrize("kind", SERVICES, ids=lambda kind: kind.__module__)
def test_every_setting_of_a_service_is_in_one_group_of_a_known_name(kind):
    groups = settings_help.groups(kind)

    assert sorted(name for names in groups.values() for name in names) == sorted(kind.model_fields)
    assert "" not in groups
    assert set(kind.GROUPS) <= set(kind.model_fields)
    text = settings_help.text(kind, "flamingo")
    assert max(map(len, text.splitlines())) <= 100
    assert not {"str", "int", "float", "list[str]", "SecretStr"} & set(text.split())
