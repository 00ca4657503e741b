"""One run of a batch, whose requests are answered in this process."""

import asyncio
import contextlib
import errno
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.batches import Fleet, Items, lines, new_run, recorded_in, results
from fakes.effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from flamingo.batch.failures import FleetUnavailable, OutputFailed
from flamingo.batch.items import Item, Malformed
from flamingo.batch.outputs.jsonl import JsonlOutput
from flamingo.batch.progress import Progress
from flamingo.batch.run import RunOptions
from flamingo.client.failures import CannotConnect, ConnectionClosed, UnexpectedResponse
from flamingo_common import errors

KEYS = [f"{number:03}.flac" for number in range(100)]


def keys(folder):
    return sorted(line["key"] for line in lines(folder))


def test_each_item_is_sent_once_and_yielded_with_its_result():
    fleet = Fleet()

    assert sorted(results(Items(*KEYS), fleet)) == [(key, key) for key in KEYS]
    assert sorted(fleet.sent) == KEYS


def test_without_items_nothing_happens(tmp_path):
    assert results(Items(), Fleet(), recorded_in(tmp_path)) == []
    assert keys(tmp_path) == []


@pytest.mark.parametrize("concurrency", [1, 2, 7])
def test_no_more_requests_are_in_flight_than_allowed(concurrency):
    fleet = Fleet()
    results(Items(*KEYS), fleet, concurrency=concurrency)

    assert fleet.max_in_flight == concurrency


def test_every_outcome_is_recorded_before_it_is_yielded(tmp_path):
    async def scenario():
        run = new_run(Items(*KEYS), Fleet(), recorded_in(tmp_path))
        async with contextlib.aclosing(run.done()) as done:
            async for outcome, _ in done:
                assert outcome.key in keys(tmp_path)

    asyncio.run(scenario())
    assert keys(tmp_path) == KEYS


def test_a_second_run_sends_only_what_the_first_has_not_finished(tmp_path):
    results(Items(*KEYS[:60]), Fleet(), recorded_in(tmp_path))
    fleet = Fleet()
    rest = results(Items(*KEYS), fleet, recorded_in(tmp_path))

    assert sorted(fleet.sent) == sorted(key for key, _ in rest) == KEYS[60:]
    assert keys(tmp_path) == KEYS


@settings(max_examples=examples(60), deadline=None)
@given(data=st.data())
def test_a_kill_at_any_byte_of_the_output_loses_and_repeats_nothing(data):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results(Items(*KEYS[:20]), Fleet(), recorded_in(folder))
        whole = (folder / "out.jsonl").read_bytes()
        offset = data.draw(st.integers(0, len(whole)))
        (folder / "out.jsonl").write_bytes(whole[:offset])
        fleet = Fleet()
        results(Items(*KEYS[:20]), fleet, recorded_in(folder))

        assert keys(folder) == KEYS[:20]
        assert len(fleet.sent) == 20 - whole[:offset].count(b"\n")


def test_an_error_about_the_clip_is_recorded_and_not_tried_again(tmp_path):
    error = errors.InvalidAudio("it is empty")
    ((_, value),) = results(Items("a"), Fleet(a=[error]), recorded_in(tmp_path))
    assert value is error
    (line,) = lines(tmp_path)
    assert line["error"] == {"code": "invalid_audio", "message": "it is empty", "request_id": None}

    fleet = Fleet()
    assert results(Items("a"), fleet, recorded_in(tmp_path)) == []
    assert fleet.sent == []


@pytest.mark.parametrize(
    "error", [errors.UpstreamLost("lost"), ConnectionClosed("closed"), errors.InternalError("bug")]
)
def test_a_request_that_breaks_off_is_sent_again(error):
    fleet = Fleet(a=[error, error])

    assert results(Items("a"), fleet) == [("a", "a")]
    assert fleet.sent == ["a"] * 3


def test_after_the_last_attempt_it_is_left_to_the_next_run(tmp_path):
    lost = errors.UpstreamLost("lost")
    recording = recorded_in(tmp_path)
    assert results(Items("a", "b"), Fleet(a=[lost] * 9), recording, max_attempts=2) == [
        ("b", "b"),
        ("a", lost),
    ]
    assert keys(tmp_path) == ["b"]
    assert '"upstream_lost"' in (tmp_path / "out.jsonl.unfinished.jsonl").read_text()

    assert results(Items("a", "b"), Fleet(), recorded_in(tmp_path)) == [("a", "a")]
    assert keys(tmp_path) == ["a", "b"]
    assert not (tmp_path / "out.jsonl.unfinished.jsonl").exists()


