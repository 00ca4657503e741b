"""Run one sequence through transformers' own `generate`. Torch.

Provisional: one sequence at a time. It stands behind the seam that the
continuous-batching engine will fill (`flamingo_pod.engine.bridge`), and stays
afterwards as the oracle of its tests.

`use_cache=True` is always passed: published checkpoints carry
`text_config.use_cache=False`, and without a cache every token would read the
whole prompt again (seed.md §3.3 item 12).
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from flamingo_pod.engine.sequence import SamplingParams, Step

Emit = Callable[[Step], bool]
"""Takes one step; returns whether the sequence was cancelled."""


class _EachToken(StoppingCriteria):  # type: ignore[misc]  # transformers is untyped here
    """`generate` asks after each token whether to stop; that is when the token is handed on."""

    def __init__(self, emit: Emit, eos_token_ids: frozenset[int], max_tokens: int) -> None:
        self._emit = emit
        self._eos_token_ids = eos_token_ids
        self._num_left = max_tokens

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        del scores, kwargs
        self._num_left -= 1
        step = self._step(int(input_ids[0, -1]))
        is_over = self._emit(step) or step.finish_reason is not None
        return torch.full((1,), is_over, device=input_ids.device)

    def _step(self, token_id: int) -> Step:
        if token_id in self._eos_token_ids:
            return Step(None, "stop")
        return Step(token_id, None if self._num_left else "length")


@torch.inference_mode()
def embed_prompt(model: Any, token_ids: Sequence[int], audio: torch.Tensor | None) -> torch.Tensor:
    """Return the prompt's embeddings `(tokens, width)` with `audio` in its `<sound>` slots."""
    ids = torch.tensor(token_ids, device=model.device)
    embeds = model.get_input_embeddings()(ids)
    if audio is not None:
        embeds[ids == model.config.audio_token_id] = audio.to(embeds)
    return embeds  # type: ignore[no-any-return]  # transformers is untyped here


@torch.inference_mode()
def generate(
    model: Any,
    prompt: torch.Tensor,
    params: SamplingParams,
    *,
    eos_token_ids: frozenset[int],
    emit: Emit,
) -> None:
    """Emit the steps that follow `prompt` `(tokens, width)`, until the last or a cancellation."""
    if params.seed is not None:
        torch.manual_seed(params.seed)  # one sequence at a time: the generator is ours alone
    each_token = _EachToken(emit, eos_token_ids, params.max_tokens)
    model.generate(
        inputs_embeds=prompt.unsqueeze(0),
        attention_mask=prompt.new_ones((1, len(prompt)), dtype=torch.long),
        use_cache=True,
        max_new_tokens=params.max_tokens,
        stopping_criteria=StoppingCriteriaList([each_token]),
        **_sampling(params),
    )


def _sampling(params: SamplingParams) -> dict[str, Any]:
    if params.temperature == 0:
        return {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    return {
        "do_sample": True,
        "temperature": params.temperature,
        "top_p": params.top_p,
        "top_k": params.top_k or 0,  # 0 switches the library's default of 50 off
        "min_p": params.min_p,
    }
