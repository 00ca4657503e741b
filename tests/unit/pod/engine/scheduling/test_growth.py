from flamingo_pod.engine.scheduling.growth import MAX_OBSERVED, MIN_OBSERVED, GrowthPolicy


def test_what_is_reserved_follows_the_recent_outputs():
    policy = GrowthPolicy(quantile=0.75, prior_tokens=400, min_tokens=10)
    assert policy.num_reserved(0) == 400
    for number in range(MIN_OBSERVED):
        policy.observe(100 + number)
    assert policy.num_reserved(0) == 112
    for _ in range(MAX_OBSERVED):
        policy.observe(40)
    assert policy.num_reserved(0) == 40


def test_a_sequence_that_has_generated_more_gets_a_part_of_its_output():
    policy = GrowthPolicy(prior_tokens=100, min_tokens=10, growth=0.5)
    assert [policy.num_reserved(num) for num in (0, 60, 99, 300)] == [100, 40, 49, 150]
    assert [policy.num_grown(num) for num in (0, 60, 300)] == [10, 30, 150]


def test_no_more_is_left_free_than_can_be_needed():
    policy = GrowthPolicy(spare_share=0.05)
    assert policy.num_spare(1000, 400) == 50
    assert policy.num_spare(1000, 7) == 7
