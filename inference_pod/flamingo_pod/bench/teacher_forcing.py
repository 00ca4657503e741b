"""A model's greedy answers, and what it predicts for each token of a given answer.

Both come from transformers' modules around our linear layers (`flamingo_pod.model.linear`), which
are the ones that the engine computes with.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from flamingo_pod.bench.divergence import AnswerDivergence
from flamingo_pod.bench.synthetic_audio import Samples
from flamingo_pod.model.checkpoint import Checkpoint

Inputs = Mapping[str, Any]


def make_inputs(loaded: Checkpoint, samples: Samples, question: str) -> Inputs:
    """Return the processor's tensors for a question about a clip, on the model's device."""
    content = [{"type": "audio"}, {"type": "text", "text": question}]
    text = loaded.processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    made: Inputs = loaded.processor(text=[text], audio=[samples])
    like = loaded.model.lm_head.weight  # never in FP8
    return {
        name: value.to(like.device, like.dtype if value.is_floating_point() else None)
        for name, value in made.items()
    }


@torch.inference_mode()
def greedy_answer(loaded: Checkpoint, inputs: Inputs, num_tokens: int) -> tuple[int, ...]:
    """Return at most `num_tokens` token ids, up to and with that of the end."""
    generated = loaded.model.generate(
        **inputs,
        use_cache=True,  # published checkpoints set it to False
        do_sample=False,
        repetition_penalty=1.0,
        max_new_tokens=num_tokens,
    )
    return tuple(generated[0, inputs["input_ids"].shape[1] :].tolist())


@torch.inference_mode()
def log_probabilities(loaded: Checkpoint, inputs: Inputs, answer: Sequence[int]) -> torch.Tensor:
    """Return the predictions for each token of `answer`, on the CPU.

    Natural logarithms, float32 `(tokens, vocabulary)`.
    """
    ids = inputs["input_ids"]
    given = torch.tensor([answer[:-1]], dtype=ids.dtype, device=ids.device)
    extended = {**inputs, "input_ids": torch.cat([ids, given], dim=1)}
    extended["attention_mask"] = torch.ones_like(extended["input_ids"])
    predicted = loaded.model(**extended, use_cache=False, logits_to_keep=len(answer))
    logits: torch.Tensor = predicted.logits[0]
    return logits.float().log_softmax(-1).cpu()


def compare(
    reference: torch.Tensor,
    found: torch.Tensor,
    reference_ids: tuple[int, ...],
    ids: tuple[int, ...],
) -> AnswerDivergence:
    """Return the comparison of two models' predictions and answers.

    The predictions are log-probabilities, `(tokens, vocabulary)` each; the divergence is
    `sum(p * (log p - log q))`, with p the reference's.
    """
    wide = reference.double()
    kl = (wide.exp() * (wide - found.double())).sum(-1)
    is_same_top = reference.argmax(-1) == found.argmax(-1)
    return AnswerDivergence(tuple(kl.tolist()), tuple(is_same_top.tolist()), reference_ids, ids)
