"""Requests while the interpreter shuts down, when no thread can be started."""

import pytest
from fakes import pods
from fakes.client_program import run

AT_EXIT = """
    import atexit
    client = FlamingoClient()
    atexit.register(lambda: print(client.caption(AUDIO).caption))
"""
IN_A_THREAD_AFTER_THE_MAIN_ONE = """
    client = FlamingoClient()

    def caption():
        threading.main_thread().join()
        print(client.caption(AUDIO).caption)

    threading.Thread(target=caption).start()
"""


@pytest.mark.parametrize("program", [AT_EXIT, IN_A_THREAD_AFTER_THE_MAIN_ONE])
@pytest.mark.parametrize("use", ["", "    client.models()\n"])
def test_request_at_the_end_of_the_program_is_answered(program, use):
    assert run(program + use, pods.FakePod()) == (0, ["a quiet song"], "")


def test_stream_that_is_open_at_the_end_of_the_program_is_no_traceback():
    program = """
        client = FlamingoClient()
        stream = client.stream_caption(AUDIO)
        print(next(stream))
    """

    assert run(program, pods.FakePod(words=("word ",) * 10_000)) == (0, ["word "], "")