def test_an_internal_error_that_stays_is_recorded(tmp_path):
    bug = errors.InternalError("bug")
    results(Items("a"), Fleet(a=[bug] * 9), recorded_in(tmp_path))

    (line,) = lines(tmp_path)
    assert (line["error"]["code"], line["attempts"]) == ("internal_error", 5)


@pytest.mark.parametrize(
    "refusal",
    [
        errors.Overloaded("full", retry_after_s=7),
        errors.RateLimited("slow down", retry_after_s=7),
        errors.NoEndpointReady("none"),
        CannotConnect("refused"),
    ],
)
def test_refusals_are_not_attempts_and_nothing_is_sent_for_their_time(refusal):
    fleet = Fleet(a=[refusal] * 20)
    run = new_run(Items("a"), fleet, concurrency=1, max_attempts=1)

    async def scenario():
        return [value async for _, value in run.done()]

    assert asyncio.run(scenario()) == ["a"]
    assert run._options.clock.now_s >= 20 * 7


def test_a_fleet_that_stays_away_ends_the_batch_and_what_was_done_is_kept(tmp_path):
    away = CannotConnect("refused")
    fleet = Fleet(**{key: [away] * 1000 for key in "bcd"})

    with pytest.raises(FleetUnavailable, match=r"no request for \d+ s; the last error: refused"):
        results(Items("a", "b", "c", "d"), fleet, recorded_in(tmp_path), max_outage_s=100)
    assert keys(tmp_path) == ["a"]


@pytest.mark.parametrize(
    "error",
    [
        errors.InvalidApiKey("wrong key"),
        errors.QuotaExceeded("empty"),
        errors.ModelNotFound("other model"),
        errors.UnknownParameter("what is this"),
        errors.BadRequest("temperature must be at most 2"),
        UnexpectedResponse("a web page"),
    ],
)
def test_an_error_that_every_item_would_have_ends_the_batch(tmp_path, error):
    fleet = Fleet(**{key: [error] for key in KEYS[1:]})

    with pytest.raises(type(error)):
        results(Items(*KEYS), fleet, recorded_in(tmp_path), concurrency=2)
    assert keys(tmp_path) == KEYS[:1]


def test_a_bad_option_of_one_line_is_an_error_of_that_line():
    error = errors.BadRequest("max_tokens must be at least 1")
    wrong = Item("a", "a", options={"max_tokens": 0})

    assert results(Items(wrong, "b"), Fleet(a=[error]), concurrency=1) == [
        ("a", error),
        ("b", "b"),
    ]


def test_a_malformed_line_is_recorded_once_and_does_not_stop_the_rest(tmp_path):
    source = Items("a", Malformed("m.jsonl:2", "not JSON"), "c")
    done = dict(results(source, Fleet(), recorded_in(tmp_path)))
    assert done["m.jsonl:2"].message == "m.jsonl:2: not JSON"
    assert keys(tmp_path) == ["a", "c", "m.jsonl:2"]

    assert results(source, Fleet(), recorded_in(tmp_path)) == []


def test_a_key_that_comes_twice_is_reported_once_under_its_place(tmp_path):
    source = Items("a", "b", "a", "a")
    results(source, Fleet(), recorded_in(tmp_path))
    assert keys(tmp_path) == ["a", "a (entry 3)", "a (entry 4)", "b"]

    assert results(source, Fleet(), recorded_in(tmp_path)) == []


def test_lines_about_one_clip_are_sent_together():
    source = Items(*(Item(f"{clip}{line}", f"{clip}.flac") for line in range(3) for clip in "xyz"))
    fleet = Fleet()
    results(source, fleet, concurrency=1)

    assert fleet.sent == ["x0", "x1", "x2", "y0", "y1", "y2", "z0", "z1", "z2"]


def test_a_changed_source_is_noticed_and_can_be_accepted(tmp_path):
    results(Items("a", fingerprint="one"), Fleet(), recorded_in(tmp_path))
    changed = Items("a", "b", fingerprint="two")

    with pytest.raises(errors.BadRequest, match=r"the source has changed.*accept_changed"):
        results(changed, Fleet(), recorded_in(tmp_path))
    accepted = results(changed, Fleet(), recorded_in(tmp_path, accept_changed=True))
    assert accepted == [("b", "b")]


def test_results_of_other_options_are_not_mixed(tmp_path):
    results(Items("a"), Fleet(), recorded_in(tmp_path), options={"style": "brief"})

    with pytest.raises(errors.BadRequest, match="its results have style='brief', and this run has"):
        results(Items("a"), Fleet(), recorded_in(tmp_path), options={"style": "x"})


