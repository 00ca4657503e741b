"""Probabilities that are more or less sure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_common.wire.decision_temperature import tempered


@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=9).filter(lambda each: sum(each) > 0.01),
    st.floats(0.01, 100),
)
def test_a_temperature_keeps_the_order_and_the_sum(weights, temperature):
    probabilities = [each / sum(weights) for each in weights]
    found = tempered(probabilities, temperature)
    assert sum(found) == pytest.approx(1)
    for (one, hot), (other, also_hot) in zip(
        zip(probabilities, found, strict=True),
        zip(probabilities[1:], found[1:], strict=True),
        strict=False,
    ):
        assert hot <= also_hot + 1e-9 if one <= other else hot >= also_hot - 1e-9


def test_a_high_temperature_is_less_sure():
    assert tempered([0.9, 0.1], 2.0) == pytest.approx([0.75, 0.25])
    assert tempered([0.9, 0.1], 1.0) == [0.9, 0.1]
    assert tempered([1.0, 0.0], 0.5) == pytest.approx([1.0, 0.0])
