"""Logits → the next token of each sequence. Torch, and nothing else.

A row's choice depends on that row alone: its logits, its parameters, its seed
and how much it has said. No generator is kept, and nothing is summed in an
order that the batch decides, so a sequence says the same alone and in a crowd.

The order is that of transformers' `_get_logits_processor`, and of vLLM where
transformers has no such step: bias, repetition penalty, frequency and presence
penalties, grammar, temperature, top-k, top-p, min-p. Every filter is a cutoff:
a token stays if its score is at least so much. Equal scores therefore stay or
go together; bfloat16 has many.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from flamingo_pod.engine.sequence import SamplingParams

MIN_TEMPERATURE = 1e-5
"""Colder is greedy, as in vLLM: a float32 score divided by less says nothing else."""
MIN_REPETITION_PENALTY = 1e-6
"""A score divided by less may overflow float32, and 0 by 0 is no number."""
MAX_CANDIDATES = 1024
"""Scores that are sorted at first. Sorting all 151,672 is for the rows that need more."""
MAX_LOGPROBS = 20
"""The most alternatives that OpenAI's API hands out."""
MASS_SCALE = 2**48
"""Probabilities are added up as whole numbers of 2^-48: exact, so the order cannot matter."""
BLOCK_NUMEL = 1 << 18
"""How much noise a CPU makes at once: 2 MB of int64, which its cache holds."""
NOTHING = -1
"""Where a token id would stand, if there were one."""

Triple = tuple[int, int, float]
"""SamplingRow, token id, amount."""


@dataclass(frozen=True, slots=True)
class SamplingRow:
    """One sequence's next token: how it is chosen, and what was said before."""

    params: SamplingParams
    seed: int
    """Always set: the request's own, or one drawn when it was submitted."""
    prompt_ids: Iterable[int]
    """For the repetition penalty; order and repeats do not matter, so a set is cheapest."""
    output_ids: Sequence[int]
    allowed: torch.Tensor | None = None
    """The grammar's packed int32 bit mask `(ceil(vocabulary / 32),)`; None allows all."""


@dataclass(frozen=True, slots=True)
class SampledToken:
    """The token, and how likely the model itself held it.

    Log-probabilities are natural, and of the model's own distribution: before
    bias, penalties, grammar and temperature, as vLLM reports them
    (`logprobs_mode="raw_logprobs"`).
    """

    token_id: int
    logprob: float | None = None
    """None unless asked for."""
    top_logprobs: tuple[tuple[int, float], ...] = ()
    """Token ids with their log-probabilities, likeliest first; empty unless asked for."""


@dataclass(frozen=True, slots=True)
class InvalidLogits:
    """No token: the row's logits held NaN or +inf, or left nothing to choose from."""


def sample(logits: torch.Tensor, rows: Sequence[SamplingRow]) -> list[SampledToken | InvalidLogits]:
    """Return each row's next token; `logits` `(rows, vocabulary)` are not changed.

    A poisoned row says so and disturbs no other.
    """
    assert len(rows) == len(logits), "one row of logits for each sequence"
    best, likeliest = logits.max(dim=-1)  # NaN wins over all: one pass finds token and poison
    chosen = likeliest.where(best.isfinite(), NOTHING)
    changed = [n for n, row in enumerate(rows) if not _is_plain(row)]
    if changed:
        picked = _pick(logits[changed].float(), [rows[n] for n in changed])
        chosen[changed] = picked.where(chosen[changed] != NOTHING, NOTHING)
    ids = chosen.tolist()
    told = _logprobs(logits, rows, ids)
    return [
        InvalidLogits() if i == NOTHING else told.get(n, SampledToken(i)) for n, i in enumerate(ids)
    ]


def _is_greedy(params: SamplingParams) -> bool:
    return params.temperature < MIN_TEMPERATURE or params.top_k == 1


def _is_plain(row: SamplingRow) -> bool:
    """Return whether the row takes the likeliest token as the model has it."""
    params = row.params
    is_edited = params.logit_bias or params.frequency_penalty or params.presence_penalty
    is_free = row.allowed is None and params.repetition_penalty == 1.0 and not is_edited
    return is_free and _is_greedy(params)


