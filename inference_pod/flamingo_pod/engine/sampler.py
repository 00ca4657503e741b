"""The sampler: chooses the next token of each sequence from its logits. Depends on torch only.

A row's token depends on that row alone: its logits, its parameters, its seed and the number of
its output tokens. There is no generator state, and nothing is summed in an order that depends on
the batch, so a sequence gets the same tokens alone and in any batch.

The order of the steps is that of transformers' `_get_logits_processor`, and of vLLM where
transformers has no such step: bias, repetition penalty, frequency and presence penalties,
grammar, temperature, top-k, top-p, min-p. Every filter is a cutoff: a token is kept if its score
is at least the cutoff. Equal scores are therefore kept or dropped together; bfloat16 has many.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from flamingo_pod.engine.sequence import SamplingParams

MIN_TEMPERATURE = 1e-5
"""Lower is greedy, as in vLLM: float32 scores divided by less leave only the maximum."""
MIN_REPETITION_PENALTY = 1e-6
"""A score divided by less may overflow float32, and 0 / 0 is NaN."""
MAX_CANDIDATES = 1024
"""Scores that are sorted at first; all 151,672 are sorted only for rows that need more."""
MAX_LOGPROBS = 20
"""OpenAI's limit of `top_logprobs`."""
MASS_SCALE = 2**48
"""Probabilities are summed as integers in units of 2^-48: exact, so the order cannot matter."""
BLOCK_NUMEL = 1 << 18
"""Noise values that a CPU generates at once: 2 MB of int64, which fit its cache."""
NO_TOKEN = -1
"""In place of a token id where no token can be sampled."""

ScoreEdit = tuple[int, int, float]
"""Row, token id and amount."""


@dataclass(frozen=True, slots=True)
class SamplingRow:
    """How one sequence's next token is sampled, and the tokens before it."""

    params: SamplingParams
    seed: int
    """The request's, or a random one from its submission."""
    prompt_ids: Iterable[int]
    """For the repetition penalty; order and repetition do not matter, so a set is cheapest."""
    output_ids: Sequence[int]
    allowed: torch.Tensor | None = None
    """The grammar's packed int32 bit mask `(ceil(vocabulary / 32),)`; None allows all."""


@dataclass(frozen=True, slots=True)
class SampledToken:
    """A token, and its probability in the model's own distribution.

    Log-probabilities are natural, and taken before bias, penalties, grammar and temperature, as
    vLLM's default is (`logprobs_mode="raw_logprobs"`).
    """

    token_id: int
    logprob: float | None = None
    """None unless requested."""
    top_logprobs: tuple[tuple[int, float], ...] = ()
    """Token ids with their log-probabilities, likeliest first; empty unless requested."""


@dataclass(frozen=True, slots=True)
class InvalidLogits:
    """No token: the row's logits contain NaN or +inf, or no token is allowed."""


def sample(logits: torch.Tensor, rows: Sequence[SamplingRow]) -> list[SampledToken | InvalidLogits]:
    """Return each row's next token; `logits` `(rows, vocabulary)` are not changed.

    Invalid logits in one row do not affect the others.
    """
    assert len(rows) == len(logits), "one row of logits for each sequence"
    best, likeliest = logits.max(
        dim=-1
    )  # max propagates NaN: one pass finds the token and invalid rows
    token_ids = likeliest.where(best.isfinite(), NO_TOKEN)
    others = [n for n, row in enumerate(rows) if not _is_argmax(row)]
    if others:
        sampled = _sample_rows(logits[others].float(), [rows[n] for n in others])
        token_ids[others] = sampled.where(token_ids[others] != NO_TOKEN, NO_TOKEN)
    ids = token_ids.tolist()
    with_logprobs = _with_logprobs(logits, rows, ids)
    return [
        InvalidLogits() if token_id == NO_TOKEN else with_logprobs.get(n, SampledToken(token_id))
        for n, token_id in enumerate(ids)
    ]


def _is_greedy(params: SamplingParams) -> bool:
    return params.temperature < MIN_TEMPERATURE or params.top_k == 1


def _is_argmax(row: SamplingRow) -> bool:
    """Return whether the row's token is the argmax of the model's own logits."""
    params = row.params
    is_edited = params.logit_bias or params.frequency_penalty or params.presence_penalty
    is_raw = row.allowed is None and params.repetition_penalty == 1.0 and not is_edited
    return is_raw and _is_greedy(params)


