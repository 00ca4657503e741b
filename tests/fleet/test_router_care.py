"""What the router learns from pods, and how it treats those that fail."""

import asyncio
import contextlib
import hashlib
import io
import json

import pytest
from fakes import pods
from fakes.pods import FakePod
from fakes.routers import CAPTIONS, CHAT, QUESTION, STREAMED, caption_of, routing, run

from flamingo_common import errors
from flamingo_common.wire import PRIORITY_HEADER
from flamingo_common.wire.report import CLIP_HEADER, RequestTiming

WITHOUT_POLLING = {"poll_interval_s": 60, "stale_after_s": 120, "unreachable_after_s": 120}
"""Without polling the router knows only the first report, and its own requests."""


def clip_names(pod):
    headers = (received.headers for received in pod.received)
    return [
        {name.lower(): value for name, value in each.items()}.get(CLIP_HEADER) for each in headers
    ]


def test_a_second_request_about_a_clip_goes_where_it_is_cached():
    async def scenario():
        one, other = FakePod(window_s=1.0), FakePod(window_s=1.0)
        async with routing(one, other) as router:
            for _ in range(6):
                await router.answer(CAPTIONS, caption_of(300))
            assert sorted((len(one.received), len(other.received))) == [0, 6]

            cached, idle = (one, other) if one.received else (other, one)
            cached.backlog_s = 60.0  # a clip is not worth a minute
            await router.until(lambda all_of: max(each["backlog_s"] for each in all_of) > 50)
            await router.answer(CAPTIONS, caption_of(300))
            assert len(idle.received) == 1

    run(scenario)


def test_an_idle_pod_is_polled_less_often_than_a_busy_one():
    async def scenario():
        idle, busy = FakePod(), FakePod(backlog_s=5)
        async with routing(idle, busy) as router:
            since = idle.sequence, busy.sequence
            await router.until(lambda _: busy.sequence - since[1] >= 40)
            assert idle.sequence - since[0] < 25

    run(scenario)


def test_the_clips_that_a_pod_reports_count_as_cached():
    async def scenario():
        one, other = FakePod(window_s=1.0, backlog_s=0.3), FakePod(window_s=1.0, backlog_s=0.5)
        async with routing(one, other) as router:
            await router.answer(CAPTIONS, caption_of(300))
            (name,) = clip_names(one)
        async with routing(one, other) as router:  # a router that has sent nothing yet
            other.clips = (name,)
            await router.until(lambda all_of: 1 in [each["num_clips"] for each in all_of])
            await router.answer(CAPTIONS, caption_of(300))
            assert clip_names(other) == [name]

    run(scenario)


def test_only_the_router_names_clips():
    async def scenario():
        pod = FakePod()
        async with routing(pod) as router:
            mine = {CLIP_HEADER: "mine"}
            await router.answer(CAPTIONS, caption_of(30), headers=mine)
            await router.answer(CAPTIONS, caption_of(30) | {"style": "brief"})
            await router.answer(CAPTIONS, caption_of(31))
            await router.answer(CHAT, QUESTION, headers=mine)
        same, again, longer, none = clip_names(pod)
        assert same == again != longer
        assert none is None
        assert "mine" not in (same, longer)

    run(scenario)


def test_pods_are_told_the_priority():
    async def scenario():
        pod = FakePod()
        async with routing(pod) as router:
            for headers in ({}, {"X-Flamingo-Priority": "Low"}, {PRIORITY_HEADER: "normal"}):
                await router.answer(CHAT, QUESTION, headers=headers)
        named = [received.headers.get(PRIORITY_HEADER) for received in pod.received]
        assert named == [None, "low", None]

    run(scenario)


def test_costs_are_learned_from_what_pods_report():
    async def scenario():
        pod = FakePod()
        pod.timings = tuple(
            RequestTiming(number=n, route=CAPTIONS, num_windows=n, num_tokens=10, compute_s=2.0 * n)
            for n in range(1, 31)
        )
        async with routing(pod) as router:
            pod.timings = tuple(
                timing.model_copy(update={"number": timing.number + 100}) for timing in pod.timings
            )
            release = pod.release = asyncio.Event()
            asked = asyncio.create_task(router.answer(CAPTIONS, caption_of(600)))
            await router.until(lambda all_of: all_of[0]["backlog_s"] > 30)  # 20 windows of 2 s
            release.set()
            await asked

    run(scenario)


