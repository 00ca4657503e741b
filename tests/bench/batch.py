"""A batch against a real fleet: `python tests/bench/batch.py kills | cpu | throughput | latency`.

The fleet is a router and two pods with flamingo-tiny, the clips are short.

    kills       2,000 clips, some damaged; client, pods and router are killed five times. The
                output must be that of a run that was not disturbed.
    cpu         CPU time of the client for a clip, against the router's for the same request.
    throughput  Clips per second of a batch on an idle fleet, against a direct load that keeps it
                saturated, in turns; and how often a pod had nothing to do, which other work on
                the machine does not change.
    latency     p50 of single requests while a batch runs, against the same on an idle fleet; and of
                it the time in the engine and the wait for its first step, which tell what is
                scheduling and what is the processes' competition for the cores.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import aiohttp

sys.path.insert(0, str(Path(__file__).parents[1]))
from fakes import batch_kills, processes
from fakes.batch_kills import CAPTION, Restartable

from flamingo import AsyncFlamingoClient
from flamingo_common.wire.responses import METRICS_HEADER

NUM_PAIRS = 6
TICKS = os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def fleet(folder: Path) -> Iterator[tuple[Restartable, list[Restartable]]]:
    """Run a router before two pods."""
    with contextlib.ExitStack() as stack:
        pods = [_start(stack, folder, "flamingo_pod", "--model", "flamingo-tiny") for _ in "12"]
        flags = [flag for pod in pods for flag in ("--endpoint", pod.address)]
        yield _start(stack, folder, "flamingo_router", *flags), pods


def _start(stack: contextlib.ExitStack, folder: Path, package: str, *flags: str) -> Restartable:
    running = stack.enter_context(batch_kills.restartable(package, *flags, folder=folder))
    processes.wait_until_ready(running.service)
    return running


def kills(folder: Path, num_clips: int, _: int) -> None:
    """Kill every part of a fleet while a batch runs."""
    num_damaged = num_clips // 20
    batch_kills.write_clips(folder / "clips", num_clips, num_damaged=num_damaged)
    with fleet(folder) as (router, pods):
        calm = batch_kills.start(router.address, folder / "clips", folder / "calm")
        counts = batch_kills.finish(calm, timeout_s=7200)
        print(f"undisturbed: {counts['num_done']:.0f} done, {counts['num_failed']:.0f} failed")
        output, places = folder / "out", random.Random(3).sample(range(num_clips), 5)
        steps = zip(sorted(places), ("client", "pod", "client", "router", "pod"), strict=True)
        batch = batch_kills.start(router.address, folder / "clips", output)
        for num_lines, what in steps:
            batch_kills.wait_for_lines(output, num_lines, batch)
            print(f"killing the {what} at {len(batch_kills.lines(output))} lines", flush=True)
            if what == "client":
                batch_kills.kill(batch)
                batch = batch_kills.start(router.address, folder / "clips", output)
            else:
                killed = router if what == "router" else random.Random(num_lines).choice(pods)
                killed.kill()
                killed.start()
        counts = batch_kills.finish(batch, timeout_s=7200)
        while counts["num_unfinished"]:
            print(f"unfinished: {_unfinished(output)}; one more run", flush=True)
            again = batch_kills.start(router.address, folder / "clips", output)
            counts = batch_kills.finish(again, timeout_s=7200)
    expected, found = batch_kills.results(folder / "calm"), batch_kills.results(output)
    differing = [key for key in expected if expected[key] != found.get(key)]
    print(f"{len(found)} of {num_clips} clips once each, {len(differing)} differ: {differing[:5]}")
    sys.exit(found != expected)


def _unfinished(output: Path) -> dict[str, int]:
    """Return how many items have each error that is left to the next run."""
    text = (output / "results.jsonl.unfinished.jsonl").read_text(encoding="utf-8")
    return Counter(json.loads(line)["error"]["code"] for line in text.splitlines())


def cpu(folder: Path, num_clips: int, concurrency: int) -> None:
    """Compare the CPU time of client and router, with pods that only answer."""
    clips = folder / "clips"
    clips.mkdir()
    for number in range(num_clips):
        (clips / f"{number:05}.flac").write_bytes(os.urandom(300_000))
    with contextlib.ExitStack() as stack:
        pods = [stack.enter_context(processes.fake_pod(folder / f"pod{n}")) for n in "12"]
        flags = [flag for pod in pods for flag in ("--endpoint", pod.address)]
        router = _start(stack, folder, "flamingo_router", *flags)
        for name in ("warm-up", "measured"):
            before_s = _cpu_s(router)
            output = folder / name
            batch = batch_kills.start(router.address, clips, output, concurrency=concurrency)
            client_s = batch_kills.finish(batch)["cpu_s"]
            router_s = _cpu_s(router) - before_s
    client_ms, router_ms = client_s / num_clips * 1e3, router_s / num_clips * 1e3
    print(
        f"client {client_ms:.2f} ms, router {router_ms:.2f} ms for a clip of 300 kB:"
        f" {client_ms / router_ms:.2f} times"
    )


def _cpu_s(running: Restartable) -> float:
    stat = Path(f"/proc/{running.service.process.pid}/stat").read_text(encoding="utf-8")
    return sum(map(int, stat.rpartition(")")[2].split()[11:13])) / TICKS


def throughput(folder: Path, num_clips: int, concurrency: int) -> None:
    """Compare a batch with a direct load, in turns, each with clips that no pod has cached."""
    asyncio.run(_compare_throughput(folder, num_clips, concurrency))


async def _compare_throughput(folder: Path, num_clips: int, concurrency: int) -> None:
    rates: dict[str, list[float]] = {"direct": [], "batch": []}
    idle: dict[str, list[bool]] = {"direct": [], "batch": []}
    with fleet(folder) as (router, pods):
        async with AsyncFlamingoClient(router.address) as client:
            await _direct_load(client, _new_clips(folder / "warm-up", num_clips, 0), concurrency)
            for turn in range(1, 1 + 2 * NUM_PAIRS):
                how = "direct" if turn % 4 in {0, 1} else "batch"  # what drifts hurts both
                clips = _new_clips(folder / f"clips-{turn}", num_clips, turn)
                began_s = time.monotonic()
                load = _direct_load if how == "direct" else _batch_load
                watch = asyncio.create_task(_watch([pod.address for pod in pods], idle[how]))
                await load(client, clips, concurrency)
                watch.cancel()
                rates[how].append(num_clips / (time.monotonic() - began_s))
                print(f"{how}: {rates[how][-1]:.2f} clips/s", flush=True)
    for how, samples in idle.items():
        print(f"{how}: a pod had nothing to do in {statistics.mean(samples):.1%} of the time")
    pairs = zip(rates["batch"], rates["direct"], strict=True)
    ratio = statistics.median(batch / direct for batch, direct in pairs)
    direct, batch = statistics.median(rates["direct"]), statistics.median(rates["batch"])
    print(f"batch {batch:.2f} clips/s, direct {direct:.2f} clips/s; median of pairs {ratio:.1%}")


async def _watch(pods: list[str], idle: list[bool]) -> None:
    """Note ten times a second for each pod whether it has nothing to do."""
    async with aiohttp.ClientSession() as session:
        while True:
            for pod in pods:
                async with session.get(f"{pod}/stats") as response:
                    load = await response.json()
                idle.append(load["num_running"] + load["num_waiting"] == 0)
            await asyncio.sleep(0.1)


def _new_clips(folder: Path, num_clips: int, seed: int) -> list[str]:
    batch_kills.write_clips(folder, num_clips, num_damaged=0, seed=seed)
    return sorted(map(str, folder.rglob("*.flac")))


async def _direct_load(client: AsyncFlamingoClient, clips: list[str], concurrency: int) -> None:
    left = iter(clips)

    async def work() -> None:
        for clip in left:
            await client.caption(clip, **CAPTION)

    await asyncio.gather(*(work() for _ in range(concurrency)))


async def _batch_load(client: AsyncFlamingoClient, clips: list[str], concurrency: int) -> None:
    async with client.batch_caption(clips, concurrency=concurrency, **CAPTION) as batch:
        async for _, result in batch:
            assert not isinstance(result, Exception), result


def latency(folder: Path, num_clips: int, concurrency: int) -> None:
    """Compare single requests beside a batch with single requests alone."""
    asyncio.run(_compare_latency(folder, num_clips, concurrency))


async def _compare_latency(folder: Path, num_clips: int, concurrency: int) -> None:
    times: dict[str, list[tuple[float, ...]]] = {"alone": [], "beside a batch": []}
    with fleet(folder) as (router, _):
        async with (
            AsyncFlamingoClient(router.address) as client,
            aiohttp.ClientSession(router.address) as session,
        ):
            await _singles(session, _new_clips(folder / "warm-up", 20, 0))
            for turn in range(2):
                single = _new_clips(folder / f"alone-{turn}", num_clips, 10 + turn)
                times["alone"] += await _singles(session, single)
                clips = _new_clips(folder / f"batch-{turn}", 3000, 20 + turn)
                async with client.batch_caption(clips, concurrency=concurrency, **CAPTION) as batch:
                    await anext(batch)
                    running = asyncio.create_task(_drain(batch))
                    single = _new_clips(folder / f"beside-{turn}", num_clips, 30 + turn)
                    times["beside a batch"] += await _singles(session, single)
                    running.cancel()
                    await asyncio.wait([running])
    kinds = ("to the client", "in the engine", "before its first step", "of its own computing")
    figures = (zip(*some, strict=True) for some in times.values())
    for what, alone, beside in zip(kinds, *figures, strict=True):
        alone_s, beside_s = statistics.median(alone), statistics.median(beside)
        print(
            f"p50 {what}: alone {alone_s * 1e3:.1f} ms, beside a batch {beside_s * 1e3:.1f} ms:"
            f" {beside_s / alone_s:.2f} x"
        )


async def _drain(batch: object) -> None:
    async for _ in batch:
        pass


async def _singles(session: aiohttp.ClientSession, clips: list[str]) -> list[tuple[float, ...]]:
    """Return of each request the seconds to its client, and of those the pod's own figures."""
    times = []
    contents = [await asyncio.to_thread(Path(clip).read_bytes) for clip in clips]
    for data in contents:
        form = aiohttp.FormData({name: str(value) for name, value in CAPTION.items()})
        form.add_field("file", data, filename="clip.flac")
        headers, began_s = {METRICS_HEADER: "true"}, time.monotonic()
        async with session.post("/v1/audio/captions", data=form, headers=headers) as response:
            measured = (await response.json())["metrics"]
        engine_ms = measured["time_to_first_token_ms"] + measured["generation_time_ms"]
        inside_ms = (engine_ms, measured["queue_time_ms"], measured["compute_ms"])
        times.append((time.monotonic() - began_s, *(each / 1e3 for each in inside_ms)))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    defaults = {kills: 2000, cpu: 2000, throughput: 200, latency: 100}
    parser.add_argument("what", choices=[one.__name__ for one in defaults])
    parser.add_argument("--clips", type=int, help="how many")
    parser.add_argument("--concurrency", type=int, default=32, help="requests of the batch")
    options = parser.parse_args()
    (measure,) = (one for one in defaults if one.__name__ == options.what)
    with tempfile.TemporaryDirectory() as name:
        measure(Path(name), options.clips or defaults[measure], options.concurrency)


if __name__ == "__main__":
    main()