def _pick(scores: torch.Tensor, rows: Sequence[SamplingRow]) -> torch.Tensor:
    """Return token ids, or `NOTHING` where nothing is left to choose; `scores` are used up."""
    _bias(scores, rows)
    _penalize(scores, rows)
    _forbid(scores, rows)
    peak, picked = scores.max(dim=-1)
    drawn = [n for n, row in enumerate(rows) if not _is_greedy(row.params)]
    if drawn:
        # Below the row's best: near 0, where float32 is finest, however cold it gets.
        below = _take(scores, drawn).sub_(_take(peak, drawn).unsqueeze(1))
        picked[drawn] = _draw(below, [rows[n] for n in drawn])
    return picked.where(peak.isfinite(), NOTHING)


def _take(tensor: torch.Tensor, numbers: Sequence[int]) -> torch.Tensor:
    """Return these rows; the tensor itself, uncopied, when they are all of it."""
    return tensor if len(numbers) == len(tensor) else tensor[numbers]


# What was asked and what was said change the scores.


def _at(
    scores: torch.Tensor, triples: Iterable[Triple]
) -> tuple[tuple[torch.Tensor, torch.Tensor], torch.Tensor] | None:
    """Return places in `scores` and amounts; ids outside the vocabulary are left out.

    An index out of range would stop a CUDA process for good, not only this row.
    """
    inside = [triple for triple in triples if 0 <= triple[1] < scores.shape[1]]
    if not inside:
        return None
    numbers, ids, amounts = zip(*inside, strict=True)
    device = scores.device
    places = (torch.tensor(numbers, device=device), torch.tensor(ids, device=device))
    return places, torch.tensor(amounts, dtype=scores.dtype, device=device)


def _bias(scores: torch.Tensor, rows: Sequence[SamplingRow]) -> None:
    found = _at(
        scores,
        ((n, i, bias) for n, row in enumerate(rows) for i, bias in row.params.logit_bias.items()),
    )
    if found:
        places, amounts = found
        scores[places] += amounts


def _penalize(scores: torch.Tensor, rows: Sequence[SamplingRow]) -> None:
    """Apply the three penalties, each only to rows that have it."""
    if found := _at(scores, _repeated(rows)):
        places, factors = found
        held = scores[places]
        scores[places] = torch.where(held < 0, held * factors, held / factors)
    if found := _at(scores, _counted(rows)):
        places, amounts = found
        scores[places] -= amounts


def _repeated(rows: Sequence[SamplingRow]) -> Iterable[Triple]:
    """Yield transformers' penalty: a factor for all that was read or said."""
    for n, row in enumerate(rows):
        if (penalty := row.params.repetition_penalty) != 1.0:
            factor = max(penalty, MIN_REPETITION_PENALTY)
            yield from ((n, i, factor) for i in {*row.prompt_ids, *row.output_ids})


def _counted(rows: Sequence[SamplingRow]) -> Iterable[Triple]:
    """Yield OpenAI's penalties: so much a time and so much at all, for what was said."""
    for n, row in enumerate(rows):
        frequency, presence = row.params.frequency_penalty, row.params.presence_penalty
        if frequency or presence:
            counts = Counter(row.output_ids)
            yield from ((n, i, count * frequency + presence) for i, count in counts.items())


def _forbid(scores: torch.Tensor, rows: Sequence[SamplingRow]) -> None:
    """Take out what the grammars do not allow: before the filters, so that it wins."""
    bound = [n for n, row in enumerate(rows) if row.allowed is not None]
    if not bound:
        return
    words = torch.stack([row.allowed for row in rows if row.allowed is not None])
    bits = torch.arange(32, dtype=torch.int32, device=scores.device)
    is_allowed = (words.to(scores.device).unsqueeze(-1) >> bits) & 1
    is_banned = is_allowed.flatten(1)[:, : scores.shape[1]] == 0
    if len(bound) == len(rows):
        scores.masked_fill_(is_banned, -math.inf)
    else:
        scores[bound] = scores[bound].masked_fill(is_banned, -math.inf)


# What is left is drawn from.


