from flamingo_pod.engine.costs.request_stats import RequestStats


def test_a_window_prefilled_from_cached_states_counts_as_computed():
    stats = RequestStats(num_prefix_tokens_computed=751)
    assert stats.num_windows_computed == 2
    stats.record_encoded_windows(3)
    assert stats.num_windows_computed == 3
