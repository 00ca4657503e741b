"""What sampling needs of all rows of a step, as arrays that are copied to the device at once.

The rows are put in the order of their groups (`state.Group`), so that each group is a slice of the
scores and none has to be gathered. Argmax and plain rows come first and have no scores: the logits
themselves are enough.

Pure.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from flamingo_pod.engine.sampling.noise_keys import position_keys
from flamingo_pod.engine.sampling.state import MAX_CANDIDATES, RECORD, Group, SamplingState

A = TypeVar("A")
Array = npt.NDArray[Any]
Int64s = npt.NDArray[np.int64]

NO_INDICES = np.zeros(0, np.int64)
NO_EDITS = np.zeros((3, 0), np.float32)
NO_BITS = np.zeros((0, 0), np.uint8)


@dataclass(slots=True)
class SamplingInput:
    """How the next token of one sequence is sampled; kept with it, and updated for each step."""

    state: SamplingState
    output_ids: Sequence[int]
    """Its output, as far as the host has read it."""
    num_unread: int = 0
    """Output tokens that only the device has; always 0 if `state.needs_output`."""
    allowed: npt.NDArray[np.int32] | None = None
    """The grammar's packed bit mask `(ceil(vocabulary / 32),)`; None allows all."""
    masked_ids: Collection[int] = ()
    """Tokens that must not come next, unless nothing else is allowed."""


class SamplingArrays(NamedTuple, Generic[A]):
    """The arrays of a batch, on the host or on the device.

    "Scores" are the rows that are neither argmax nor plain, in order; places are indices into all
    their scores, row after row. Of the scores, the last `random` are random, and the first
    `by_rank` of those are sorted or wide.
    """

    order: A
    """The batch's row of each of the scores, int64 `(scores,)`."""
    keys: A
    """The noise of each, int64 `(random, 1)`."""
    temperature: A
    """float32 `(random, 1)`."""
    floor: A
    """float32 `(random, 1)`."""
    top_k: A
    """int64 `(by_rank, 1)`."""
    top_p: A
    """float64 `(by_rank, 1)`."""
    edit_places: A
    """Each once, int64 `(edits,)`."""
    edits: A
    """Bias, factor and amount of each, float32 `(3, edits)`."""
    grammar_rows: A
    """The scores that a grammar constrains, ascending, int64 `(constrained,)`."""
    grammar_bits: A
    """The tokens that it allows, uint8 `(constrained, bytes)`, the lowest bit first."""
    mask_places: A
    """Of the tokens that must not come next, int64 `(masked,)`."""
    mask_rows: A
    """The row of each, int64 `(masked,)`."""
    logprob_rows: A
    """The batch's rows that include log-probabilities, int64 `(n,)`."""
    scored_rows: A
    """The batch's rows that include those of given tokens, int64 `(scored,)`."""
    scored_places: A
    """Of these tokens, row after row: indices into the log-probabilities of the `scored_rows`,
    int64."""


class PlainRows(NamedTuple, Generic[A]):
    """How rows are sampled that need nothing but the model's logits; each `(rows,)`."""

    keys: A
    """The noise of each, int64."""
    temperature: A
    """float32; 0 takes the likeliest token."""
    floor: A
    """Min-p as in `SamplingArrays`, float32."""

    @classmethod
    def greedy(cls, num_rows: int) -> "PlainRows[Array]":
        """Return rows that take the likeliest token."""
        floor = np.full(num_rows, -np.inf, np.float32)
        return PlainRows(np.zeros(num_rows, np.int64), np.zeros(num_rows, np.float32), floor)