def test_a_clip_that_crashed_two_pods_is_not_sent_to_a_third():
    async def scenario():
        fakes = [FakePod(aborts_unanswered=True, epoch=str(number)) for number in range(4)]
        async with routing(*fakes) as router:
            assert (await router.answer(CAPTIONS, caption_of(30)))[0] == 502
            status, answer, headers = await router.answer(CAPTIONS, caption_of(30))
            assert (status, answer["error"]["code"]) == (422, "clip_quarantined")
            assert answer["error"]["param"] == "audio"
            assert headers["x-should-retry"] == "false"
            assert sum(len(fake.received) for fake in fakes) == 2

            for fake in fakes:
                fake.aborts_unanswered = False
            assert (await router.answer(CAPTIONS, caption_of(40)))[0] == 200

    run(scenario)


def test_good_clips_whose_pods_died_together_are_answered():
    async def scenario():
        fakes = [FakePod(aborts_unanswered=True, epoch=str(number)) for number in range(2)]
        async with routing(*fakes) as router:
            asked = [router.answer(CAPTIONS, caption_of(seconds)) for seconds in (30, 40, 50, 60)]
            assert {answer[0] for answer in await asyncio.gather(*asked)} == {502}
            for fake in fakes:
                fake.aborts_unanswered, fake.release = False, asyncio.Event()
            first = asyncio.create_task(router.answer(CAPTIONS, caption_of(30)))
            await router.until(lambda all_of: any(each["num_open"] for each in all_of))
            status, body, headers = await router.answer(CAPTIONS, caption_of(40))
            assert (status, body["error"]["code"]) == (503, "unavailable")
            assert int(headers["Retry-After"]) > 0

            for fake in fakes:
                fake.release.set()
            assert (await first)[0] == 200
            for seconds in (40, 50, 60):
                assert (await router.answer(CAPTIONS, caption_of(seconds)))[0] == 200

    run(scenario)


def test_a_clip_whose_pod_crashed_for_another_reason_is_answered():
    async def scenario():
        first, second = FakePod(aborts_unanswered=True), FakePod(backlog_s=5)
        async with routing(first, second) as router:
            for _ in range(3):
                assert (await router.answer(CAPTIONS, caption_of(30)))[0] == 200

    run(scenario)


def test_a_pod_that_fails_repeatedly_is_ejected():
    async def scenario():
        ill = FakePod(fails_with=errors.InternalError("a bug"))
        others = [FakePod(backlog_s=5) for _ in range(2)]
        async with routing(ill, *others) as router:
            statuses = [(await router.answer(CHAT, QUESTION))[0] for _ in range(8)]
            assert statuses == [500] * 5 + [200] * 3
            endpoints = (await router.get("/fleet"))[1]["endpoints"]
            assert [each["reason"] for each in endpoints if each["ejected"]] == ["ejected"]

    run(scenario)


def test_when_most_pods_fail_none_is_ejected():
    async def scenario():
        fakes = [FakePod(fails_with=errors.InternalError("a bug")) for _ in range(3)]
        async with routing(*fakes) as router:
            for _ in range(30):
                assert (await router.answer(CHAT, QUESTION))[0] == 500
            ejected = [each["ejected"] for each in (await router.get("/fleet"))[1]["endpoints"]]
            assert sum(ejected) <= 1

    run(scenario)


def test_a_stream_that_is_complete_is_so_even_if_its_pod_dies_before_the_last_chunk():
    async def scenario():
        async with routing(FakePod(aborts_after_done=True)) as router:
            async with router.post(CHAT, STREAMED) as response:
                text = await response.text()
            assert text.rstrip().endswith("data: [DONE]")
            assert "error" not in text

    run(scenario)


def test_busy_pods_and_faulty_requests_cause_no_ejection():
    async def scenario():
        pod, other = FakePod(), FakePod(backlog_s=5)
        async with routing(pod, other) as router:
            for fault in (errors.Overloaded("full"), errors.InvalidAudio("no audio")):
                pod.fails_with = fault
                for _ in range(10):
                    assert (await router.answer(CHAT, QUESTION))[0] == fault.status
            assert (await router.get("/health"))[1]["ready"] == 2

    run(scenario)