def test_two_runs_on_one_output_at_once_are_refused(tmp_path):
    async def scenario():
        fleet = Fleet()
        fleet.release, fleet.immediate = asyncio.Event(), KEYS[:1]
        first = new_run(Items(*KEYS), fleet, recorded_in(tmp_path)).done()
        await anext(first)
        second = new_run(Items("a"), Fleet(), recorded_in(tmp_path)).done()
        with pytest.raises(errors.BadRequest, match="another run holds the lock"):
            await anext(second)
        await first.aclose()

    asyncio.run(scenario())


def test_what_was_in_flight_when_it_is_stopped_is_recorded_and_yielded(tmp_path):
    async def scenario():
        fleet = Fleet()
        fleet.release = asyncio.Event()
        run = new_run(Items(*KEYS), fleet, recorded_in(tmp_path), concurrency=3)
        pairs = run.done()
        first = asyncio.create_task(anext(pairs))
        await fleet.until(lambda: fleet.num_in_flight == 3)
        run.stop()
        fleet.release.set()
        return [(await first)[1]] + [value async for _, value in pairs]

    assert sorted(asyncio.run(scenario())) == KEYS[:3]
    assert keys(tmp_path) == KEYS[:3]


def test_what_has_arrived_is_recorded_when_the_caller_is_cancelled(tmp_path):
    async def scenario():
        fleet = Fleet()
        run = new_run(Items(*KEYS), fleet, recorded_in(tmp_path), record_after_s=1000)
        waiting = asyncio.create_task(anext(run.done()))
        await fleet.until(lambda: len(fleet.sent) == len(KEYS) and not fleet.num_in_flight)
        waiting.cancel()
        await asyncio.wait([waiting])

    asyncio.run(scenario())
    assert keys(tmp_path) == KEYS


def test_abandoning_the_iterator_cancels_what_is_in_flight(tmp_path):
    async def scenario():
        fleet = Fleet()
        fleet.release, fleet.immediate = asyncio.Event(), KEYS[:1]
        run = new_run(Items(*KEYS), fleet, recorded_in(tmp_path), concurrency=2)
        async with contextlib.aclosing(run.done()) as done:
            await anext(done)
            await fleet.until(lambda: fleet.num_in_flight == 2)
        assert fleet.num_in_flight == 0

    asyncio.run(scenario())
    assert keys(tmp_path) == KEYS[:1]


def test_a_slow_caller_slows_the_requests_down():
    async def scenario():
        fleet = Fleet()
        many = Items(*(f"{number}" for number in range(5000)))
        async with contextlib.aclosing(new_run(many, fleet, concurrency=4).done()) as pairs:
            await anext(pairs)
            before = -1
            while before != len(fleet.sent):
                before = len(fleet.sent)
                for _ in range(1000):
                    await asyncio.sleep(0)
        return before

    assert asyncio.run(scenario()) < 1500


def test_an_error_of_the_source_ends_the_batch_after_what_is_in_flight(tmp_path):
    class Broken(Items):
        def items(self):
            yield from [Item(key, key) for key in KEYS[:2]]
            raise errors.BadRequest("cannot read the source")

    with pytest.raises(errors.BadRequest, match="cannot read the source"):
        results(Broken(), Fleet(), recorded_in(tmp_path))


class FullDisk(JsonlOutput):
    """An output on a disk that is full after the first result."""

    def append(self, outcomes):
        super().append(outcomes[:1])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_an_output_that_cannot_be_written_ends_the_batch_with_what_to_do(tmp_path):
    recording = replace(recorded_in(tmp_path), output=FullDisk(tmp_path / "out.jsonl"))

    with pytest.raises(
        OutputFailed, match=r"no space left on device.*results that it has are kept"
    ):
        results(Items(*KEYS[:20]), Fleet(), recording, concurrency=1)
    assert len(keys(tmp_path)) == 1
    assert len(results(Items(*KEYS[:20]), Fleet(), recorded_in(tmp_path))) == 19
    assert keys(tmp_path) == KEYS[:20]


def test_progress_counts_what_was_recorded(tmp_path):
    results(Items("old"), Fleet(), recorded_in(tmp_path))
    seen = []
    source = Items("old", "a", "b", "c", Malformed("m:5", "not JSON"))
    fleet = Fleet(b=[errors.InvalidAudio("empty")], c=[errors.ClipQuarantined("crashed")])
    results(source, fleet, recorded_in(tmp_path), on_progress=seen.append)

    last = seen[-1]
    assert last == Progress(1, 2, 1, 1, elapsed_s=last.elapsed_s)


def test_a_bug_is_raised_as_it_is():
    class Buggy(Fleet):
        async def send(self, item, audio):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        results(Items("a"), Buggy())


@pytest.mark.parametrize("name", ["concurrency", "max_attempts"])
def test_a_number_below_one_is_refused_by_its_name(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, not 0"):
        RunOptions(**{name: 0})