@dataclass(frozen=True, slots=True)
class SamplingBatch:
    """A step's rows: how many there are of each group, and their arrays."""

    num_rows: int
    vocabulary_size: int
    sizes: Sequence[int]
    """Rows of each `Group`."""
    arrays: SamplingArrays[Array]
    num_logprobs: Sequence[int]
    """Of each of the `logprob_rows`: how many of the likeliest tokens are requested."""
    num_scored: Sequence[int]
    """Of each of the `scored_rows`: how many tokens are given."""
    plain_rows: Int64s
    """The rows of `Group.PLAIN`, ascending."""
    plain: PlainRows[Array]
    """Of each of them."""

    @classmethod
    def create(cls, inputs: Sequence[SamplingInput], vocabulary_size: int) -> "SamplingBatch":
        """Return the batch of these rows; updates the counts of output tokens in their states."""
        rows = _Rows.create(inputs, vocabulary_size)
        wanted = np.flatnonzero(rows.table["num_logprobs"] >= 0)
        arrays = SamplingArrays(
            *(rows.order[rows.num_unscored :], *_filters(rows), *_edits(rows)),
            *(*_grammars(rows), *_masks(rows), wanted, *_scored(rows)),
        )
        num_logprobs = rows.table["num_logprobs"][wanted].tolist()
        plain_rows = rows.order[rows.sizes[Group.ARGMAX] : rows.num_unscored]
        plain = _plain(rows, plain_rows)
        num_scored = [len(inputs[n].state.logprob_token_ids) for n in arrays.scored_rows.tolist()]
        return cls(
            *(len(inputs), vocabulary_size, rows.sizes, arrays, num_logprobs, num_scored),
            *(plain_rows, plain),
        )

    def plain_among(self, rows: Array, num_rows: int) -> PlainRows[Array]:
        """Return the plain rows among `num_rows` greedy ones; number n is `rows[n]` there."""
        among = PlainRows.greedy(num_rows)
        at = rows[self.plain_rows]
        for all_values, values in zip(among, self.plain, strict=True):
            all_values[at] = values
        return among

    @property
    def num_scores(self) -> int:
        """Rows whose scores are needed."""
        return self.num_rows - self.sizes[Group.ARGMAX] - self.sizes[Group.PLAIN]

    @property
    def num_random(self) -> int:
        """Rows that are sampled at random."""
        return self.num_scores - self.sizes[Group.GREEDY]

    @property
    def is_edited(self) -> bool:
        """Whether the scores are anything but the logits."""
        arrays = self.arrays
        return any(map(len, (arrays.edit_places, arrays.grammar_rows, arrays.mask_places)))

    @property
    def provisional_rows(self) -> Int64s:
        """The rows whose token on the device can turn out to be wrong when it is read."""
        if self.vocabulary_size <= MAX_CANDIDATES:
            return NO_INDICES
        first = self.sizes[Group.GREEDY]
        rows: Int64s = self.arrays.order[first : first + self.sizes[Group.SORTED]]
        return rows


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of a batch in the making."""

    inputs: Sequence[SamplingInput]
    vocabulary_size: int
    table: Array
    """A `RECORD` of each."""
    order: Int64s
    """All rows in the order of their groups."""
    sizes: Sequence[int]
    constrained: Sequence[int]
    """The rows with a grammar."""
    masked: Sequence[int]
    """The rows with masked tokens."""

    @classmethod
    def create(cls, inputs: Sequence[SamplingInput], vocabulary_size: int) -> "_Rows":
        table = np.frombuffer(b"".join([one.state.record for one in inputs]), RECORD)
        constrained = [n for n, one in enumerate(inputs) if one.allowed is not None]
        masked = [n for n, one in enumerate(inputs) if one.masked_ids]
        groups = _groups(table["group"], constrained, masked)
        sizes = np.bincount(groups, minlength=len(Group)).tolist()
        order = groups.argsort(kind="stable")
        return cls(inputs, vocabulary_size, table, order, sizes, constrained, masked)

    @property
    def num_unscored(self) -> int:
        return self.sizes[Group.ARGMAX] + self.sizes[Group.PLAIN]

    def scores(self, rows: Sequence[int]) -> Int64s:
        """Return which of the scores belong to these rows."""
        of_row = np.empty_like(self.order)
        of_row[self.order] = np.arange(-self.num_unscored, len(self.order) - self.num_unscored)
        return of_row[rows]


_EDITED = np.array([*Group])
"""The group of each group's rows where a grammar or a mask edits their scores."""
_EDITED[[Group.ARGMAX, Group.PLAIN]] = Group.GREEDY, Group.UNSORTED


