"""A client in a process that forks: in the child, in the parent, and at the end of both.

Each scenario is a program of its own: pytest's process has threads that a fork would lose.
"""

import asyncio
import os
import sys
import textwrap

import pytest
from fakes import pods
from fakes.client_program import PRELUDE, run
from fakes.patience import PATIENCE_S


@pytest.mark.parametrize("end", ["sys.exit()", "os._exit(0)", "os.abort()"])
def test_client_used_before_a_fork_works_in_the_child_and_still_in_the_parent(end):
    program = f"""
        client = FlamingoClient()
        client.caption(AUDIO)

        def child():
            print(client.caption(AUDIO).caption, list(client.stream_caption(AUDIO)), flush=True)
            {end}

        print(status_of(in_child(child)), flush=True)
        print(client.caption(AUDIO).caption)
    """

    status, out, err = run(program, pods.FakePod())

    said = "a quiet song ['a ', 'quiet ', 'song']"
    assert (status, err) == (0, "")
    assert out == [said, "-6" if "abort" in end else "0", "a quiet song"]


def test_client_works_in_the_child_of_a_child_and_in_many_at_once():
    program = """
        client = FlamingoClient()
        client.caption(AUDIO)

        def grandchild():
            assert client.caption(AUDIO).caption == "a quiet song"

        def child():
            assert client.caption(AUDIO).caption == "a quiet song"
            sys.exit(status_of(in_child(grandchild)))

        children = [in_child(child) for _ in range(4)]
        print(client.caption(AUDIO).caption, [status_of(child) for child in children])
    """

    assert run(program, pods.FakePod()) == (0, ["a quiet song [0, 0, 0, 0]"], "")


def test_client_works_in_processes_of_multiprocessing():
    program = """
        client = FlamingoClient()
        client.models()

        def caption(_):
            return client.caption(AUDIO).caption

        with multiprocessing.get_context("fork").Pool(2) as pool:
            print(pool.map(caption, range(4)))
        print(caption(0))
    """

    answers = ["a quiet song"] * 4
    assert run(program, pods.FakePod()) == (0, [str(answers), "a quiet song"], "")


def test_client_that_was_never_used_has_no_thread_to_lose():
    program = """
        client = FlamingoClient()
        print(threading.active_count(), flush=True)
        print(status_of(in_child(lambda: client.caption(AUDIO))))
        client.close()
    """

    assert run(program, pods.FakePod()) == (0, ["1", "0"], "")


@pytest.mark.parametrize("use", ["next(stream)", "list(stream)"])
def test_stream_of_the_parent_continues_there_and_is_refused_in_the_child(use):
    program = f"""
        client = FlamingoClient()
        with client.stream_caption(AUDIO) as stream:
            print(next(stream), flush=True)

            def child():
                with stream:
                    try:
                        {use}
                    except RuntimeError as error:
                        print(error, flush=True)
                print(client.caption(AUDIO).caption, flush=True)

            print(status_of(in_child(child)), flush=True)
            print(len(list(stream)), stream.finish_reason)
        print(client.caption(AUDIO).usage.total_tokens)
    """
    pod = pods.FakePod(words=("word ",) * 20_000)

    status, out, err = run(program, pod)

    refusal = "this stream was opened before a fork, in the parent process"
    assert (status, err) == (0, "")
    assert out == ["word ", refusal, "word " * 20_000, "0", "19999 stop", "15"]


def test_requests_of_other_threads_are_undisturbed_by_forks():
    program = """
        client = FlamingoClient()
        counts = []

        def stream():
            counts.append(len(list(client.stream_caption(AUDIO))))

        threads = [threading.Thread(target=stream) for _ in range(4)]
        for thread in threads:
            thread.start()
        children = [in_child(lambda: client.models()) for _ in range(8)]
        statuses = [status_of(child) for child in children]
        for thread in threads:
            thread.join()
        print(counts, statuses)
    """
    pod = pods.FakePod(words=("word ",) * 5_000)

    assert run(program, pod) == (0, [f"{[5000] * 4} {[0] * 8}"], "")


def test_server_notices_that_the_parent_cancels_although_a_child_lives():
    program = """
        client = FlamingoClient()
        stream = client.stream_caption(AUDIO)
        print(next(stream), flush=True)
        reader, writer = os.pipe()
        os.set_inheritable(reader, True)

        def child():
            os.close(writer)
            os.read(reader, 1)  # lives as long as the parent

        children = in_child(child)
        stream.close()
        print(client.models()[0].id, flush=True)
        sys.stdin.read()
    """
    pod = pods.FakePod(words=("word ", "word "), waits_after_words=1)

    async def scenario():
        pod.release = asyncio.Event()
        async with pods.running(pod) as address:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                PRELUDE + textwrap.dedent(program),
                env={**os.environ, "FLAMINGO_URL": address},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            await asyncio.wait_for(pod.was_cancelled.wait(), PATIENCE_S)
            assert process.returncode is None
            await process.communicate(b"")
            return process.returncode

    assert asyncio.run(scenario()) == 0


def test_client_closed_before_a_fork_stays_closed():
    program = """
        client = FlamingoClient()
        client.models()
        client.close()

        def child():
            try:
                client.models()
            except RuntimeError as error:
                print(error, flush=True)
            client.close()

        print(status_of(in_child(child)))
    """

    assert run(program, pods.FakePod()) == (0, ["this FlamingoClient is closed", "0"], "")


def test_child_may_close_the_client_and_the_parent_keeps_it():
    program = """
        with FlamingoClient() as client:
            client.models()
            print(status_of(in_child(client.close)), flush=True)
            print(client.caption(AUDIO).caption)
    """

    assert run(program, pods.FakePod()) == (0, ["0", "a quiet song"], "")


def test_asynchronous_client_works_in_a_child_and_in_several_event_loops():
    program = """
        client = AsyncFlamingoClient()

        async def caption():
            return (await client.caption(AUDIO)).caption

        print(asyncio.run(caption()), asyncio.run(caption()), flush=True)

        async def caption_and_close():
            async with client:
                print(await caption(), flush=True)

        def child():
            asyncio.run(caption_and_close())
            os._exit(0)  # leaves the event loop of the parent alone

        async def fork():
            stream = client.stream_caption(AUDIO)
            await anext(stream)
            print(status_of(in_child(child)), len([text async for text in stream]), flush=True)
            async with client:
                return await caption()

        print(asyncio.run(fork()))
        try:
            asyncio.run(caption())
        except RuntimeError as error:
            print(error)
    """

    status, out, err = run(program, pods.FakePod())

    assert (status, err) == (0, "")
    assert out[0] == "a quiet song a quiet song"
    assert out[1:3] == ["a quiet song", "0 2"]
    assert out[3:] == ["a quiet song", "this AsyncFlamingoClient is closed"]
