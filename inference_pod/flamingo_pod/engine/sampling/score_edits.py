"""The tokens whose scores one sequence's bias and penalties change, and by how much.

A table with one row for each such token: its id, a bias that is added, the factor of transformers'
repetition penalty, and the amount that OpenAI's frequency and presence penalties subtract. It
grows by the tokens of the output as they come, so that a step costs the new token and not the
whole text.

Pure.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from flamingo_pod.engine.scheduling.sequence import SamplingParams

MIN_REPETITION_PENALTY = 1e-6
"""A score divided by less may overflow float32, and 0 / 0 is NaN."""
MIN_CAPACITY = 64


def has_penalties(params: SamplingParams) -> bool:
    """Return whether the scores depend on the tokens before."""
    return bool(
        params.repetition_penalty != 1.0 or params.frequency_penalty or params.presence_penalty
    )


class ScoreEdits:
    """The edited tokens of one sequence. Ids outside the vocabulary are left out.

    An index out of range would break the whole CUDA context, not only this sequence.
    """

    def __init__(
        self, params: SamplingParams, prompt_ids: Iterable[int], vocabulary_size: int
    ) -> None:
        self._params = params
        self._vocabulary_size = vocabulary_size
        self._factor = max(params.repetition_penalty, MIN_REPETITION_PENALTY)
        self._has_penalties = has_penalties(params)
        self._rows: dict[int, int] = {}
        self._counts: list[int] = []
        self._ids = np.zeros(MIN_CAPACITY, np.int64)
        self._values = np.zeros((3, MIN_CAPACITY), np.float32)
        self._num_counted = 0
        for token_id, bias in params.logit_bias.items():
            if (row := self._row(token_id)) is not None:
                self._values[0, row] = bias
        if params.repetition_penalty != 1.0:
            for token_id in {*prompt_ids}:
                if (row := self._row(token_id)) is not None:
                    self._values[1, row] = self._factor

    @property
    def ids(self) -> npt.NDArray[np.int64]:
        """The edited token ids `(n,)`, each once."""
        return self._ids[: len(self._counts)]

    @property
    def values(self) -> npt.NDArray[np.float32]:
        """Their bias, factor and amount `(3, n)`; neutral are 0, 1 and 0."""
        return self._values[:, : len(self._counts)]

    def update(self, output_ids: Sequence[int]) -> None:
        """Count the output tokens that are new since the last call; none is ever taken back."""
        if self._has_penalties:
            for token_id in output_ids[self._num_counted :]:
                self._count(token_id)
            self._num_counted = len(output_ids)

    def _count(self, token_id: int) -> None:
        if (row := self._row(token_id)) is None:
            return
        self._counts[row] += 1
        params = self._params
        amount = self._counts[row] * params.frequency_penalty + params.presence_penalty
        self._values[1, row] = self._factor
        self._values[2, row] = amount

    def _row(self, token_id: int) -> int | None:
        """Return the row of a token, a new one if it has none; None outside the vocabulary."""
        row = self._rows.get(token_id)
        if row is None and 0 <= token_id < self._vocabulary_size:
            row = self._rows[token_id] = len(self._counts)
            if row == len(self._ids):
                self._ids = np.concatenate([self._ids, np.zeros_like(self._ids)])
                self._values = np.concatenate([self._values, np.zeros_like(self._values)], axis=1)
            self._counts.append(0)
            self._ids[row] = token_id
            self._values[1, row] = 1
        return row
