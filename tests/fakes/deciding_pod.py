"""A fake pod that answers decisions: of n options, each later one is more likely."""

import json

from fakes import pods

from flamingo_common.wire import decisions


class DecidingPod(pods.FakePod):
    """Answers `/v1/decisions`; what was asked is in `asked`."""

    def _body(self, path):
        if path != "/v1/decisions":
            return super()._body(path)
        sent = self.received[-1].body.decode(errors="replace")
        self.asked, _ = json.JSONDecoder().raw_decode(sent[sent.index('{"questions"') :])
        return decision(self.model, self.asked["questions"])


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
