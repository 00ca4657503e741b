"""The cache: what it keeps, what it evicts, what it counts."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_pod.engine.encoding.cache import MAX_STALE, CostAwareCache, window_key

keys = st.integers(0, 9)
sizes_bytes = st.integers(1, 60)
costs_s = st.floats(0, 10, allow_nan=False)
gets = st.tuples(st.just("get"), keys)
puts = st.tuples(st.just("put"), keys, sizes_bytes, costs_s)


class Model:
    """The policy, spelled out slowly: every eviction compares all priorities."""

    def __init__(self, max_bytes):
        self.max_bytes, self.clock, self.now = max_bytes, 0.0, 0
        self.entries = {}

    def put(self, key, size_bytes, cost_s):
        self.entries.pop(key, None)
        if size_bytes > self.max_bytes:
            return
        while sum(size for size, *_ in self.entries.values()) + size_bytes > self.max_bytes:
            least = min(self.entries, key=lambda key: self.entries[key][2:])
            self.clock = self.entries.pop(least)[2]
        self.touch(key, size_bytes, cost_s)

    def get(self, key):
        if key in self.entries:
            self.touch(key, *self.entries[key][:2])

    def touch(self, key, size_bytes, cost_s):
        self.now += 1
        self.entries[key] = (size_bytes, cost_s, self.clock + cost_s / size_bytes, self.now)


@given(st.integers(1, 100), st.lists(gets | puts, max_size=80))
def test_it_keeps_what_the_policy_keeps_within_its_size(max_bytes, operations):
    cache, model = CostAwareCache(max_bytes), Model(max_bytes)
    for number, (verb, key, *rest) in enumerate(operations):
        if verb == "put":
            size_bytes, cost_s = rest
            cache.put(key, number, size_bytes=size_bytes, cost_s=cost_s)
            model.put(key, size_bytes, cost_s)
        else:
            assert (cache.get(key) is not None) == (key in model.entries)
            model.get(key)
        assert len(cache) == len(model.entries)
        assert cache.size_bytes == sum(size for size, *_ in model.entries.values()) <= max_bytes
    assert {key for key in range(10) if cache.get(key) is not None} == set(model.entries)


@given(st.lists(puts, min_size=1, max_size=40))
def test_the_value_put_last_is_cached_if_it_fits(operations):
    cache = CostAwareCache(50)
    for number, (_, key, size_bytes, cost_s) in enumerate(operations):
        cache.put(key, number, size_bytes=size_bytes, cost_s=cost_s)
        assert cache.get(key) == (number if size_bytes <= 50 else None)


def filled(*items, max_bytes):
    cache = CostAwareCache(max_bytes)
    for key, size_bytes, cost_s in items:
        cache.put(key, f"value of {key}", size_bytes=size_bytes, cost_s=cost_s)
    return cache


def cached_names(cache, names):
    return "".join(name for name in names if cache.get(name) is not None)


@given(st.permutations("abcd"), st.floats(0, 0.99), st.integers(1, 100))
def test_an_expensive_value_outlives_a_cheap_one_of_the_same_size(order, cheap_s, size_bytes):
    items = [(name, size_bytes, 1.0 if name == "a" else cheap_s) for name in order]
    cache = filled(*items, ("e", size_bytes, cheap_s), max_bytes=4 * size_bytes)
    assert cache.get("a") == "value of a"
    assert cache.num_evictions == 1


def test_of_equal_cost_the_smaller_outlives_the_larger():
    cache = filled(("large", 60, 1.0), ("small", 30, 1.0), ("next", 20, 1.0), max_bytes=100)
    assert cache.get("large") is None
    assert cache.get("small") is not None


def test_among_equals_the_least_recently_used_goes_first():
    cache = filled(("a", 1, 1.0), ("b", 1, 1.0), ("c", 1, 1.0), max_bytes=3)
    cache.get("a")
    cache.put("d", "value of d", size_bytes=1, cost_s=1.0)
    assert cached_names(cache, "abcd") == "acd"


@given(st.floats(0.01, 1e3), st.floats(1, 500))
def test_an_unused_value_is_evicted_in_the_end(cheap_s, ratio):
    cache = filled(("dear", 1, ratio * cheap_s), max_bytes=2)
    # Each eviction of a cheap one moves the clock by its cost, until it has reached the dear one.
    for number in range(math.ceil(ratio) + 2):
        cache.put(number, number, size_bytes=1, cost_s=cheap_s)
    assert cache.get("dear") is None


def test_a_used_value_outlives_unused_equals():
    cache = filled(("asked", 1, 1.0), max_bytes=3)
    for number in range(100):
        cache.put(number, number, size_bytes=1, cost_s=1.0)
        assert cache.get("asked") is not None


def test_a_value_larger_than_the_cache_is_not_cached_and_evicts_nothing():
    cache = filled(("a", 5, 1.0), ("b", 5, 1.0), max_bytes=10)
    cache.put("c", "too large", size_bytes=11, cost_s=9.0)
    cache.put("a", "too large", size_bytes=11, cost_s=9.0)
    assert cached_names(cache, "abc") == "b", "what was under its key is no longer there"
    assert (cache.size_bytes, cache.num_evictions) == (5, 0)


def test_a_value_put_again_replaces_the_first():
    cache = filled(("a", 6, 1.0), max_bytes=10)
    cache.put("a", "other", size_bytes=9, cost_s=2.0)
    assert cache.get("a") == "other"
    assert (len(cache), cache.size_bytes, cache.num_evictions) == (1, 9, 0)


def test_hits_misses_and_evictions_are_counted():
    cache = filled(("a", 1, 1.0), ("b", 1, 1.0), ("c", 1, 1.0), max_bytes=2)
    for name in "abca":
        cache.get(name)
    assert (cache.num_hits, cache.num_misses, cache.num_evictions) == (2, 2, 1)


def test_a_cache_of_no_bytes_caches_nothing():
    cache = filled(("a", 1, 1.0), max_bytes=0)
    assert (cache.get("a"), len(cache)) == (None, 0)


def test_many_hits_do_not_grow_the_heap():
    cache = filled(("a", 1, 1.0), ("b", 1, 1.0), max_bytes=2)
    for _ in range(10_000):
        cache.get("a")
    cache.put("c", "value of c", size_bytes=1, cost_s=1.0)
    assert cached_names(cache, "abc") == "ac"
    assert len(cache._heap) <= 2 * len(cache) + MAX_STALE


@pytest.mark.parametrize(
    ("size_bytes", "cost_s"), [(0, 1.0), (-1, 1.0), (1, -0.1), (1, math.nan), (1, math.inf)]
)
def test_an_invalid_size_or_cost_is_rejected(size_bytes, cost_s):
    with pytest.raises(ValueError, match="invalid cache entry"):
        CostAwareCache(10).put("a", 1, size_bytes=size_bytes, cost_s=cost_s)


SAMPLES = np.linspace(-1, 1, 321, dtype=np.float32)


def test_equal_samples_have_one_key_whatever_their_layout():
    strided = np.repeat(SAMPLES, 2)[::2]
    assert window_key(b"salt", SAMPLES) == window_key(b"salt", strided)
    assert len(window_key(b"salt", SAMPLES)) == 32


def test_another_salt_length_or_sample_is_another_key():
    louder = SAMPLES.copy()
    louder[-1] = np.nextafter(louder[-1], np.float32(2))
    others = [
        window_key(b"salt", SAMPLES),
        window_key(b"", SAMPLES),
        window_key(b"other", SAMPLES),
        window_key(b"salt", SAMPLES[:-1]),
        window_key(b"salt", np.append(SAMPLES, np.float32(0))),
        window_key(b"salt", louder),
    ]
    assert len(set(others)) == len(others)


def test_no_bytes_move_between_salt_and_samples():
    assert window_key(b"", SAMPLES) != window_key(SAMPLES[:1].tobytes(), SAMPLES[1:])
