"""Online regression: seconds = base + window · windows + token · tokens.

Recursive least squares with a forgetting factor, one finished request at a time, on relative
errors: a 20-minute song must not outweigh forty short clips. Coefficients are kept as
multiples of the prior's, so that all three are of similar size. An error counts at most as a
small multiple of the usual one, so one request in twenty can be arbitrary. Coefficients are
never negative, and stay finite for any input.

Pure.
"""

import math

from flamingo_router.balancing.cost import Rates, Work

FORGETTING = 0.995
"""Remembers some 200 requests: enough to average, few enough to follow a change."""
MISFIT_ERROR, MISFIT_FORGETTING = 0.5, 0.9
"""When the usual error is half of the prediction, the coefficients are those of another machine:
then only ten requests are remembered."""
START_VARIANCE = 25.0
MAX_VARIANCE = 1e4
"""Limits forgetting of what is never observed: a fleet that only embeds generates no tokens."""
MISFIT_VARIANCE = 0.1
"""Then each coefficient is uncertain by at least this, relative to its square."""
MIN_VARIANCE = 1e-5
"""After reports of absurd size the variance is so close to 0 that forgetting alone would not widen
it for thousands of requests."""
MAX_ERROR_RATIO = 2.5
"""Maximum ratio of one error to the usual error; larger errors are limited to it."""
MIN_USUAL_ERROR, MAX_USUAL_ERROR = 0.05, 4.0
ERROR_SMOOTHING = 0.05
MAX_FACTOR = 1e3
"""Maximum ratio of a coefficient to its prior: between an H200 and two laptop cores it is 200."""
MIN_S = 1e-4
MAX_S = 3600.0
MAX_WINDOWS, MAX_TOKENS = 256, 65_536
MIN_SAMPLES = 8

Vector = tuple[float, float, float]


class Regression:
    """The coefficients of one route of one class of pods."""

    def __init__(self, prior: Rates) -> None:
        self.rates = prior
        """The last finite coefficients."""
        self.num_samples = 0
        self._prior: Vector = (prior.base_s, prior.window_s, prior.token_s)
        self._factors: Vector = (1.0, 1.0, 1.0)
        self._usual_error = 1.0
        self._reset_variance()

    @property
    def is_trusted(self) -> bool:
        """Whether there were enough samples to use `rates`."""
        return self.num_samples >= MIN_SAMPLES

    @property
    def _is_misfit(self) -> bool:
        return self._usual_error >= MISFIT_ERROR

    def learn(self, work: Work, seconds: float) -> None:
        """Learn that `work` took `seconds`; a value that is not finite is ignored."""
        if not math.isfinite(seconds):
            return
        inputs = _inputs(work, self._prior)
        predicted_s = max(_dot(inputs, self._factors), MIN_S)
        inputs = _scaled(inputs, 1 / predicted_s)
        self._update(inputs, self._limited_error(min(max(seconds, MIN_S), MAX_S) / predicted_s - 1))

    def _limited_error(self, error: float) -> float:
        """Return `error`, limited to a multiple of the usual error, which it updates."""
        limit = MAX_ERROR_RATIO * self._usual_error
        error = min(max(error, -limit), limit)
        usual = self._usual_error + ERROR_SMOOTHING * (abs(error) - self._usual_error)
        self._usual_error = min(max(usual, MIN_USUAL_ERROR), MAX_USUAL_ERROR)
        return error

    def _update(self, inputs: Vector, error: float) -> None:
        spread: Vector = tuple(_dot(row, inputs) for row in self._variance)  # type: ignore[assignment]
        forgetting = MISFIT_FORGETTING if self._is_misfit else FORGETTING
        gain = _scaled(spread, 1 / (forgetting + _dot(inputs, spread)))
        moved = [
            min(max(factor + step * error, 0.0), MAX_FACTOR)
            for factor, step in zip(self._factors, gain, strict=True)
        ]
        if not all(map(math.isfinite, moved)):
            self._reset_variance()
            return
        self._factors = (moved[0], moved[1], moved[2])
        self._update_variance(gain, spread, forgetting)
        self.rates = Rates(*(f * p for f, p in zip(self._factors, self._prior, strict=True)))
        self.num_samples += 1

    def _update_variance(self, gain: Vector, spread: Vector, forgetting: float) -> None:
        """Reduce the variance along what was just observed, and widen all of it a little."""
        narrower = [
            [self._variance[i][j] - gain[i] * spread[j] for j in range(3)] for i in range(3)
        ]
        trace = narrower[0][0] + narrower[1][1] + narrower[2][2]
        widen = 1 / forgetting if 0 < trace < MAX_VARIANCE else 1.0
        for i in range(3):
            for j in range(i + 1):  # keeps it symmetric despite rounding
                self._variance[i][j] = self._variance[j][i] = widen * narrower[i][j]
        if min(self._variance[i][i] for i in range(3)) <= 0:
            self._reset_variance()
        self._keep_uncertain()

    def _keep_uncertain(self) -> None:
        """Keep the variance at its minimum, or else nothing would be learned any more."""
        for i, factor in enumerate(self._factors):
            least = MISFIT_VARIANCE * factor * factor if self._is_misfit else 0.0
            self._variance[i][i] = max(self._variance[i][i], least, MIN_VARIANCE)

    def _reset_variance(self) -> None:
        """Reset the variance to its start value; the coefficients stay."""
        self._variance = [[START_VARIANCE * (i == j) for j in range(3)] for i in range(3)]


def _inputs(work: Work, prior: Vector) -> Vector:
    windows, tokens = min(work.num_windows, MAX_WINDOWS), min(work.num_tokens, MAX_TOKENS)
    return prior[0], windows * prior[1], tokens * prior[2]


def _dot(one: Vector | list[float], other: Vector) -> float:
    return one[0] * other[0] + one[1] * other[1] + one[2] * other[2]


def _scaled(vector: Vector, by: float) -> Vector:
    return vector[0] * by, vector[1] * by, vector[2] * by