def test_a_pod_far_slower_than_the_others_is_ejected():
    async def scenario():
        fakes = [FakePod(token_s=0.01) for _ in range(4)]
        async with routing(*fakes) as router:
            for count in range(40):
                for fake in fakes:
                    seconds = 20.0 if fake is fakes[0] else 1.0
                    fake.timings = (
                        RequestTiming(
                            number=count,
                            route=CAPTIONS,
                            num_windows=1,
                            num_tokens=100,
                            compute_s=seconds,
                        ),
                    )
                seen = {fake.address: fake.sequence for fake in fakes}
                while any(fake.sequence < seen[fake.address] + 2 for fake in fakes):
                    endpoints = (await router.get("/fleet"))[1]["endpoints"]
                if any(each["ejected"] for each in endpoints):
                    break
            assert [each["address"] for each in endpoints if each["ejected"]] == [fakes[0].address]

    run(scenario)


def test_the_crash_of_a_pod_with_half_of_the_requests_loses_none():
    async def scenario():
        first, second = FakePod(release=asyncio.Event()), FakePod(release=asyncio.Event())
        async with contextlib.AsyncExitStack() as life:
            address = await life.enter_async_context(pods.running(first))
            async with routing(second, dead=[address], **WITHOUT_POLLING) as router:
                await router.until(lambda all_of: all(each["ready"] for each in all_of))
                asked = [asyncio.create_task(router.answer(CHAT, QUESTION)) for _ in range(12)]
                await router.until(lambda all_of: sum(each["num_open"] for each in all_of) == 12)
                second.release.set()
                await life.aclose()
                assert [(await each)[0] for each in asked] == [200] * 12
        assert len(first.received) > 3

    run(scenario)


@pytest.mark.parametrize("room", [2**30, 2_000_000], ids=["room for it", "no room"])
def test_a_large_upload_is_retried_from_disk(tmp_path, room):
    async def scenario():
        first, second = FakePod(), FakePod(backlog_s=5)
        body = json.dumps(caption_of(9000)).encode()  # 6 MB
        settings = WITHOUT_POLLING | {"spool_dir": str(tmp_path), "spool_max_bytes": room}
        async with routing(first, second, **settings) as router:
            first.state = "draining"
            async with router.client.post(
                router.address + CAPTIONS, data=io.BytesIO(body)
            ) as response:
                assert response.status == (200 if room == 2**30 else 503)
        sent = [received.sha256 for received in second.received]
        assert sent == ([hashlib.sha256(body).hexdigest()] if room == 2**30 else [])
        assert list(tmp_path.iterdir()) == []

    run(scenario)


def test_room_on_disk_is_released(tmp_path):
    async def scenario():
        pod = FakePod()
        settings = {"spool_dir": str(tmp_path), "spool_max_bytes": 8_000_000}
        async with routing(pod, **settings) as router:
            from_disk = io.BytesIO(json.dumps(caption_of(9000)).encode())
            for _ in range(3):
                from_disk.seek(0)
                data = io.BytesIO(from_disk.getvalue())
                async with router.client.post(router.address + CAPTIONS, data=data) as answer:
                    assert answer.status == 200

    run(scenario)


def test_a_rolling_restart_loses_no_request():
    async def scenario():
        async with contextlib.AsyncExitStack() as stack:
            fakes = [FakePod(epoch=str(number)) for number in range(3)]
            lives = [contextlib.AsyncExitStack() for _ in fakes]
            addresses = [
                await life.enter_async_context(pods.running(fake))
                for life, fake in zip(lives, fakes, strict=True)
            ]
            for life in lives:
                stack.push_async_callback(life.aclose)
            async with routing(dead=addresses) as router:
                await router.until(lambda all_of: all(each["ready"] for each in all_of))
                for life in lives[:2]:
                    asked = [asyncio.create_task(router.answer(CHAT, QUESTION)) for _ in range(10)]
                    await life.aclose()
                    assert {(await each)[0] for each in asked} == {200}

    run(scenario)
