"""What `flamingo models` prints."""

import re


def test_models_are_listed_and_random_weights_are_marked(flamingo):
    result = flamingo("models")

    row = re.split(r"  +", result.stdout.splitlines()[1].strip())
    assert row == ["fake*", "1,200 s", "32,768 tokens", "2", "2"]
    assert "* random weights, for testing" in result.stderr
