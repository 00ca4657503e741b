"""Answer questions with the probabilities of their options, as `/v1/decisions` does.

How it works: each question, in each order of its options, is a prompt behind the conversation that
all share, and each further branch of its options' tree (`text/option_tree.py`) is one that is
longer by what precedes the branch. The engine computes a prompt's last row, and returns the
log-probabilities of the tokens that may come next. The clip is prefilled once; so is the text that
all prompts begin with. The root of a tree comes before its other branches, which copy its KV.

A few prompts at a time are in the engine, so that a request with many questions neither takes all
places of a batch nor much memory.
"""

import asyncio
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np

from flamingo_common.errors import FlamingoError
from flamingo_common.wire import decisions
from flamingo_common.wire.decisions import DecisionInputDetails, DecisionOptions, Question
from flamingo_pod.api.decisions import decision_answers, decision_prompts
from flamingo_pod.api.decisions.decision_answers import Scored
from flamingo_pod.api.decisions.decision_prompts import AskedQuestion, Prompts
from flamingo_pod.api.request.clip_intake import PreparedClip, audio_usage
from flamingo_pod.engine.core import Prompt
from flamingo_pod.engine.costs.request_stats import RequestStats
from flamingo_pod.engine.scheduling.sequence import SamplingParams
from flamingo_pod.pod import Pod
from flamingo_pod.served_model import ServedModel
from flamingo_pod.text import option_tree
from flamingo_pod.text.prompt import Turn

PROMPTS_AT_ONCE = 32
GROUPS_AT_ONCE = 2
"""So many groups of prompts are in the engine: one fills the batch while the other ends."""
MANY_SHARED_TOKENS = 64
"""Where more text follows the clip, one prompt computes it before the others copy it."""


@dataclass(frozen=True, slots=True)
class DecisionInput:
    """What is asked about: turns, the last of which is a user's, and their clip."""

    turns: Sequence[Turn]
    clip: PreparedClip | None
    stats: RequestStats
    """Of the request, of which this may be a part."""


@dataclass(frozen=True, slots=True)
class Decided:
    """The answers in the order of the questions, and what they used."""

    answers: Sequence[decisions.Answer]
    usage: decisions.DecisionUsage
    num_tokens: Sequence[int]
    """Of each question in all its orders, without what all of them share."""


@dataclass(frozen=True, slots=True)
class PreparedDecisions:
    """Questions that are validated and tokenized, but not started."""

    given: DecisionInput
    questions: Mapping[str, Question]
    prompts: Prompts
    temperatures: Sequence[float]
    """Of the questions."""


async def decide(
    pod: Pod,
    served: ServedModel,
    given: DecisionInput,
    questions: Mapping[str, Question],
    options: DecisionOptions,
) -> Decided:
    """Return the answers to questions, which are given by their places in the request.

    Raises:
        BadRequest: a text contains a control token, two options read the same, or too much is
            asked.
        ContextTooLong: a question does not fit into the model's context.
        DeadlineExceeded: the request's deadline passed.
        InternalError: the engine failed.
    """
    all_options = dict.fromkeys(questions, options)
    decided = await answer(served, await prepare(served, given, questions, all_options))
    _count(pod, given, decided.usage)
    return decided


async def prepare(
    served: ServedModel,
    given: DecisionInput,
    questions: Mapping[str, Question],
    options: Mapping[str, DecisionOptions],
) -> PreparedDecisions:
    """Return the questions with their prompts; they and their options are given by their places.

    Raises:
        BadRequest: a text contains a control token, two options read the same, or too much is
            asked.
        ContextTooLong: a question does not fit into the model's context.
    """
    clip = given.clip
    prompts = await asyncio.to_thread(
        decision_prompts.create,
        *(served.checkpoint, given.turns, clip.num_tokens if clip else 0),
        *(questions, {place: one.orders for place, one in options.items()}),
    )
    temperatures = [options[place].temperature for place in questions]
    return PreparedDecisions(given, questions, prompts, temperatures)


async def answer(served: ServedModel, prepared: PreparedDecisions) -> Decided:
    """Return the answers to questions. Nothing is counted in the metrics.

    Raises:
        DeadlineExceeded: the request's deadline passed.
        InternalError: the engine failed.
    """
    given, prompts = prepared.given, prepared.prompts
    computation = _Computation(served, given, prompts)
    _set_expected_work(given, prompts)
    with served.engine.load.in_flight(given.stats):
        await computation.compute()
    asked = zip(prepared.questions.values(), computation.scored(), strict=True)
    answers = [
        decision_answers.answer(question, scored, temperature)
        for (question, scored), temperature in zip(asked, prepared.temperatures, strict=True)
    ]
    return Decided(answers, computation.usage(), prompts.num_question_tokens)


def _set_expected_work(given: DecisionInput, prompts: Prompts) -> None:
    stats, clip = given.stats, given.clip
    stats.num_windows_left = clip.num_windows if clip else 0
    stats.num_prompt_tokens += prompts.num_tokens
    stats.num_prompt_tokens_left = len(prompts.head)
    stats.num_later_prompt_tokens_left = prompts.num_tokens - len(prompts.head)
    stats.num_output_tokens_left += prompts.num_branches


