"""Seconds = base + b · windows + c · tokens, learned one finished request at a time.

Recursive least squares with forgetting, on relative errors: a 20-minute song must
not outweigh forty short clips. Coefficients are kept as multiples of the prior's, so
all three are of one size. An error counts at most a few times the usual one, so one
in twenty may be anything; a coefficient is never negative; whatever comes in, what
comes out is finite.

Pure.
"""

import math

from flamingo_router.balancing.cost import Rates, Work

FORGETTING = 0.995
"""Some 200 requests are remembered: enough to average, few enough to follow a change."""
WRONG_AT, FORGETTING_WRONG = 0.5, 0.9
"""Where the usual error is half of what was predicted, what was learned is of another machine:
then ten requests are remembered."""
START_VARIANCE = 25.0
MAX_VARIANCE = 1e4
"""What is never seen must not be forgotten without end: a fleet that only embeds has no tokens."""
CLIP_AT = 2.5
"""Usual errors that an error counts at most."""
MIN_USUAL_ERROR, MAX_USUAL_ERROR = 0.05, 4.0
USUAL_ERROR_SHARE = 0.05
MAX_FACTOR = 1e3
"""How far from its prior a coefficient may come: from an H200 to two laptop cores is 200."""
MIN_S = 1e-4
MAX_S = 3600.0
MAX_WINDOWS, MAX_TOKENS = 256, 65_536
NUM_TO_TRUST = 8

Vector = tuple[float, float, float]


class Regression:
    """See the module."""

    def __init__(self, prior: Rates) -> None:
        self.rates = prior
        """The last good ones."""
        self.num_learned = 0
        self._prior: Vector = (prior.base_s, prior.window_s, prior.token_s)
        self._factors: Vector = (1.0, 1.0, 1.0)
        self._usual_error = 1.0
        self._forget_all()

    @property
    def is_trusted(self) -> bool:
        """Whether it has seen enough to go by."""
        return self.num_learned >= NUM_TO_TRUST

    def learn(self, work: Work, seconds: float) -> None:
        """Take in that `work` took `seconds`."""
        if not math.isfinite(seconds):
            return
        inputs = _inputs(work, self._prior)
        predicted_s = max(_dot(inputs, self._factors), MIN_S)
        inputs = _scaled(inputs, 1 / predicted_s)
        self._step(inputs, self._tempered(min(max(seconds, MIN_S), MAX_S) / predicted_s - 1))

    def _tempered(self, error: float) -> float:
        """Return `error`, or as much of it as is believed."""
        most = CLIP_AT * self._usual_error
        error = min(max(error, -most), most)
        usual = self._usual_error + USUAL_ERROR_SHARE * (abs(error) - self._usual_error)
        self._usual_error = min(max(usual, MIN_USUAL_ERROR), MAX_USUAL_ERROR)
        return error

    def _step(self, inputs: Vector, error: float) -> None:
        spread: Vector = tuple(_dot(row, inputs) for row in self._variance)  # type: ignore[assignment]
        kept = FORGETTING if self._usual_error < WRONG_AT else FORGETTING_WRONG
        gain = _scaled(spread, 1 / (kept + _dot(inputs, spread)))
        moved = [
            min(max(factor + step * error, 0.0), MAX_FACTOR)
            for factor, step in zip(self._factors, gain, strict=True)
        ]
        if not all(map(math.isfinite, moved)):
            self._forget_all()
            return
        self._factors = (moved[0], moved[1], moved[2])
        self._narrow(gain, spread, kept)
        self.rates = Rates(*(f * p for f, p in zip(self._factors, self._prior, strict=True)))
        self.num_learned += 1

    def _narrow(self, gain: Vector, spread: Vector, kept: float) -> None:
        """Be surer of what was just seen, and a little less of all."""
        narrower = [
            [self._variance[i][j] - gain[i] * spread[j] for j in range(3)] for i in range(3)
        ]
        trace = narrower[0][0] + narrower[1][1] + narrower[2][2]
        widen = 1 / kept if 0 < trace < MAX_VARIANCE else 1.0
        for i in range(3):
            for j in range(i + 1):  # symmetric, whatever rounding says
                self._variance[i][j] = self._variance[j][i] = widen * narrower[i][j]
        if min(self._variance[i][i] for i in range(3)) <= 0:
            self._forget_all()

    def _forget_all(self) -> None:
        """Be as unsure as at the start, of the coefficients as they are."""
        self._variance = [[START_VARIANCE * (i == j) for j in range(3)] for i in range(3)]


def _inputs(work: Work, prior: Vector) -> Vector:
    windows, tokens = min(work.num_windows, MAX_WINDOWS), min(work.num_tokens, MAX_TOKENS)
    return prior[0], windows * prior[1], tokens * prior[2]


def _dot(one: Vector | list[float], other: Vector) -> float:
    return one[0] * other[0] + one[1] * other[1] + one[2] * other[2]


def _scaled(vector: Vector, by: float) -> Vector:
    return vector[0] * by, vector[1] * by, vector[2] * by
