"""How many server pods are kept in reserve: ready ones, above what the demand needs.

A percentage is not rounded by itself: 2.3 server pods and a reserve of 25 % are 2.9, so three
run. Rounding both up would make the number jump by two.

Pure.
"""


def exact_reserve(reserve: int | str, needed: float) -> float:
    """Return the reserve for a demand that needs `needed` server pods, fractions included."""
    if isinstance(reserve, int):
        return float(reserve)
    return int(reserve.removesuffix("%")) * needed / 100


def with_reserve(message: str, reserve: int | str) -> str:
    """Return the explanation of a need, with its reserve."""
    return message if reserve in (0, "0%") else f"{message}, plus {reserve} in reserve"
