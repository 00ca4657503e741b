"""Whose the engine's time was, which clips the caches hold, and what a report says of both."""

import asyncio
import time

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from flamingo_common.errors import InternalError, Overloaded, RequestTooLarge
from flamingo_common.wire.report import MAX_REPORTED_CLIPS, MAX_TIMINGS, LoadReport
from flamingo_pod.engine.clips import ClipIndex
from flamingo_pod.engine.request_stats import RequestStats
from flamingo_pod.engine.scheduler import Chunk, StepPlan, WindowJob
from flamingo_pod.engine.sequence import Prefix, SamplingParams, Sequence
from flamingo_pod.engine.shares import StepShare, split_step_time
from flamingo_pod.telemetry.metrics import Metrics
from flamingo_pod.telemetry.timings import RecentTimings

WHO = [
    Sequence(number, range(10), SamplingParams(max_tokens=1), arrived_s=0.0) for number in range(4)
]
PREFIX = Prefix(b"", 0, 0, [])


def plan(windows, rows):
    return StepPlan(
        windows=[WindowJob(WHO[who], PREFIX, index) for index, who in enumerate(windows)],
        chunks=[Chunk(WHO[who], 0, num_rows) for who, num_rows in rows],
    )


@given(
    windows=st.lists(st.integers(0, 3), max_size=6),
    is_encoded=st.lists(st.booleans(), min_size=6, max_size=6),
    rows=st.dictionaries(st.integers(0, 3), st.integers(1, 600)),
    windows_s=st.floats(0, 5),
    rest_s=st.floats(0, 5),
)
def test_the_shares_of_a_step_add_up_to_its_time(windows, is_encoded, rows, windows_s, rest_s):
    step = plan(windows, rows.items())
    encoded = [job for job, yes in zip(step.windows, is_encoded, strict=False) if yes]
    parts = split_step_time(step, encoded, step_s=windows_s + rest_s, windows_s=windows_s)
    total_s = sum(part.total_s for part in parts.values())
    assert total_s == pytest.approx(windows_s + rest_s if windows or rows else 0.0)
    assert all(part.windows_s >= 0 and part.rows_s >= 0 for part in parts.values())


def test_hearing_is_paid_for_by_windows_and_the_rest_by_rows():
    step = plan([0, 0, 1, 2], [(0, 300), (3, 100)])
    parts = split_step_time(step, step.windows[:3], step_s=7.0, windows_s=3.0)
    assert parts == {
        WHO[0]: StepShare(2.0, 3.0),
        WHO[1]: StepShare(1.0),
        WHO[3]: StepShare(0.0, 1.0),
    }


def test_who_only_asked_a_cache_pays_where_nobody_encoded():
    step = plan([0, 1], [])
    assert split_step_time(step, [], step_s=2.0, windows_s=1.0) == {
        WHO[0]: StepShare(1.0),
        WHO[1]: StepShare(1.0),
    }


def test_a_window_read_anew_from_cached_states_was_computed_too():
    stats = RequestStats(num_prefix_tokens_computed=751)
    assert stats.num_windows_computed == 2
    stats.record_encoded_windows(3)
    assert stats.num_windows_computed == 3


def test_a_clip_is_held_while_all_its_states_or_one_prefix_are():
    clips = ClipIndex()
    clips.register("song", [b"one", b"two"], b"prefix")
    told = [(b"one", True), (b"two", True), (b"one", False), (b"prefix", True), (b"prefix", False)]
    seen = []
    for key, is_cached in told:
        clips.on_cache_change(key, is_cached)
        seen.append(clips.names())
    assert seen == [[], ["song"], [], ["song"], []]


def test_a_clip_noted_after_its_states_came_is_held_at_once():
    clips = ClipIndex()
    clips.on_cache_change(b"one", True)
    clips.register("song", [b"one"], None)
    clips.register("the same song under another name", [b"one"], None)
    clips.register("silence", [], None)
    assert clips.names() == ["song", "the same song under another name"]
    clips.on_cache_change(b"one", False)
    assert clips.names() == []


def test_a_name_given_to_another_clip_means_that_one():
    clips = ClipIndex()
    clips.on_cache_change(b"old", True)
    clips.register("song", [b"old"], None)
    clips.register("song", [b"new"], None)
    assert clips.names() == []


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("tell"), st.integers(0, 7), st.booleans()),
            st.tuples(st.just("note"), st.integers(0, 5), st.sets(st.integers(0, 3))),
        )
    )
)
def test_whatever_comes_and_goes_the_names_are_those_whose_keys_are_cached(life):
    clips, cached, known = ClipIndex(max_names=3), set(), {}
    for what, number, more in life:
        if what == "tell":
            clips.on_cache_change(bytes([number]), more)
            (cached.add if more else cached.discard)(number)
        elif more:
            known.pop(number, None)
            known[number] = more
            known = dict(list(known.items())[-3:])
            clips.register(str(number), [bytes([each]) for each in more], None)
        assert sorted(clips.names()) == sorted(
            str(n) for n, keys in known.items() if keys <= cached
        )


def test_the_longest_unused_name_is_forgotten_and_its_keys_with_it():
    clips = ClipIndex(max_names=2)
    for number in (1, 2, 1, 3):
        clips.on_cache_change(bytes([number]), True)
        clips.register(str(number), [bytes([number])], None)
    assert clips.names() == ["1", "3"]
    assert set(clips._names_by_key) == {b"\1", b"\3"}


def test_the_last_timings_are_kept_and_numbered():
    timings = RecentTimings()
    for number in range(MAX_TIMINGS + 5):
        timings.add(RequestStats(route="/v1/audio/captions", num_output_tokens=number))
    assert [each.number for each in timings.last()] == list(range(6, MAX_TIMINGS + 6))
    assert timings.last()[-1].num_tokens == MAX_TIMINGS + 4


def test_a_report_of_a_thousand_clips_is_cheap():
    clips, timings = ClipIndex(), RecentTimings()
    for number in range(MAX_REPORTED_CLIPS):
        key = number.to_bytes(32, "big")
        clips.register(f"{number:064d}", [key], None)
        clips.on_cache_change(key, True)
        timings.add(RequestStats(route="/v1/audio/captions"))

    def report():
        return LoadReport(
            model="m",
            state="ready",
            epoch="e",
            sequence=1,
            backlog_s=0.0,
            num_running=1,
            num_waiting=0,
            clips=clips.names(),
            timings=timings.last(),
        ).model_dump_json()

    cpu_s = []
    for _ in range(50):
        started_s = time.thread_time()
        text = report()
        cpu_s.append(time.thread_time() - started_s)
    assert len(LoadReport.model_validate_json(text).clips) == MAX_REPORTED_CLIPS
    assert min(cpu_s) < 0.001  # 0.2 ms, and a busy machine


@pytest.mark.parametrize(
    ("raised", "code", "error"),
    [
        (Overloaded("full"), "429", Overloaded.code),
        (web.HTTPRequestEntityTooLarge(1, 2), "413", RequestTooLarge.code),
        (ConnectionResetError(), "499", None),
        (asyncio.CancelledError(), "499", None),
        (ValueError("a bug"), "500", InternalError.code),
    ],
)
def test_a_request_is_counted_however_it_ends(raised, code, error):
    metrics = Metrics()
    with pytest.raises(type(raised)), metrics.request("/v1/x"):
        raise raised
    count = metrics.registry.get_sample_value
    assert count("flamingo_requests_total", {"route": "/v1/x", "code": code}) == 1
    assert count("flamingo_errors_total", {"code": error or ""}) == (1 if error else None)
