"""How many examples a property test tries: all of them, or few where a quick answer is wanted."""

import os

NUM_QUICK = 10
IS_QUICK = os.environ.get("FLAMINGO_TEST_EFFORT") == "quick"


def examples(num: int) -> int:
    """Return `num`, or at most `NUM_QUICK` where FLAMINGO_TEST_EFFORT is `quick`."""
    return min(num, NUM_QUICK) if IS_QUICK else num