def _count(pod: Pod, given: DecisionInput, usage: decisions.DecisionUsage) -> None:
    metrics, clip = pod.metrics, given.clip
    num_audio = clip.num_tokens if clip else 0
    num_cached = usage.input_tokens_details.cached_tokens
    metrics.tokens.labels("audio").inc(num_audio)
    metrics.tokens.labels("text").inc(usage.input_tokens - num_audio)
    metrics.tokens.labels("cached").inc(num_cached)
    metrics.prompt_tokens.observe(usage.input_tokens)
    given.stats.num_cached_tokens += num_cached


T = TypeVar("T")


class _Job(NamedTuple):
    """A branch to compute: of the question asked as number `asked`, the branch number `branch`."""

    asked: int
    branch: int


@dataclass(slots=True)
class _Computation:
    """The computation of one request's prompts."""

    served: ServedModel
    given: DecisionInput
    prompts: Prompts
    _logprobs: dict[_Job, Sequence[float]] = field(default_factory=dict)
    """Of the tokens behind each branch."""
    _num_cached: dict[int, int] = field(default_factory=dict)
    """Tokens of each root's prompt that were cached."""

    async def compute(self) -> None:
        """Compute all branches.

        Raises:
            FlamingoError: the engine's, for any of them.
        """
        numbers = range(len(self.prompts.asked))
        num_alone = 1 if self._num_shared > MANY_SHARED_TOKENS else 0
        await self._compute_trees(numbers[:num_alone])
        groups = iter(_in_groups(numbers[num_alone:], PROMPTS_AT_ONCE))
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(GROUPS_AT_ONCE):
                    tasks.create_task(self._compute_groups(groups))
        except* FlamingoError as errors:
            error: BaseException = errors
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
        else:
            return
        raise error

    def scored(self) -> Iterator[Scored]:
        """Yield what the model says about each question."""
        by_question = itertools.groupby(
            enumerate(self.prompts.asked), key=lambda each: each[1].number
        )
        for _, orders in by_question:
            yield decision_answers.average([self._scored(*each) for each in orders])

    def usage(self) -> decisions.DecisionUsage:
        """Return the tokens that all prompts together had."""
        num_tokens, num_head = self.prompts.num_tokens, len(self.prompts.head)
        # What one prompt takes from another's was computed for this request.
        num_cached = min(self._num_cached.values())
        if num_cached >= num_head:
            behind = sum(each - num_head for each in self._num_cached.values())
            num_cached = num_head + behind
        clip = self.given.clip
        return decisions.DecisionUsage(
            input_tokens=num_tokens,
            input_tokens_details=DecisionInputDetails(
                cached_tokens=num_cached, cache_write_tokens=num_tokens - num_cached
            ),
            total_tokens=num_tokens,
            **audio_usage([clip.length] if clip else []),
        )

    @property
    def _num_shared(self) -> int:
        """Tokens of the head behind the clip."""
        is_slot = self.prompts.head == self.served.checkpoint.model.config.audio_token_id
        last = np.flatnonzero(is_slot)[-1:]
        return len(self.prompts.head) - (int(last[0]) + 1 if len(last) else 0)

    async def _compute_groups(self, groups: Iterator[Sequence[int]]) -> None:
        for group in groups:
            await self._compute_trees(group)

    async def _compute_trees(self, numbers: Sequence[int]) -> None:
        await self._compute_jobs([_Job(number, 0) for number in numbers])
        further = (
            _Job(number, branch)
            for number in numbers
            for branch in range(1, len(self.prompts.asked[number].tree.branches))
        )
        for jobs in _in_groups(further, PROMPTS_AT_ONCE):
            await self._compute_jobs(jobs)

    async def _compute_jobs(self, jobs: Sequence[_Job]) -> None:
        if not jobs:
            return
        requests = [self._request(job) for job in jobs]
        with self.served.engine.generate_many(requests) as outputs:
            async for number, output in outputs:
                job = jobs[number]
                self._logprobs[job] = output.token_logprobs
                if job.branch == 0:
                    self._num_cached[job.asked] = output.num_cached_tokens
                    self.given.stats.num_later_prompt_tokens_left -= len(
                        self.prompts.asked[job.asked].tail
                    )

    def _request(self, job: _Job) -> tuple[Prompt, SamplingParams]:
        asked, clip = self.prompts.asked[job.asked], self.given.clip
        branch, caller = asked.tree.branches[job.branch], self.served.caller
        path = np.array(branch.path, np.int32)
        prompt = Prompt(
            np.concatenate((self.prompts.head, asked.tail, path)),
            clip.audio if clip else None,
            caller.salt,
            deadline_s=caller.deadline_s,
            stats=self.given.stats,
        )
        return prompt, SamplingParams(max_tokens=1, logprob_token_ids=branch.token_ids)

    def _scored(self, number: int, asked: AskedQuestion) -> Scored:
        logprobs = [self._logprobs[_Job(number, at)] for at in range(len(asked.tree.branches))]
        return Scored(asked.tree.probabilities(logprobs), option_tree.mass(logprobs[0]))


def _in_groups(items: Iterable[T], size: int) -> Iterator[list[T]]:
    remaining = iter(items)
    while group := list(itertools.islice(remaining, size)):
        yield group
