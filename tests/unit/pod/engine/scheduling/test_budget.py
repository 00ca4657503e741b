import pytest

from flamingo_pod.engine.scheduling.budget import TokenBudget


@pytest.mark.parametrize(
    ("token_s", "decode_s", "num_decoding", "tokens"),
    [
        pytest.param(None, 0.0, 4, 2048, id="nothing measured"),
        pytest.param(0.001, 0.01, 0, 2048, id="nothing decodes"),
        pytest.param(0.0001, 0.01, 4, 400, id="what fits the gap"),
        pytest.param(0.001, 0.2, 4, 256, id="never less than pays"),
    ],
)
def test_the_budget(token_s, decode_s, num_decoding, tokens):
    budget = TokenBudget(target_s=0.05, token_s=token_s, decode_s=decode_s)
    assert budget.max_prefill_tokens(num_decoding) == tokens


def test_the_budget_learns_the_pace():
    budget = TokenBudget()
    for _ in range(50):
        budget.observe(0.02, num_decoding=4, num_prefilled=0)
        budget.observe(0.12, num_decoding=4, num_prefilled=100)
    assert budget.decode_s == pytest.approx(0.02, rel=0.01)
    assert budget.token_s == pytest.approx(0.001, rel=0.05)
