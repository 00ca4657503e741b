"""The KV pool is sized by what is measured; the device is a CPU, its memory a table of numbers."""

import dataclasses

import pytest
from engine.options import engine_options

from flamingo_pod.engine.core import EngineCore
from flamingo_pod.engine.scheduling.budget import TokenBudget
from flamingo_pod.engine.scheduling.scheduler import SchedulerLimits
from flamingo_pod.engine.startup import memory_profile, sizing
from flamingo_pod.engine.startup.sizing import InsufficientMemory
from flamingo_pod.model.dimensions import dimensions_of

GIB = 2**30
UNSIZED = engine_options(kv_cache_tokens=0, max_num_seqs=12)


class ScriptedMemory:
    """A device with `usable_bytes`, of which a model with its pool holds `held` bytes."""

    def __init__(self, usable, held, peak):
        self.usable, self.held, self.peak = usable, held, peak
        self.calls = []

    def usable_bytes(self):
        self.calls.append("usable")
        return self.usable

    def held_bytes(self):
        self.calls.append("held")
        return self.held

    def start_peak(self):
        self.calls.append("start")

    def peak_bytes(self):
        self.calls.append("peak")
        return self.peak


class Recorder:
    """Calls a function, and remembers how many rows or windows each call was for."""

    def __init__(self, function):
        self.function, self.sizes = function, []

    def __call__(self, items, *others):
        self.sizes.append(len(items))
        return self.function(items, *others)


def token_bytes(checkpoint):
    return dimensions_of(checkpoint.model.config.to_dict()).kv_token_bytes(4)


def test_the_pool_is_what_the_measured_needs_leave(tiny):
    memory = ScriptedMemory(usable=8 * GIB, held=2 * GIB, peak=GIB)
    sized = memory_profile.size_memory(tiny, UNSIZED, memory)
    assert sized.needs.peak_bytes == GIB
    # What is held has the small pool in it.
    assert 2 * GIB - 10_000 * token_bytes(tiny) < sized.needs.weight_bytes < 2 * GIB
    plan = sizing.plan_memory(8 * GIB, sized.needs)
    assert sized.options == dataclasses.replace(UNSIZED, kv_cache_tokens=plan.kv_cache_tokens)
    left = 8 * GIB - plan.reserve_bytes - sized.planned_bytes
    assert 0 <= left < token_bytes(tiny)


def test_what_the_model_holds_is_measured_before_the_peak_and_freed_before_the_pool(tiny):
    memory = ScriptedMemory(usable=8 * GIB, held=2 * GIB, peak=GIB)
    memory_profile.size_memory(tiny, UNSIZED, memory)
    assert memory.calls == ["held", "start", "peak", "held", "usable"]


def test_a_given_size_is_kept_and_the_caches_make_room_for_it(tiny):
    given = dataclasses.replace(UNSIZED, kv_cache_tokens=3 * GIB // token_bytes(tiny))
    tight = ScriptedMemory(usable=7 * GIB, held=2 * GIB, peak=GIB)
    wide = ScriptedMemory(usable=9 * GIB, held=2 * GIB, peak=GIB)
    for memory, is_on_host in ((tight, True), (wide, False)):
        sized = memory_profile.size_memory(tiny, given, memory)
        assert sized.options.kv_cache_tokens == given.kv_cache_tokens
        assert sized.options.are_caches_on_host is is_on_host


def test_a_small_given_size_is_no_lack_of_memory(tiny):
    given = dataclasses.replace(UNSIZED, kv_cache_tokens=256)
    memory = ScriptedMemory(usable=8 * GIB, held=2 * GIB, peak=GIB)
    assert memory_profile.size_memory(tiny, given, memory).options.kv_cache_tokens == 256


def test_a_device_that_is_too_small_is_refused_with_the_numbers(tiny):
    memory = ScriptedMemory(usable=3 * GIB, held=2 * GIB, peak=GIB)
    with pytest.raises(InsufficientMemory, match=r"3\.0 GiB can be used"):
        memory_profile.size_memory(tiny, UNSIZED, memory)


def test_nothing_is_measured_on_a_cpu(tiny):
    sized = memory_profile.size_memory(tiny, UNSIZED, None)
    assert sized.options.kv_cache_tokens == sizing.CPU_POOL_TOKENS
    assert sized.needs is None
    given = memory_profile.size_memory(tiny, engine_options(), None)
    assert given.options == engine_options()


def test_the_largest_steps_are_run(tiny):
    step = memory_profile.step_sizes(UNSIZED)
    core = EngineCore(tiny, engine_options(kv_cache_tokens=8192, encoder_cache_bytes=0))
    core.runner.forward = forward = Recorder(core.runner.forward)
    core.runner.encoder.project = project = Recorder(core.runner.encoder.project)
    memory_profile.run_largest_steps(core, tiny, step)
    assert max(forward.sizes) == step.prefill_tokens == TokenBudget().max_tokens
    limits = SchedulerLimits(kv_cache_tokens=1, max_num_seqs=1)
    assert max(project.sizes) == step.num_windows == limits.max_windows_per_step
    # The last steps decode all rows at once.
    assert forward.sizes[-1] == step.num_rows == UNSIZED.max_num_seqs


def test_an_error_of_a_trial_is_raised(tiny):
    core = EngineCore(tiny, engine_options(encoder_cache_bytes=0))

    def fails(*_):
        raise RuntimeError("a kernel that does not work here")

    core.runner.forward = fails
    with pytest.raises(Exception, match="does not work here"):
        memory_profile.run_largest_steps(core, tiny, memory_profile.step_sizes(UNSIZED))