@dataclass(frozen=True, slots=True)
class _Filters:
    """Each row's filters, as columns `(rows, 1)`; what is off lets all pass."""

    top_k: torch.Tensor
    """0 is off."""
    top_p: torch.Tensor
    floor: torch.Tensor
    """Min-p as a score below the best: log(p / p_best) is their difference."""

    @classmethod
    def of(cls, rows: Sequence[SamplingRow], device: torch.device) -> "_Filters":
        table = torch.tensor([_numbers(row.params) for row in rows], dtype=torch.float64)
        top_k, top_p, floor = table.to(device).unsqueeze(-1).unbind(1)
        return cls(top_k.long(), top_p, floor.float())


def _numbers(params: SamplingParams) -> tuple[float, float, float]:
    floor = math.log(params.min_p) if params.min_p else -math.inf
    # Off is 2, not 1: a whole distribution's rounded masses add up to a little over 1, too.
    top_p = 2.0 if params.top_p is None or params.top_p >= 1 else params.top_p
    return params.top_k or 0, top_p, floor


def _draw(below: torch.Tensor, rows: Sequence[SamplingRow]) -> torch.Tensor:
    """Return one token id a row, drawn from scores that are at most 0."""
    warmth = [[row.params.temperature] for row in rows]
    scores = below.div_(torch.tensor(warmth, dtype=below.dtype, device=below.device))
    picked = torch.empty(len(rows), dtype=torch.long, device=scores.device)
    ranked = [n for n, row in enumerate(rows) if _is_ranked(row.params)]
    free = [n for n, row in enumerate(rows) if not _is_ranked(row.params)]
    if ranked:
        picked[ranked] = _draw_ranked(_take(scores, ranked), [rows[n] for n in ranked])
    if free:
        picked[free] = _draw_free(_take(scores, free), [rows[n] for n in free])
    return picked


def _is_ranked(params: SamplingParams) -> bool:
    """Return whether a filter needs the scores in order."""
    return bool(params.top_k) or (params.top_p is not None and params.top_p < 1)


