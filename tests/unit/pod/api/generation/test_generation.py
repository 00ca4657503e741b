"""What the choices of a generation yield, and what it is counted as."""

import pytest

from flamingo_pod.api.generation import generation
from flamingo_pod.api.generation.generated_choice import GeneratedChoice
from flamingo_pod.api.generation.generation import Generation, GenerationRequest
from flamingo_pod.engine.costs.request_stats import RequestStats
from flamingo_pod.engine.scheduling.sequence import SamplingParams, TokenOutput
from flamingo_pod.model.builtin import tokenizer
from flamingo_pod.text.byte_level import text_bytes
from flamingo_pod.text.detokenize import Detokenizer

TOKENIZER = tokenizer.build()


def request(num_choices=1, seed=None):
    return GenerationRequest([1, 2, 3], None, SamplingParams(10, seed=seed), (), num_choices)


def choice(text, *stops, ends="length", **known):
    """Return a choice to which the tokens of `text` were added, and its deltas."""
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    generated = GeneratedChoice(0, Detokenizer(TOKENIZER, stops), text_bytes(TOKENIZER))
    outputs = [TokenOutput(token_id, logprob=-1.0, **known) for token_id in ids]
    outputs[-1] = TokenOutput(ids[-1], ends, -1.0, **known)
    deltas = []
    for output in outputs:
        deltas.append(generated.add(output))
        if deltas[-1] and deltas[-1].finish_reason:
            break
    return generated, [delta for delta in deltas if delta]


def test_a_delta_has_the_tokens_of_its_text():
    _, deltas = choice("a 🎵 b")
    song = next(delta for delta in deltas if "🎵" in delta.text)
    assert len(song.outputs) == 4
    assert sum(len(delta.outputs) for delta in deltas) == len(TOKENIZER("a 🎵 b")["input_ids"])


def test_a_stop_string_is_left_out_of_the_text_but_not_of_the_tokens():
    generated, deltas = choice("one two three four", "two th")
    assert "".join(delta.text for delta in deltas) == "one "
    assert deltas[-1].finish_reason == generated.finish_reason == "stop"
    assert sum(len(delta.outputs) for delta in deltas) == generated.num_tokens
    assert generated.num_tokens < len(TOKENIZER("one two three four")["input_ids"])


def test_the_last_delta_has_the_finish_reason():
    generated, deltas = choice("one two", "never")
    assert [delta.finish_reason for delta in deltas[:-1]] == [None] * (len(deltas) - 1)
    assert deltas[-1].finish_reason == generated.finish_reason == "length"


def test_each_choice_has_its_own_seed():
    seeds = [params.seed for _, params in request(num_choices=3, seed=7).engine_requests()]
    assert seeds == [7, 8, 9]
    assert [params.seed for _, params in request(num_choices=2).engine_requests()] == [None, None]


def test_usage_counts_the_prompt_once_and_all_generated_tokens():
    choices = [choice("one two", num_cached_tokens=2)[0], choice("three", num_cached_tokens=3)[0]]
    usage = Generation(request(num_choices=2), choices).usage
    assert usage.prompt_tokens == 3
    assert usage.completion_tokens == sum(choice.num_tokens for choice in choices)
    assert usage.total_tokens == 3 + usage.completion_tokens
    assert usage.prompt_tokens_details.cached_tokens == 2


def test_the_expected_work_is_the_prompt_once_and_every_choice():
    stats = RequestStats()
    generation._set_expected_work(stats, [1, 2, 3], None, 4, 10)
    assert (stats.num_choices, stats.num_prompt_tokens_left, stats.num_output_tokens_left) == (
        4,
        3,
        40,
    )


THOUGHT = "<think>\nHow? It is\n</think>\n\n"


@pytest.mark.parametrize("stops", [(), ("never",), ("\n\n\n\n\n",)])
def test_the_tokens_before_the_answer_are_counted_as_reasoning(stops):
    generated, deltas = choice(THOUGHT + "C major", *stops)
    assert generated.num_reasoning_tokens == len(TOKENIZER(THOUGHT)["input_ids"])
    assert "".join(delta.reasoning for delta in deltas) == "How? It is"
    outputs = [output for delta in deltas for output in delta.outputs]
    assert TOKENIZER.decode([output.token_id for output in outputs]) == "C major"


def test_all_tokens_are_reasoning_where_there_is_no_answer():
    generated, _ = choice("<think>How")
    assert generated.num_reasoning_tokens == generated.num_tokens
    generated, _ = choice("<thin")
    assert generated.num_reasoning_tokens == 0


def test_an_answer_whose_prompt_opens_the_reasoning_begins_with_it():
    generated = GeneratedChoice.create(
        0, Detokenizer(TOKENIZER), text_bytes(TOKENIZER), is_reasoning=True
    )
    deltas = [generated.add(TokenOutput(each)) for each in TOKENIZER("How?</think>C")["input_ids"]]
    deltas = [delta for delta in deltas if delta]
    assert "".join(delta.reasoning for delta in deltas) == "How?"
    assert "".join(delta.text for delta in deltas) == "C"
