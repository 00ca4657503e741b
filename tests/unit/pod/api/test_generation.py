"""What the choices of an answer say, and what it is counted as."""

import json

import numpy as np

from flamingo_common.wire.requests import EmbeddingOptions
from flamingo_common.wire.responses import EmbeddingList, EmbeddingUsage
from flamingo_pod.api import embedding_format, generation
from flamingo_pod.api.generation import GeneratedChoice, Generation, GenerationRequest
from flamingo_pod.engine.request_stats import RequestStats
from flamingo_pod.engine.sequence import SamplingParams, TokenOutput
from flamingo_pod.model.builtin import tokenizer
from flamingo_pod.text.detokenize import Detokenizer

TOKENIZER = tokenizer.build()


def question(num_choices=1, seed=None):
    return GenerationRequest([1, 2, 3], None, SamplingParams(10, seed=seed), (), num_choices)


def choice(text, *stops, ends="length", **known):
    """Return a choice that is told `text`, and the pieces it made of it."""
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    said = GeneratedChoice(0, Detokenizer(TOKENIZER, stops))
    steps = [TokenOutput(token_id, logprob=-1.0, **known) for token_id in ids]
    steps[-1] = TokenOutput(ids[-1], ends, -1.0, **known)
    pieces = []
    for step in steps:
        pieces.append(said.take(step))
        if pieces[-1] and pieces[-1].finish_reason:
            break
    return said, [piece for piece in pieces if piece]


def test_a_token_is_told_with_the_text_that_it_completes():
    _, pieces = choice("a 🎵 b")
    song = next(piece for piece in pieces if "🎵" in piece.text)
    assert len(song.steps) == 4
    assert sum(len(piece.steps) for piece in pieces) == len(TOKENIZER("a 🎵 b")["input_ids"])


def test_the_tokens_of_a_stop_string_are_told_though_their_text_is_not():
    said, pieces = choice("one two three four", "two th")
    assert "".join(piece.text for piece in pieces) == "one "
    assert pieces[-1].finish_reason == said.finish_reason == "stop"
    assert sum(len(piece.steps) for piece in pieces) == said.num_tokens
    assert said.num_tokens < len(TOKENIZER("one two three four")["input_ids"])


def test_the_last_piece_says_why_it_is_the_last():
    said, pieces = choice("one two", "never")
    assert [piece.finish_reason for piece in pieces[:-1]] == [None] * (len(pieces) - 1)
    assert pieces[-1].finish_reason == said.finish_reason == "length"


def test_each_choice_has_a_seed_of_its_own():
    seeds = [params.seed for _, params in question(num_choices=3, seed=7).asks()]
    assert seeds == [7, 8, 9]
    assert [params.seed for _, params in question(num_choices=2).asks()] == [None, None]


def test_the_prompt_counts_once_and_all_that_was_said_counts():
    choices = [choice("one two", num_cached_tokens=2)[0], choice("three", num_cached_tokens=3)[0]]
    usage = Generation(question(num_choices=2), choices).usage
    assert usage.prompt_tokens == 3
    assert usage.completion_tokens == sum(choice.num_tokens for choice in choices)
    assert usage.total_tokens == 3 + usage.completion_tokens
    assert usage.prompt_tokens_details.cached_tokens == 2


def test_what_is_expected_is_the_prompt_once_and_every_choice():
    stats = RequestStats()
    generation._expect(stats, [1, 2, 3], None, 4, 10)
    assert (stats.num_choices, stats.num_prompt_tokens_left, stats.num_output_tokens_left) == (
        4,
        3,
        40,
    )


def test_an_embedding_s_numbers_are_put_where_its_outline_has_none():
    rows = np.random.default_rng(0).standard_normal((19, 3)).astype(np.float32)
    options = EmbeddingOptions()
    whole = EmbeddingList(
        id='"embedding":""',
        created=1,
        model="m",
        data=[embedding_format.outline(rows, options)],
        usage=EmbeddingUsage(prompt_tokens=1, total_tokens=1, audio_seconds=1.0, num_frames=19),
    )
    told = json.loads(embedding_format.encode(whole, rows))
    assert np.array_equal(np.array(told["data"][0]["embedding"], np.float32), rows)
    assert told["id"] == '"embedding":""'