def _draw_free(scores: torch.Tensor, rows: Sequence[SamplingRow]) -> torch.Tensor:
    """Draw where at most min-p filters: its cutoff is known without sorting."""
    floor, keys = _Filters.of(rows, scores.device).floor, _keys(rows, scores.device)
    ids = torch.arange(scores.shape[1], device=scores.device)
    num_rows = len(rows) if scores.is_cuda else max(1, BLOCK_NUMEL // scores.shape[1])
    blocks = [slice(first, first + num_rows) for first in range(0, len(rows), num_rows)]
    return torch.cat([_race(scores[at], floor[at], noise(keys[at], ids)) for at in blocks])


def _draw_ranked(
    scores: torch.Tensor, rows: Sequence[SamplingRow], width: int = MAX_CANDIDATES
) -> torch.Tensor:
    """Draw among the `width` best; rows whose filters let more pass are drawn again from all."""
    vocabulary = scores.shape[1]
    top, ids = scores.topk(min(width, vocabulary))
    masses = scores.softmax(-1).gather(1, ids).double().mul_(MASS_SCALE).long()
    cut, is_whole = _cutoff(top, masses, _Filters.of(rows, scores.device))
    won = _race(top, cut, noise(_keys(rows, scores.device), ids))
    picked = ids.gather(1, won.unsqueeze(1)).squeeze(1)
    if width < vocabulary and not bool(is_whole.all()):
        again = (~is_whole).nonzero().flatten().tolist()
        picked[again] = _draw_ranked(scores[again], [rows[n] for n in again], vocabulary)
    return picked


def _cutoff(
    top: torch.Tensor, masses: torch.Tensor, filters: _Filters
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the least score that passes, `(rows, 1)`, and whether all that pass are in `top`.

    Top-p keeps a token while those before it hold less than p of what top-k
    left, which is what transformers computes from the other end.
    """
    last = top[:, -1:]
    kth = top.gather(1, filters.top_k.clamp(1, top.shape[1]) - 1)
    kth = kth.where(filters.top_k > 0, -math.inf)
    held = masses.where(top >= kth, 0)
    upto = held.cumsum(-1)
    total = upto[:, -1:].where(filters.top_k > 0, MASS_SCALE)
    num_kept = ((upto - held) < filters.top_p * total).sum(-1, keepdim=True)
    nucleus = top.gather(1, num_kept.clamp(min=1) - 1)
    nucleus = nucleus.where(filters.top_p < 1, -math.inf)
    cut = torch.maximum(torch.maximum(kth, nucleus), filters.floor)
    # With top-k, a tie that goes on behind `last` would be missing from the total.
    # A `last` that cannot be chosen has none behind it that can: a grammar leaves few.
    is_whole = (last < kth.where(filters.top_k > 0, cut)) | last.isneginf()
    return cut, is_whole.squeeze(1)


def _race(scores: torch.Tensor, cut: torch.Tensor, luck: torch.Tensor) -> torch.Tensor:
    """Return the column of the best of score and luck: a draw from softmax (Gumbel-max)."""
    return (luck + scores).masked_fill_(scores < cut, -math.inf).argmax(dim=-1)


# Luck is a function, not a stream: of the seed, how much was said, and the token.

_GOLDEN = 0x9E3779B97F4A7C15
_MIXES = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))
_BITS = 2**64 - 1


def _keys(rows: Sequence[SamplingRow], device: torch.device) -> torch.Tensor:
    """Return where each row's SplitMix64 starts, `(rows, 1)`."""
    keys = [[_signed(_key(row.seed, len(row.output_ids)))] for row in rows]
    return torch.tensor(keys, dtype=torch.long, device=device)


def _key(seed: int, position: int) -> int:
    return _mixed(_mixed(seed + _GOLDEN) + (position + 1) * _GOLDEN)


def _mixed(word: int) -> int:
    """Return SplitMix64's finalizer of `word` (Steele, Lea and Flood 2014, variant 13)."""
    word &= _BITS
    for shift, factor in _MIXES:
        word = ((word ^ (word >> shift)) * factor) & _BITS
    return word


def _signed(word: int) -> int:
    return word - 2**64 if word >> 63 else word


def noise(keys: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Return standard Gumbel noise in float32, the same for a key and an id wherever they stand.

    `keys` is `(rows, 1)`; `ids` is `(n,)` or `(rows, n)`.
    """
    words = (ids + 1) * _signed(_GOLDEN) + keys
    for shift, factor in _MIXES:
        words ^= (words >> shift) & (_BITS >> shift)  # the shift of an int64 copies its sign
        if factor != 1:
            words *= _signed(factor)
    words >>= 11
    words &= (1 << 53) - 1
    # Small means lucky. float32 is fine near 0, so that odds of 1 in 10^12 come true, too;
    # the clamp keeps a value that rounds up to 1 from being infinitely unlucky.
    luck = words.float().add_(0.5).mul_(2.0**-53).clamp_(max=1 - 2**-24)
    return luck.neg_().log1p_().neg_().log_().neg_()


# What is told of it.


def _logprobs(
    logits: torch.Tensor, rows: Sequence[SamplingRow], ids: Sequence[int]
) -> dict[int, SampledToken]:
    """Return the choices of the sound rows that asked for log-probabilities."""
    asked = [
        n for n, row in enumerate(rows) if row.params.num_logprobs is not None and ids[n] != NOTHING
    ]
    if not asked:
        return {}
    table = _take(logits, asked).float().log_softmax(-1)
    chosen = torch.tensor([[ids[n]] for n in asked], device=table.device)
    own = table.gather(1, chosen).squeeze(1).tolist()
    # Always as many, so that what ties leave out does not depend on the others' wishes.
    values, places = (found.tolist() for found in table.topk(min(MAX_LOGPROBS, table.shape[1])))
    return {
        n: SampledToken(ids[n], own[at], _likeliest(rows[n].params, places[at], values[at]))
        for at, n in enumerate(asked)
    }


def _likeliest(
    params: SamplingParams, places: Sequence[int], values: Sequence[float]
) -> tuple[tuple[int, float], ...]:
    pairs = sorted(zip(places, values, strict=True), key=lambda pair: (-pair[1], pair[0]))
    return tuple(pairs[: params.num_logprobs])