def _sample_rows(scores: torch.Tensor, rows: Sequence[SamplingRow]) -> torch.Tensor:
    """Return token ids, or `NO_TOKEN` where none is allowed; `scores` are overwritten."""
    _apply_bias(scores, rows)
    _apply_penalties(scores, rows)
    _apply_grammars(scores, rows)
    best, token_ids = scores.max(dim=-1)
    random = [n for n, row in enumerate(rows) if not _is_greedy(row.params)]
    if random:
        # Relative to the row's best: near 0, where float32 is finest, at any temperature.
        relative = _take(scores, random).sub_(_take(best, random).unsqueeze(1))
        token_ids[random] = _sample_random(relative, [rows[n] for n in random])
    return token_ids.where(best.isfinite(), NO_TOKEN)


def _take(tensor: torch.Tensor, numbers: Sequence[int]) -> torch.Tensor:
    """Return these rows; the tensor itself, uncopied, when they are all of it."""
    return tensor if len(numbers) == len(tensor) else tensor[numbers]


# Edits of the scores: bias, penalties, grammars.


def _at(
    scores: torch.Tensor, triples: Iterable[ScoreEdit]
) -> tuple[tuple[torch.Tensor, torch.Tensor], torch.Tensor] | None:
    """Return indices into `scores`, and amounts; ids outside the vocabulary are left out.

    An index out of range would break the whole CUDA context, not only this row.
    """
    inside = [triple for triple in triples if 0 <= triple[1] < scores.shape[1]]
    if not inside:
        return None
    numbers, ids, amounts = zip(*inside, strict=True)
    device = scores.device
    places = (torch.tensor(numbers, device=device), torch.tensor(ids, device=device))
    return places, torch.tensor(amounts, dtype=scores.dtype, device=device)


def _apply_bias(scores: torch.Tensor, rows: Sequence[SamplingRow]) -> None:
    found = _at(
        scores,
        ((n, i, bias) for n, row in enumerate(rows) for i, bias in row.params.logit_bias.items()),
    )
    if found:
        places, amounts = found
        scores[places] += amounts


def _apply_penalties(scores: torch.Tensor, rows: Sequence[SamplingRow]) -> None:
    """Apply repetition, frequency and presence penalties to the rows that have them."""
    if found := _at(scores, _repetition_factors(rows)):
        places, factors = found
        before = scores[places]
        scores[places] = torch.where(before < 0, before * factors, before / factors)
    if found := _at(scores, _count_penalties(rows)):
        places, amounts = found
        scores[places] -= amounts


def _repetition_factors(rows: Sequence[SamplingRow]) -> Iterable[ScoreEdit]:
    """Yield transformers' repetition penalty: a factor for each token of prompt and output."""
    for n, row in enumerate(rows):
        if (penalty := row.params.repetition_penalty) != 1.0:
            factor = max(penalty, MIN_REPETITION_PENALTY)
            yield from ((n, i, factor) for i in {*row.prompt_ids, *row.output_ids})


def _count_penalties(rows: Sequence[SamplingRow]) -> Iterable[ScoreEdit]:
    """Yield OpenAI's penalties for output tokens: per occurrence, and for any occurrence."""
    for n, row in enumerate(rows):
        frequency, presence = row.params.frequency_penalty, row.params.presence_penalty
        if frequency or presence:
            counts = Counter(row.output_ids)
            yield from ((n, i, count * frequency + presence) for i, count in counts.items())


def _apply_grammars(scores: torch.Tensor, rows: Sequence[SamplingRow]) -> None:
    """Mask the tokens that the grammars do not allow, before the filters count any of them."""
    constrained = [n for n, row in enumerate(rows) if row.allowed is not None]
    if not constrained:
        return
    words = torch.stack([row.allowed for row in rows if row.allowed is not None])
    bits = torch.arange(32, dtype=torch.int32, device=scores.device)
    is_allowed = (words.to(scores.device).unsqueeze(-1) >> bits) & 1
    is_banned = is_allowed.flatten(1)[:, : scores.shape[1]] == 0
    if len(constrained) == len(rows):
        scores.masked_fill_(is_banned, -math.inf)
    else:
        scores[constrained] = scores[constrained].masked_fill(is_banned, -math.inf)


# Random sampling from the remaining scores.


