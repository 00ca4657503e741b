"""Ctrl-C at any moment of a command: exit status 130, or death by SIGINT, and no traceback."""

import asyncio
import json
import os
import signal
import sys

import pytest
from fakes import pods
from fakes.command_line import FLAMINGO
from fakes.patience import PATIENCE_S

ENDED = {130, -signal.SIGINT}


async def start(*args, address="http://127.0.0.1:1", stdin=asyncio.subprocess.DEVNULL, argv=None):
    return await asyncio.create_subprocess_exec(
        *(argv or FLAMINGO),
        *args,
        env={**os.environ, "FLAMINGO_URL": address},
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def end_of(process):
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    return process.returncode, out, err


def test_during_the_import_of_the_commands():
    program = (
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'numpy':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from flamingo.cli import main\n"
        "main()\n"
    )

    async def scenario():
        return await end_of(await start("models", argv=[sys.executable, "-c", program]))

    assert asyncio.run(scenario()) == (-signal.SIGINT, b"", b"")


@pytest.mark.parametrize("num_signals", [1, 2])
@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_while_the_server_works(tmp_path, flags, num_signals):
    song = tmp_path / "song.mp3"
    song.write_bytes(b"ID3, let us say")

    async def scenario():
        pod = pods.FakePod(release=asyncio.Event(), waits_after_words=1)
        async with pods.running(pod) as address:
            process = await start("caption", *flags, str(song), str(song), address=address)
            await pod.has_arrived.wait()
            for _ in range(num_signals):
                process.send_signal(signal.SIGINT)
            return await end_of(process)

    status, _, err = asyncio.run(scenario())
    assert status in ENDED
    assert err == b""


@pytest.mark.parametrize("is_named", [False, True])
def test_while_the_audio_does_not_arrive(is_named, tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)

    async def scenario():
        writer = os.open(path, os.O_RDWR)
        reader = os.open(path, os.O_RDONLY)
        clip = str(path) if is_named else "-"
        async with pods.running(pods.FakePod()) as address:
            command = ["caption", "--json", clip, clip]
            process = await start(*command, stdin=reader, address=address)
            # More than a pipe holds: written when the command is reading.
            await asyncio.to_thread(os.write, writer, bytes(2**17))
            process.send_signal(signal.SIGINT)
            ended = await end_of(process)
        os.close(reader)
        os.close(writer)
        return ended

    status, out, err = asyncio.run(scenario())
    assert (status in ENDED, out, err) == (True, b"", b"")


def test_while_several_questions_of_a_quiz_are_asked(tmp_path):
    (tmp_path / "song.mp3").write_bytes(b"ID3, let us say")
    line = {"audio": "song.mp3", "question": "Which?", "choices": ["a", "b"], "answer": "a"}
    quiz = tmp_path / "quiz.jsonl"
    quiz.write_text("".join(json.dumps(line) + "\n" for _ in range(9)))

    async def scenario():
        pod = pods.FakePod(release=asyncio.Event())
        async with pods.running(pod) as address:
            process = await start("bench", "quiz", "-j", "3", str(quiz), address=address)
            await pod.has_arrived.wait()
            process.send_signal(signal.SIGINT)
            ended = await end_of(process)
            await asyncio.wait_for(pod.was_cancelled.wait(), PATIENCE_S)
            return ended, len(pod.received)

    (status, out, err), num_sent = asyncio.run(scenario())
    assert status in ENDED
    assert (out, err) == (b"", b"")
    assert num_sent <= 3
