"""Background tasks of a pod: log the progress of loading, and detect a failed or stalled engine."""

import asyncio
import faulthandler
import sys
import threading
import traceback

from flamingo_common.service import logs
from flamingo_pod.lifecycle import LifecycleEvent, PodState
from flamingo_pod.pod import Pod

PROGRESS_LOG_INTERVAL_S = 10.0
CHECK_INTERVAL_S = 1.0
FAILED_LINGER_S = 30.0
"""How long a failed pod still responds, so that probes and routers notice."""
LOADING = frozenset({PodState.STARTING, PodState.LOADING, PodState.WARMING})


async def log_loading_progress(pod: Pod) -> None:
    """Log the progress of loading, at each new phase and every `PROGRESS_LOG_INTERVAL_S`."""
    phase, logged_s = None, 0.0
    while pod.state in LOADING:
        now = pod.progress.now()
        if now.phase != phase or now.elapsed_s - logged_s >= PROGRESS_LOG_INTERVAL_S:
            phase, logged_s = now.phase, now.elapsed_s
            logs.get().info("model.loading", **now.model_dump(exclude_none=True))
        await asyncio.sleep(CHECK_INTERVAL_S / 4)


async def watch_engine(pod: Pod) -> None:
    """Fail the pod, and log all stacks, when its engine fails or stalls.

    If the event loop itself is blocked, faulthandler writes the stacks: it needs neither the loop
    nor the interpreter lock.
    """
    interval_s = min(CHECK_INTERVAL_S, pod.settings.stall_timeout_s / 4)
    try:
        while (status := pod.engine_failure()) is None or not pod.is_alive:
            faulthandler.dump_traceback_later(pod.settings.stall_timeout_s, file=sys.stderr)
            await asyncio.sleep(interval_s)
    finally:
        faulthandler.cancel_dump_traceback_later()
    logs.get().error("engine.failed", exit_status=int(status), stacks=thread_stacks())
    pod.fail(LifecycleEvent.ENGINE_FAILED, status, pod.engine_failure_reason())
    await asyncio.sleep(FAILED_LINGER_S)
    pod.terminate()


def thread_stacks() -> dict[str, list[str]]:
    """Return the stack of each thread by its name, innermost call last."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    frames = sys._current_frames()  # noqa: SLF001 - documented, despite its name
    return {
        names.get(number, str(number)): [
            f"{call.filename}:{call.lineno} {call.name}" for call in traceback.extract_stack(frame)
        ]
        for number, frame in frames.items()
    }