def _groups(usual: Int64s, constrained: Sequence[int], masked: Sequence[int]) -> Int64s:
    """Return each row's group in this step."""
    if not constrained and not masked:
        return usual
    groups = usual.copy()
    changed = [*constrained, *masked]
    groups[changed] = _EDITED[groups[changed]]
    # A grammar allows few tokens: the best of them are usually enough.
    few = groups[constrained]
    groups[constrained] = np.where(few == Group.WIDE, Group.SORTED, few)
    return groups


def _filters(rows: _Rows) -> Sequence[Array]:
    """Return `keys`, `temperature`, `floor`, `top_k` and `top_p`."""
    first = rows.num_unscored + rows.sizes[Group.GREEDY]
    random = rows.order[first:]
    if not len(random):
        return [NO_INDICES] * 5
    by_rank = slice(rows.sizes[Group.SORTED] + rows.sizes[Group.WIDE])
    table = rows.table[random]
    columns = _plain(rows, random)
    ranks = (table["top_k"][by_rank], table["top_p"][by_rank])
    return [np.ascontiguousarray(column).reshape(-1, 1) for column in (*columns, *ranks)]


def _plain(rows: _Rows, numbers: Int64s) -> PlainRows[Array]:
    """Return the keys, temperatures and floors of some rows."""
    if not len(numbers):
        return _NO_ROWS
    table = rows.table[numbers]
    inputs = [rows.inputs[n] for n in numbers.tolist()]
    positions = np.array([len(one.output_ids) + one.num_unread for one in inputs], np.int64)
    keys = position_keys(table["seed_key"], positions)
    floor, temperature = (np.ascontiguousarray(table[name]) for name in ("floor", "temperature"))
    return PlainRows(keys, temperature, floor)


_NO_ROWS = PlainRows.greedy(0)


def _edits(rows: _Rows) -> Sequence[Array]:
    """Return `edit_places` and `edits`."""
    edited = [n for n, one in enumerate(rows.inputs) if one.state.edits is not None]
    tables = [table for n in edited if (table := rows.inputs[n].state.edits) is not None]
    if not tables:
        return NO_INDICES, NO_EDITS
    for n, table in zip(edited, tables, strict=True):
        table.update(rows.inputs[n].output_ids)
    ids = [table.ids for table in tables]
    starts = rows.scores(edited) * rows.vocabulary_size
    places = np.concatenate(ids) + starts.repeat([len(each) for each in ids])
    return places, np.concatenate([table.values for table in tables], axis=1)


def _grammars(rows: _Rows) -> Sequence[Array]:
    """Return `grammar_rows` and `grammar_bits`."""
    if not rows.constrained:
        return NO_INDICES, NO_BITS
    scores = rows.scores(rows.constrained)
    order = scores.argsort()
    constrained = [rows.inputs[rows.constrained[at]] for at in order.tolist()]
    words = np.concatenate([one.allowed for one in constrained if one.allowed is not None])
    return scores[order], words.astype("<i4", copy=False).view(np.uint8).reshape(len(order), -1)


def _scored(rows: _Rows) -> Sequence[Array]:
    """Return `scored_rows` and `scored_places`."""
    scored = [n for n, one in enumerate(rows.inputs) if one.state.logprob_token_ids]
    if not scored:
        return NO_INDICES, NO_INDICES
    places = [
        np.asarray(rows.inputs[n].state.logprob_token_ids, np.int64) + at * rows.vocabulary_size
        for at, n in enumerate(scored)
    ]
    return np.array(scored, np.int64), np.concatenate(places)


def _masks(rows: _Rows) -> Sequence[Array]:
    """Return `mask_places` and `mask_rows`."""
    if not rows.masked:
        return NO_INDICES, NO_INDICES
    all_ids = [np.fromiter(rows.inputs[n].masked_ids, np.int64) for n in rows.masked]
    ids, owners = np.concatenate(all_ids), rows.scores(rows.masked).repeat([*map(len, all_ids)])
    is_inside = (ids >= 0) & (ids < rows.vocabulary_size)
    ids, owners = ids[is_inside], owners[is_inside]
    return ids + owners * rows.vocabulary_size, owners
