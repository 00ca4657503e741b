"""What an engine has learned about its costs."""

from flamingo_common.audio.windows import TOKENS_PER_WINDOW
from flamingo_pod.engine.costs.profile import EngineProfile
from flamingo_pod.engine.costs.recent_costs import RecentCosts


def learned(encode_s, prefill_s=None, token_s=None):
    """Return the costs after one window was encoded and prefilled, and one token decoded.

    None: that has not been measured yet.
    """
    profile = EngineProfile()
    if encode_s is not None:
        profile.encode_s, profile.num_windows = encode_s, 1
    if prefill_s is not None:
        profile.add_forward(prefill_s, num_prefilled=TOKENS_PER_WINDOW, num_decoded=0)
    if token_s is not None:
        profile.add_forward(token_s, num_prefilled=0, num_decoded=1)
    costs = RecentCosts()
    costs.observe(profile)
    return costs
