"""The small parts: lines of a stream, the gate, settings."""

import asyncio
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_common.errors import Draining
from flamingo_common.service.settings import load
from flamingo_router.relay.drain import Gate
from flamingo_router.relay.event_lines import MAX_HELD_BYTES, Lines
from flamingo_router.settings import Settings


@given(st.binary(max_size=300), st.lists(st.integers(1, 20)))
def test_lines_lose_and_change_nothing(stream, sizes):
    lines, sent, at = Lines(), b"", 0
    for size in [*sizes, len(stream)]:
        ready = lines.feed(stream[at : at + size])
        at += size
        assert not ready or ready.endswith(b"\n")
        sent += ready

    assert sent + lines.rest() == stream


def test_a_whole_line_is_not_held_back():
    lines = Lines()

    assert lines.feed(b"data: 1\n\nda") == b"data: 1\n\n"
    assert lines.feed(b"ta: 2\n") == b"data: 2\n"
    assert not lines.is_cut


def test_a_line_too_long_to_hold_goes_through_in_pieces():
    lines, long = Lines(), b"x" * (MAX_HELD_BYTES + 1)

    assert lines.feed(long) == long
    assert lines.is_cut
    assert lines.feed(b"y\n") == b"y\n"
    assert not lines.is_cut


def test_a_shut_gate_waits_for_those_inside_and_lets_nobody_in():
    async def scenario():
        gate = Gate()
        with gate.admitted():
            shutting = asyncio.create_task(gate.shut())
            await asyncio.sleep(0)
            with pytest.raises(Draining), gate.admitted():
                pass
            assert not shutting.done()
        await shutting
        assert gate.num_inside == 0

    asyncio.run(scenario())


@pytest.fixture
def environ(monkeypatch):
    for name in [name for name in os.environ if name.startswith("FLAMINGO_")]:
        monkeypatch.delenv(name)
    return monkeypatch


def loaded(*argv):
    return load(Settings, argv, os.environ, prog="router")


def test_the_endpoint_flag_is_repeated(environ):
    settings = loaded("--endpoint", "http://a:1", "--endpoint", "http://b:2/")
    assert settings.endpoint == ["http://a:1", "http://b:2"]


def test_the_endpoint_variable_is_a_list_with_commas(environ):
    environ.setenv("FLAMINGO_ROUTER_ENDPOINT", "http://a:1, http://b:2,")
    assert loaded().endpoint == ["http://a:1", "http://b:2"]


def test_a_flag_overrides_its_variable(environ):
    environ.setenv("FLAMINGO_ROUTER_ENDPOINT", "http://a:1")
    assert loaded("--endpoint", "http://b:2").endpoint == ["http://b:2"]


@pytest.mark.parametrize(
    ("argv", "fault"),
    [
        pytest.param([], "say where the pods are", id="none"),
        pytest.param(["--endpoint", ","], "say where the pods are", id="none in the list"),
        pytest.param(["--endpoint", "a:1"], "'a:1' is no address", id="no scheme"),
        pytest.param(["--endpoint", "http://"], "is no address", id="no host"),
        pytest.param(["--endpoint", "http://a/v1"], "is no address", id="a path"),
        pytest.param(["--endpoint", "http://u:p@a"], "is no address", id="a password"),
        pytest.param(["--endpoint", "http://a:99999"], "out of range", id="no such port"),
        pytest.param(["--endpoint", "http://a,http://a/"], "given twice", id="twice"),
    ],
)
def test_what_is_no_endpoint_is_refused(environ, capsys, argv, fault):
    with pytest.raises(SystemExit) as stopped:
        loaded(*argv)

    assert stopped.value.code == 2
    assert fault in capsys.readouterr().err
