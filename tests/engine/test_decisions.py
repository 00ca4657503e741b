"""Decisions: probabilities of options from the engine, against transformers' logits."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from engine.options import engine_options

from flamingo_common.audio import windows
from flamingo_common.wire.decisions import ChoiceQuestion, PredicateQuestion, ScoreQuestion
from flamingo_common.wire.priority import Priority
from flamingo_pod.api.decisions import decision_answers, decision_prompts
from flamingo_pod.api.decisions.decision_answers import Scored
from flamingo_pod.engine.core import EngineCore, Prompt
from flamingo_pod.engine.costs.request_stats import RequestStats
from flamingo_pod.engine.encoding.audio import ClipAudio
from flamingo_pod.engine.scheduling.sequence import SamplingParams
from flamingo_pod.text import option_tree, question_text
from flamingo_pod.text.prompt import Turn

CHOICES = ["rock", "rock and roll", "drum and bass", "drum solo", "electronic", "jazz"]
QUESTIONS = {
    "questions[0]": PredicateQuestion(type="predicate", instructions="There is a voice."),
    "questions[1]": ChoiceQuestion(
        type="choice",
        instructions="Which genre is it?",
        choices=[{"value": value, "description": f"like {value}"} for value in CHOICES],
    ),
    "questions[2]": ScoreQuestion(
        type="score",
        instructions="How loud is it?",
        levels=[{"label": label} for label in ("very quiet", "medium", "loud", "very loud")],
    ),
    "questions[3]": ChoiceQuestion(
        type="choice",
        instructions="Is it live?",
        choices=[{"value": True}, {"value": False}, {"value": "true"}],
    ),
}
CLOSE = {"rel": 2e-4, "abs": 1e-6}
"""Products of float32 in another order, through all layers."""


def sound(seconds):
    num_samples = int(seconds * windows.SAMPLE_RATE_HZ)
    return np.random.default_rng(3).standard_normal(num_samples).astype(np.float32) * 0.1


class Asked:
    """All questions about one clip, or about text."""

    def __init__(self, checkpoint, *, samples=None, num_orders=1, text=""):
        self.checkpoint, self.samples = checkpoint, samples
        self.audio = None if samples is None else ClipAudio.from_samples(samples)
        self.turns = [Turn("user", text, has_audio=samples is not None)]
        num_audio = self.audio.num_tokens if self.audio else 0
        self.prompts = decision_prompts.create(
            *(checkpoint, self.turns, num_audio, QUESTIONS, dict.fromkeys(QUESTIONS, num_orders))
        )
        self.num_orders = num_orders

    def requests(self):
        for number, asked in enumerate(self.prompts.asked):
            for at, branch in enumerate(asked.tree.branches):
                path = np.array(branch.path, np.int32)
                ids = np.concatenate((self.prompts.head, asked.tail, path))
                params = SamplingParams(max_tokens=1, logprob_token_ids=branch.token_ids)
                yield (number, at), Prompt(ids, self.audio), params

    def found(self, core, *, is_alone=False):
        """Return the engine's probabilities of each question's options."""
        outputs = {key: [] for key, _, _ in self.requests()}
        for key, prompt, params in self.requests():
            core.submit(prompt, params, 0, outputs[key].append)
            while is_alone and core.has_work():
                core.step()
        while core.has_work():
            core.step()
        logprobs = {key: output.token_logprobs for key, (output,) in outputs.items()}
        return self.averages(logprobs)

    def averages(self, logprobs):
        orders = {}
        for number, asked in enumerate(self.prompts.asked):
            own = [logprobs[number, at] for at in range(len(asked.tree.branches))]
            scored = Scored(asked.tree.probabilities(own), option_tree.mass(own[0]))
            orders.setdefault(asked.number, []).append(scored)
        return [decision_answers.average(each) for each in orders.values()]

    def expected(self):
        """Return them by transformers' logits for each option's tokens, in its own words."""
        averages = []
        for question in QUESTIONS.values():
            asked = question_text.question_text(question, self.num_orders)
            averages.append(
                decision_answers.average(
                    [self.of_order(text, asked.options) for text in asked.texts]
                )
            )
        return averages

    def of_order(self, text, options):
        tokenizer, end = self.checkpoint.processor.tokenizer, 2
        answers = [(*tokenizer(each)["input_ids"], end) for each in options]
        tables = [self.log_probabilities(text, answer) for answer in answers]
        allowed = {
            answer[:at]: {other[at] for other in answers if other[:at] == answer[:at]}
            for answer in answers
            for at in range(len(answer))
        }
        probabilities = [
            math.prod(
                table[at, token].exp() / table[at, sorted(allowed[answer[:at]])].exp().sum()
                for at, token in enumerate(answer)
            ).item()
            for answer, table in zip(answers, tables, strict=True)
        ]
        mass = tables[0][0, sorted(allowed[()])].exp().sum().item()
        return Scored(probabilities, mass)

    def log_probabilities(self, question, answer):
        """Return the model's predictions for each token of an answer to a question."""
        processor, turn = self.checkpoint.processor, self.turns[0]
        content = [
            {"type": "text", "text": f"{turn.text}\n\n{question}" if turn.text else question}
        ]
        if self.samples is not None:
            content.insert(0, {"type": "audio"})
        text = processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        audio = None if self.samples is None else [self.samples]
        inputs = dict(processor(text=[text], audio=audio))
        given = torch.tensor([answer[:-1]])
        inputs["input_ids"] = torch.cat([inputs["input_ids"], given], dim=1)
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        with torch.inference_mode():
            logits = self.checkpoint.model(**inputs, use_cache=False).logits[0, -len(answer) :]
        return logits.double().log_softmax(-1)


