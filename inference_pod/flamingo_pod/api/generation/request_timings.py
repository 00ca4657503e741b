"""The timings of a finished request, for clients that request them.

Pure.
"""

from flamingo_common.wire.responses import RequestMetrics
from flamingo_pod.engine.costs.request_stats import RequestStats


def of_request(stats: RequestStats, num_tokens: int, num_choices: int) -> RequestMetrics | None:
    """Return the timings of a finished request, if the client requested them."""
    first_s, decode_s = stats.time_to_first_token_s, stats.decode_s
    if not stats.wants_metrics or first_s is None or decode_s is None:
        return None
    num_gaps = num_tokens - num_choices
    is_timed = num_gaps > 0 and decode_s > 0
    return RequestMetrics(
        time_to_first_token_ms=_ms(first_s),
        queue_time_ms=_ms(stats.queue_s or 0.0),
        generation_time_ms=_ms(decode_s),
        mean_itl_ms=_ms(decode_s * num_choices / num_gaps) if is_timed else None,
        tokens_per_second=round(num_tokens / (first_s + decode_s), 2) if is_timed else None,
        audio_decode_ms=_ms(stats.audio_decode_s),
        compute_ms=_ms(stats.compute_s),
    )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