@dataclass(frozen=True, slots=True)
class _Filters:
    """Each row's filters, as columns `(rows, 1)`; a filter that is off passes all tokens."""

    top_k: torch.Tensor
    """0 is off."""
    top_p: torch.Tensor
    floor: torch.Tensor
    """Min-p as a score relative to the best: log(p / p_best) is their difference."""

    @classmethod
    def from_rows(cls, rows: Sequence[SamplingRow], device: torch.device) -> "_Filters":
        table = torch.tensor([_filter_values(row.params) for row in rows], dtype=torch.float64)
        top_k, top_p, floor = table.to(device).unsqueeze(-1).unbind(1)
        return cls(top_k.long(), top_p, floor.float())


def _filter_values(params: SamplingParams) -> tuple[float, float, float]:
    floor = math.log(params.min_p) if params.min_p else -math.inf
    # Off is 2, not 1: the rounded masses of a whole distribution may add up to more than 1.
    top_p = 2.0 if params.top_p is None or params.top_p >= 1 else params.top_p
    return params.top_k or 0, top_p, floor


def _sample_random(relative: torch.Tensor, rows: Sequence[SamplingRow]) -> torch.Tensor:
    """Return one random token id per row; `relative` scores are at most 0."""
    column = [[row.params.temperature] for row in rows]
    temperatures = torch.tensor(column, dtype=relative.dtype, device=relative.device)
    scores = relative.div_(temperatures)
    token_ids = torch.empty(len(rows), dtype=torch.long, device=scores.device)
    by_rank = [n for n, row in enumerate(rows) if _needs_sorting(row.params)]
    others = [n for n, row in enumerate(rows) if not _needs_sorting(row.params)]
    if by_rank:
        token_ids[by_rank] = _sample_sorted(_take(scores, by_rank), [rows[n] for n in by_rank])
    if others:
        token_ids[others] = _sample_unsorted(_take(scores, others), [rows[n] for n in others])
    return token_ids


def _needs_sorting(params: SamplingParams) -> bool:
    """Return whether a filter needs the scores sorted."""
    return bool(params.top_k) or (params.top_p is not None and params.top_p < 1)


