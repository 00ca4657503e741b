"""The help text, and how the program exits: status, error line, closed standard output."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys

import pytest
import typer
from fakes import pods
from typer.testing import CliRunner

from flamingo.commands import app
from flamingo_common import errors

FLAMINGO = [sys.executable, "-P", "-c", "from flamingo.cli import main; main()"]


@pytest.fixture
def song(tmp_path):
    path = tmp_path / "song.mp3"
    path.write_bytes(b"ID3, let us say")
    return str(path)


def run(*args, pod=None):
    """Return (exit status, standard output, standard error) of `flamingo args…`."""
    pod = pod or pods.FakePod()

    async def scenario():
        async with pods.running(pod) as address:
            process = await start(*args, address=address)
            out, err = await process.communicate()
            return process.returncode, out.decode(), err.decode()

    return asyncio.run(scenario())


async def start(*args, address, stdout=subprocess.PIPE):
    return await asyncio.create_subprocess_exec(
        *FLAMINGO,
        *args,
        env={**os.environ, "FLAMINGO_URL": address},
        stdout=stdout,
        stderr=subprocess.PIPE,
    )


def test_success_is_zero(song):
    assert run("caption", song) == (0, "a quiet song\n", "")


def test_failure_is_one_with_a_single_line(song):
    pod = pods.FakePod(fails_with=errors.AudioTooLong("the clip lasts\n25 minutes"))

    status, out, err = run("caption", song, pod=pod)

    assert (status, out) == (1, "")
    assert err.startswith("flamingo: the clip lasts 25 minutes [req-")
    assert err.count("\n") == 1


def test_usage_error_is_two():
    status, out, err = run("caption")

    assert (status, out) == (2, "")
    assert "Missing argument 'CLIP'" in err


def test_ctrl_c_is_130_without_a_traceback(song):
    async def scenario():
        pod = pods.FakePod(words=("word ",) * 10**7)
        async with pods.running(pod) as address:
            process = await start("caption", song, address=address)
            await process.stdout.readexactly(5)  # the stream has begun
            process.send_signal(signal.SIGINT)
            _, err = await process.communicate()
            return process.returncode, err

    assert asyncio.run(scenario()) == (130, b"")


@pytest.mark.parametrize("num_words", [3, 10**7], ids=["buffered", "streaming"])
def test_closed_standard_output_is_not_reported(song, num_words):
    async def scenario():
        reader, writer = os.pipe()
        os.close(reader)
        pod = pods.FakePod(words=("word ",) * num_words)
        async with pods.running(pod) as address:
            process = await start("caption", song, address=address, stdout=writer)
            os.close(writer)
            _, err = await process.communicate()
            return err

    assert asyncio.run(scenario()) == b""


ARGUMENTS = ["--help", "--", "-x", "--port=1", "-"]


def started_service(*args):
    """Return the arguments of the interpreter that `flamingo args…` replaces its process by."""
    program = (
        "import sys\nfrom flamingo import cli\n"
        f"sys.argv = ['flamingo', *{list(args)}]\n"
        "sys.executable = '/bin/echo'  # prints its arguments\n"
        "cli.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.mark.parametrize(
    ("verbs", "package"),
    [
        (["serve"], "pod"),
        (["router"], "router"),
        (["operator"], "operator"),
        (["batches", "serve"], "batches"),
    ],
)
def test_service_replaces_the_process_and_parses_its_own_arguments(verbs, package):
    started = started_service(*verbs, *ARGUMENTS)
    assert started == ["-P", "-m", f"flamingo_{package}", *ARGUMENTS]


@pytest.mark.parametrize("args", [[], ["--server-url=http://h", "-x"], ["migrate", "--help"]])
def test_the_service_of_batches_needs_no_command(args):
    assert started_service("batches", *args) == ["-P", "-m", "flamingo_batches", *args]


def test_command_line_imports_neither_torch_nor_the_services():
    program = (
        "import sys, flamingo.commands.app\n"
        "services = ('flamingo_pod', 'flamingo_router', 'flamingo_operator', 'flamingo_batches')\n"
        "heavy = ('torch', *services)\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )

    assert done.stdout == "[]\n"


def test_help_lists_every_command_and_examples():
    result = CliRunner().invoke(app.app, ["--help"])

    commands = [
        "caption",
        "ask",
        "chat",
        "embed",
        "models",
        "fleet",
        "version",
        "up",
        "serve",
        "router",
    ]
    for command in [*commands, "pull", "operator", "batches", "doctor", "config", "keys", "bench"]:
        assert re.search(rf"^│ {command} ", result.stdout, re.MULTILINE), command
    assert "flamingo caption song.mp3" in result.stdout


@pytest.mark.parametrize("command", [(), ("caption",), ("keys", "new"), ("doctor",)])
def test_the_short_flag_shows_the_help_of_every_command(command):
    short, long = (CliRunner().invoke(app.app, [*command, flag]) for flag in ("-h", "--help"))

    assert (short.exit_code, short.stdout) == (0, long.stdout)


@pytest.mark.parametrize("words", [["caption", "gone.mp3"], ["ask", "gone.mp3", "why?"], ["fleet"]])
def test_with_json_a_failure_is_an_error_object_too(words):
    pod = pods.FakePod(fails_with=errors.InvalidApiKey("no key"))

    status, out, err = run(*words, "--json", pod=pod)

    assert status == 1
    assert set(json.loads(out)["error"]) >= {"message", "type", "param", "code"}
    assert err.count("\n") == 1


def test_whatever_generates_text_has_a_maximum_of_tokens_and_a_budget_of_reasoning():
    commands = typer.main.get_command(app.app).commands
    flags = {
        name: {flag for option in command.params for flag in option.opts}
        for name, command in commands.items()
    }
    limited = {name for name, each in flags.items() if "--max-tokens" in each}
    assert {"caption", "ask", "chat", "analyze", "batch"} <= limited
    assert limited == {name for name, each in flags.items() if "--thinking-token-budget" in each}
