"""The command line in this process, with a fake pod as its fleet."""

import asyncio

import pytest
import structlog
from fakes import pods
from typer.testing import CliRunner

from flamingo.commands import app


@pytest.fixture(autouse=True)
def silent_pods():
    """Keep the fake pod, which shares this process, from logging into the command's output."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield
    structlog.reset_defaults()


@pytest.fixture
def song(tmp_path):
    path = tmp_path / "song.mp3"
    path.write_bytes(b"ID3, let us say")
    return str(path)


@pytest.fixture
def flamingo():
    """Run `flamingo args…`, with `pod` as its fleet; returns what it printed and its status."""

    def run(*args, pod=None, stdin=None):
        async def scenario():
            async with pods.running(pod or pods.FakePod()) as address:
                environ = {"FLAMINGO_URL": address}
                return await asyncio.to_thread(
                    CliRunner().invoke, app.app, args, env=environ, input=stdin
                )

        return asyncio.run(scenario())

    return run
