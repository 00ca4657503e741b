"""How the program ends: exit status, one line on standard error, silence when nobody reads."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest
from fakes import pods

from flamingo_common import errors

FLAMINGO = [sys.executable, "-P", "-c", "from flamingo.cli import main; main()"]


@pytest.fixture
def song(tmp_path):
    path = tmp_path / "song.mp3"
    path.write_bytes(b"ID3, let us say")
    return str(path)


def ended(*args, pod=None):
    """Return (exit status, standard output, standard error) of `flamingo args…`."""
    pod = pod or pods.FakePod()

    async def scenario():
        async with pods.running(pod) as address:
            process = await started(*args, address=address)
            out, err = await process.communicate()
            return process.returncode, out.decode(), err.decode()

    return asyncio.run(scenario())


async def started(*args, address, stdout=subprocess.PIPE):
    return await asyncio.create_subprocess_exec(
        *FLAMINGO,
        *args,
        env={**os.environ, "FLAMINGO_URL": address},
        stdout=stdout,
        stderr=subprocess.PIPE,
    )


def test_success_is_zero(song):
    assert ended("caption", song) == (0, "a quiet song\n", "")


def test_failure_is_one_with_one_line_and_no_traceback(song):
    pod = pods.FakePod(fails_with=errors.AudioTooLong("the clip lasts\n25 minutes"))

    status, out, err = ended("caption", song, pod=pod)

    assert (status, out) == (1, "")
    assert err.startswith("flamingo: the clip lasts 25 minutes [req-")
    assert err.count("\n") == 1


def test_wrong_use_is_two():
    status, out, err = ended("caption")

    assert (status, out) == (2, "")
    assert "Missing argument 'CLIP'" in err


def test_ctrl_c_is_130_without_a_traceback(song):
    async def scenario():
        pod = pods.FakePod(words=("word ",) * 10**7)
        async with pods.running(pod) as address:
            process = await started("caption", song, address=address)
            await process.stdout.readexactly(5)  # it is in the midst of it
            process.send_signal(signal.SIGINT)
            _, err = await process.communicate()
            return process.returncode, err

    assert asyncio.run(scenario()) == (130, b"")


@pytest.mark.parametrize("num_words", [3, 10**7], ids=["all of it buffered", "in the midst"])
def test_reader_that_leaves_is_met_with_silence(song, num_words):
    async def scenario():
        reader, writer = os.pipe()
        os.close(reader)
        pod = pods.FakePod(words=("word ",) * num_words)
        async with pods.running(pod) as address:
            process = await started("caption", song, address=address, stdout=writer)
            os.close(writer)
            _, err = await process.communicate()
            return err

    assert asyncio.run(scenario()) == b""


@pytest.mark.parametrize("verb", ["serve", "router", "operator"])
def test_service_replaces_the_process_and_reads_every_argument_itself(verb):
    program = (
        "import sys\nfrom flamingo import cli\n"
        f"sys.argv = ['flamingo', '{verb}', '--help', '--', '-x', '--port=1', '-']\n"
        "sys.executable = '/bin/echo'  # an interpreter that tells its arguments\n"
        "cli.main()\n"
    )
    package = {"serve": "pod"}.get(verb, verb)

    told = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )

    assert told.stdout == f"-P -m flamingo_{package} --help -- -x --port=1 -\n"
    assert (told.returncode, told.stderr) == (0, "")


def test_command_line_starts_without_torch_and_the_other_services():
    program = (
        "import sys, flamingo.cli\n"
        "heavy = ('torch', 'flamingo_pod', 'flamingo_router', 'flamingo_operator')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )

    told = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )

    assert told.stdout == "[]\n"
