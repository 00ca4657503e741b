"""The chaos run judges rightly, and a short one finds nothing wrong, stuck or lost."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bench.chaos.disturbances import victims
from bench.chaos.requests import Item, Response
from bench.chaos.verdicts import judge

TESTS = Path(__file__).parents[1]
RUN_S = 900
STREAM = Item("chat, stream", b"", "", expected="a quiet song")
CANCELLED = Item("chat, cancelled", b"", "", expected="a quiet song")
EMBEDDING = Item("embedding", b"", "", expected=np.array([1.0, -0.5]))


@pytest.mark.parametrize(
    ("item", "got", "verdict"),
    [
        (STREAM, Response(200, value="a quiet song"), "right"),
        (STREAM, Response(200, value="a quiet"), "wrong"),
        (STREAM, Response(200, words=["a ", "quiet"]), "cut"),
        (STREAM, Response(200, words=["a ", "loud"]), "wrong"),
        (STREAM, Response(200, code="upstream_lost", words=["a "]), "cut"),
        (STREAM, Response(200, code="upstream_lost"), "lost"),
        (STREAM, Response(503, code="unavailable"), "refused"),
        (STREAM, Response(502, code="upstream_lost"), "lost"),
        (STREAM, Response(503, code="draining"), "lost"),
        (STREAM, Response(503, code="no_endpoint_ready"), "lost"),
        (STREAM, Response(422, code="clip_quarantined"), "lost"),
        (STREAM, Response(), "lost"),
        (CANCELLED, Response(200, value="a quiet"), "right"),
        (CANCELLED, Response(200, value="quiet"), "wrong"),
        (EMBEDDING, Response(200, value=np.array([1.0005, -0.5])), "right"),
        (EMBEDDING, Response(200, value=np.array([1.01, -0.5])), "wrong"),
        (EMBEDDING, Response(200, value=np.array([1.0])), "wrong"),
    ],
)
def test_a_try_is_judged_by_the_answer_of_the_quiet_fleet(item, got, verdict):
    assert judge(item, got, router_was_disturbed=False).name == verdict


def test_only_a_try_without_a_response_is_excused_by_a_router_that_was_disturbed():
    assert judge(STREAM, Response(), router_was_disturbed=True).name == "again"
    assert (
        judge(STREAM, Response(503, code="draining"), router_was_disturbed=True).name == "refused"
    )
    failed = Response(502, code="upstream_lost")
    assert judge(STREAM, failed, router_was_disturbed=True).name == "lost"


def test_one_pod_and_one_router_are_left_alone():
    assert victims([False, True, False], [True, False]) == ([0, 2], [])
    assert victims([True, True, False], [False, False]) == ([], [0, 1])


def test_a_short_run_finds_nothing_wrong_stuck_or_lost():
    command = [sys.executable, "-m", "bench.chaos", "--minutes", "0.33", "--seed", "3"]
    environ = os.environ | {"PYTHONPATH": str(TESTS)}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=RUN_S, check=False, env=environ
    )
    assert "result: 0 wrong, 0 stuck, 0 lost" in done.stdout, done.stdout + done.stderr
    assert "faults: none" in done.stdout, done.stdout
    assert "\n0 disturbances" not in done.stdout
    assert done.returncode == 0