def _sample_unsorted(scores: torch.Tensor, rows: Sequence[SamplingRow]) -> torch.Tensor:
    """Sample rows with at most min-p: its cutoff is known without sorting."""
    floor, keys = _Filters.from_rows(rows, scores.device).floor, _noise_keys(rows, scores.device)
    ids = torch.arange(scores.shape[1], device=scores.device)
    num_rows = len(rows) if scores.is_cuda else max(1, BLOCK_NUMEL // scores.shape[1])
    blocks = [slice(first, first + num_rows) for first in range(0, len(rows), num_rows)]
    return torch.cat([_gumbel_argmax(scores[at], floor[at], noise(keys[at], ids)) for at in blocks])


def _sample_sorted(
    scores: torch.Tensor, rows: Sequence[SamplingRow], width: int = MAX_CANDIDATES
) -> torch.Tensor:
    """Sample among the `width` best; rows whose filters may pass more are redone with all."""
    vocabulary = scores.shape[1]
    top, ids = scores.topk(min(width, vocabulary))
    masses = scores.softmax(-1).gather(1, ids).double().mul_(MASS_SCALE).long()
    cut, is_whole = _cutoff(top, masses, _Filters.from_rows(rows, scores.device))
    winners = _gumbel_argmax(top, cut, noise(_noise_keys(rows, scores.device), ids))
    token_ids = ids.gather(1, winners.unsqueeze(1)).squeeze(1)
    if width < vocabulary and not bool(is_whole.all()):
        again = (~is_whole).nonzero().flatten().tolist()
        token_ids[again] = _sample_sorted(scores[again], [rows[n] for n in again], vocabulary)
    return token_ids


def _cutoff(
    top: torch.Tensor, masses: torch.Tensor, filters: _Filters
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the least score that passes, `(rows, 1)`, and whether all that pass are in `top`.

    Top-p keeps a token while those before it have less than p of the mass that top-k left,
    which is what transformers computes from the other end.
    """
    last = top[:, -1:]
    kth = top.gather(1, filters.top_k.clamp(1, top.shape[1]) - 1)
    kth = kth.where(filters.top_k > 0, -math.inf)
    kept = masses.where(top >= kth, 0)
    cumulative = kept.cumsum(-1)
    total = cumulative[:, -1:].where(filters.top_k > 0, MASS_SCALE)
    num_kept = ((cumulative - kept) < filters.top_p * total).sum(-1, keepdim=True)
    nucleus = top.gather(1, num_kept.clamp(min=1) - 1)
    nucleus = nucleus.where(filters.top_p < 1, -math.inf)
    cut = torch.maximum(torch.maximum(kth, nucleus), filters.floor)
    # With top-k, scores equal to `last` but outside of `top` would be missing from the total.
    # Where `last` is masked, all behind it are, too: a grammar allows few tokens.
    is_whole = (last < kth.where(filters.top_k > 0, cut)) | last.isneginf()
    return cut, is_whole.squeeze(1)


def _gumbel_argmax(scores: torch.Tensor, cut: torch.Tensor, gumbel: torch.Tensor) -> torch.Tensor:
    """Return a column per row, sampled from softmax of its scores (the Gumbel-max trick)."""
    return (gumbel + scores).masked_fill_(scores < cut, -math.inf).argmax(dim=-1)


# Noise is a function of seed, number of output tokens, and token id, not a stream.

_GOLDEN = 0x9E3779B97F4A7C15
_MIXES = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1))
_BITS = 2**64 - 1


def _noise_keys(rows: Sequence[SamplingRow], device: torch.device) -> torch.Tensor:
    """Return the start of each row's SplitMix64 sequence, `(rows, 1)`."""
    keys = [[_signed(_key(row.seed, len(row.output_ids)))] for row in rows]
    return torch.tensor(keys, dtype=torch.long, device=device)


def _key(seed: int, position: int) -> int:
    return _mix(_mix(seed + _GOLDEN) + (position + 1) * _GOLDEN)


def _mix(word: int) -> int:
    """Return SplitMix64's finalizer of `word` (Steele, Lea and Flood 2014, variant 13)."""
    word &= _BITS
    for shift, factor in _MIXES:
        word = ((word ^ (word >> shift)) * factor) & _BITS
    return word


def _signed(word: int) -> int:
    return word - 2**64 if word >> 63 else word


def noise(keys: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Return standard Gumbel noise in float32, a function of key and id alone.

    `keys` is `(rows, 1)`; `ids` is `(n,)` or `(rows, n)`.
    """
    words = (ids + 1) * _signed(_GOLDEN) + keys
    for shift, factor in _MIXES:
        words ^= (words >> shift) & (_BITS >> shift)  # the shift of an int64 copies its sign
        if factor != 1:
            words *= _signed(factor)
    words >>= 11
    words &= (1 << 53) - 1
    # Small uniforms are the large noise: float32 is finest near 0, so probabilities of 1 in
    # 10^12 occur, too. The clamp keeps a value that rounds up to 1 from becoming -inf.
    uniform = words.float().add_(0.5).mul_(2.0**-53).clamp_(max=1 - 2**-24)
    return uniform.neg_().log1p_().neg_().log_().neg_()


# Log-probabilities.


def _with_logprobs(
    logits: torch.Tensor, rows: Sequence[SamplingRow], ids: Sequence[int]
) -> dict[int, SampledToken]:
    """Return the tokens of the valid rows whose requests include log-probabilities."""
    wanted = [
        n
        for n, row in enumerate(rows)
        if row.params.num_logprobs is not None and ids[n] != NO_TOKEN
    ]
    if not wanted:
        return {}
    table = _take(logits, wanted).float().log_softmax(-1)
    chosen = torch.tensor([[ids[n]] for n in wanted], device=table.device)
    own = table.gather(1, chosen).squeeze(1).tolist()
    # Always the same number, so that the choice between equal scores does not depend on the batch.
    values, places = (found.tolist() for found in table.topk(min(MAX_LOGPROBS, table.shape[1])))
    return {
        n: SampledToken(ids[n], own[at], _top_logprobs(rows[n].params, places[at], values[at]))
        for at, n in enumerate(wanted)
    }


def _top_logprobs(
    params: SamplingParams, places: Sequence[int], values: Sequence[float]
) -> tuple[tuple[int, float], ...]:
    pairs = sorted(zip(places, values, strict=True), key=lambda pair: (-pair[1], pair[0]))
    return tuple(pairs[: params.num_logprobs])