def new_core(checkpoint, **changes):
    return EngineCore(checkpoint, engine_options(**changes))


def assert_close(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.probabilities == pytest.approx(list(other.probabilities), **CLOSE)
        assert sum(one.probabilities) == pytest.approx(1)
        assert one.mass == pytest.approx(other.mass, **CLOSE)


@pytest.mark.parametrize("num_orders", [1, 3])
@pytest.mark.parametrize(
    "about",
    [{"samples": sound(4)}, {"samples": sound(33), "text": "A demo."}, {"text": "A waltz."}],
    ids=["a clip", "a longer clip with text", "text"],
)
def test_probabilities_are_those_of_transformers_logits(tiny, about, num_orders):
    asked = Asked(tiny, num_orders=num_orders, **about)
    assert_close(asked.found(new_core(tiny)), asked.expected())


def test_they_are_the_same_alone_batched_and_cached(tiny):
    asked, core = Asked(tiny, samples=sound(4), num_orders=2), new_core(tiny)
    batched = asked.found(core)
    assert core.profile.num_windows == 1
    assert_close(asked.found(core), batched)
    assert core.profile.num_windows == 1
    assert_close(asked.found(new_core(tiny), is_alone=True), batched)


def test_they_are_the_same_in_a_pool_with_room_for_one(tiny):
    asked = Asked(tiny, samples=sound(4))
    longest = max(len(prompt.token_ids) for _, prompt, _ in asked.requests()) + 1
    core = new_core(tiny, kv_cache_tokens=longest)
    assert_close(asked.found(core), asked.found(new_core(tiny)))


def test_those_of_low_priority_are_preempted_and_come_to_the_same(tiny):
    asked = Asked(tiny, text="A waltz.")
    expected = asked.found(new_core(tiny))
    core = new_core(tiny, kv_cache_tokens=512)
    core.scheduler.budget.max_tokens = 8  # so that their prompts take several steps
    low = RequestStats(priority=Priority.LOW)
    outputs = {key: [] for key, _, _ in asked.requests()}
    for key, prompt, params in asked.requests():
        core.submit(replace(prompt, stats=low), params, 0, outputs[key].append)
    core.step()
    live = Prompt(list(range(10, 460)))
    core.submit(live, SamplingParams(max_tokens=2), 0, lambda _: None)
    while core.has_work():
        core.step()
    assert core.scheduler.num_preemptions > 0
    logprobs = {key: output.token_logprobs for key, (output,) in outputs.items()}
    assert_close(asked.averages(logprobs), expected)


def test_short_decisions_do_not_change_what_later_texts_reserve(tiny):
    core = new_core(tiny)
    before = core.scheduler.growth.num_reserved(0)
    for _ in range(3):
        Asked(tiny, text="A waltz.").found(core)
    assert core.scheduler.growth.num_reserved(0) == before
