"""A fake pod that answers decisions: of n options, each later one is more likely."""

import asyncio
import contextvars
import json

from fakes import pods

from flamingo_common.wire import decisions


class DecidingPod(pods.FakePod):
    """Answers `/v1/decisions`; what was asked last is in `asked`."""

    _sent = contextvars.ContextVar("sent")
    """The body of the request that is answered, of several at once."""

    async def _answer(self, request):
        self._sent.set(await request.read())
        return await super()._answer(request)

    def _body(self, path):
        if path != "/v1/decisions":
            return super()._body(path)
        sent = self._sent.get().decode(errors="replace")
        asked, _ = json.JSONDecoder().raw_decode(sent[sent.index('{"questions"') :])
        self.asked = asked
        return decision(self.model, asked["questions"])


class LastFirstPod(DecidingPod):
    """Answers when so many requests have arrived, the last one first."""

    def __init__(self, num_requests):
        super().__init__()
        self.turns = [asyncio.Event() for _ in range(num_requests)]
        self.num_arrived = 0

    async def _answer(self, request):
        place, self.num_arrived = self.num_arrived, self.num_arrived + 1
        if self.num_arrived == len(self.turns):
            self.turns[-1].set()
        await self.turns[place].wait()
        try:
            return await super()._answer(request)
        finally:
            if place:
                self.turns[place - 1].set()


def decision(model, questions):
    answers = [answer(number, each) for number, each in enumerate(questions)]
    usage = decisions.DecisionUsage(
        input_tokens=9,
        input_tokens_details={"cached_tokens": 0, "cache_write_tokens": 9},
        total_tokens=9,
        audio_seconds=1.5,
    )
    return decisions.Decision(answers=answers, model=model, usage=usage)


def answer(number, question):
    name = question.get("name")
    if question["type"] == "predicate":
        return decisions.PredicateAnswer(name=name, probability=0.1 * (number % 10))
    values = [each["value"] for each in question["choices"]]
    total = sum(range(len(values) + 1))
    probabilities = [{"value": one, "probability": n / total} for n, one in enumerate(values, 1)]
    return decisions.ChoiceAnswer(
        name=name, choice=values[-1], confidence=0.5, probabilities=probabilities
    )
