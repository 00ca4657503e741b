"""What a window and a token have cost of late."""

import pytest

from flamingo_common.audio.windows import TOKENS_PER_WINDOW
from flamingo_pod.engine.costs.profile import EngineProfile
from flamingo_pod.engine.costs.recent_costs import RecentCosts


@pytest.fixture
def profile():
    return EngineProfile()


def encode(profile, costs, *, num_windows, window_s):
    for _ in range(num_windows):
        profile.mel_s += 0.25 * window_s
        profile.encode_s += 0.75 * window_s
        profile.num_windows += 1
        costs.observe(profile)


def forward(profile, costs, *, num_prefilled=0, num_decoded=0, token_s, num_steps=1):
    for _ in range(num_steps):
        seconds = token_s * (num_prefilled + num_decoded)
        profile.add_forward(seconds, num_prefilled=num_prefilled, num_decoded=num_decoded)
        costs.observe(profile)


def test_nothing_is_known_before_the_first(profile):
    costs = RecentCosts()
    costs.observe(profile)
    assert (costs.encode_s, costs.prefill_s, costs.token_s) == (None, None, None)


def test_what_was_long_ago_is_forgotten(profile):
    costs = RecentCosts()
    encode(profile, costs, num_windows=1000, window_s=0.5)
    forward(profile, costs, num_prefilled=750, token_s=0.004, num_steps=1000)
    forward(profile, costs, num_decoded=8, token_s=0.01, num_steps=5000)
    assert costs.encode_s == pytest.approx(0.5)
    encode(profile, costs, num_windows=400, window_s=0.1)
    forward(profile, costs, num_prefilled=750, token_s=0.001, num_steps=400)
    forward(profile, costs, num_decoded=8, token_s=0.002, num_steps=2500)
    assert costs.encode_s == pytest.approx(0.1, rel=0.02)
    assert costs.prefill_s == pytest.approx(0.001 * TOKENS_PER_WINDOW, rel=0.02)
    assert costs.token_s == pytest.approx(0.002, rel=0.02)


def test_one_step_is_not_all_that_counts(profile):
    costs = RecentCosts()
    forward(profile, costs, num_prefilled=750, token_s=0.001, num_steps=100)
    forward(profile, costs, num_prefilled=750, token_s=0.01)
    assert costs.prefill_s < 1.3 * 0.001 * TOKENS_PER_WINDOW


def test_short_prompts_do_not_tell_what_a_window_costs(profile):
    costs = RecentCosts()
    forward(profile, costs, num_prefilled=20, token_s=0.01, num_steps=10_000)
    assert costs.prefill_s == pytest.approx(0.01 * TOKENS_PER_WINDOW), "until there was a clip"
    forward(profile, costs, num_prefilled=512, token_s=0.001)
    forward(profile, costs, num_prefilled=20, token_s=0.01, num_steps=10_000)
    assert costs.prefill_s == pytest.approx(0.001 * TOKENS_PER_WINDOW)
