"""A fake pod that answers questions, as recipes have them."""

import json

from fakes import pods
from fakes.holding_pod import HoldingPod

from flamingo_common.recipes import folder
from flamingo_common.wire import answers
from flamingo_common.wire.answers import Answer, AnswerError, RecipeCard, TimedLine, TimedSection

USAGE = answers.AnswerUsage(prompt_tokens=1, completion_tokens=1)
CARD = {
    "genre": ["waltz"],
    "mood": ["calm"],
    "instruments": [],
    "bpm": 90,
    "key": "C major",
    "language": None,
    "vocals": "none",
}
ACE_STEP = {
    "caption": "A calm waltz.",
    "bpm": 90,
    "keyscale": "C major",
    "timesignature": "3",
    "language": "en",
    "lyrics": "[Verse 1]\nGrey is the harbour",
}
SECTIONS = [
    TimedSection(name="Verse 1", lines=[TimedLine(text="Grey is the harbour", start_s=0.1)]),
    TimedSection(name="Chorus", lines=[TimedLine(text="Slow", start_s=0.2)]),
]
SHEET = "[Verse 1]\n[00:00.10] Grey is the harbour\n[Chorus]\n[00:00.20] Slow"
RECIPES = tuple(
    RecipeCard(
        name=recipe.name,
        description=recipe.description,
        prompt=recipe.prompt,
        json_schema=recipe.schema_,
        parser=recipe.parser,
        max_tokens=recipe.max_tokens,
    )
    for recipe in folder.load(None).values()
)


def answer(question):
    """Return the answer to one question of a request; `fail` in its prompt is an error."""
    fields = {"content": "calm", "finish_reason": "stop", "usage": USAGE}
    match question.get("recipe"):
        case "card" | "ace-step" as recipe:
            value = CARD if recipe == "card" else ACE_STEP
            fields |= {"recipe": recipe, "content": json.dumps(value), "parsed": value}
        case "lyrics" as recipe:
            fields |= {"recipe": recipe, "content": SHEET, "sections": SECTIONS, "faults": ["late"]}
    if "fail" in question.get("prompt", ""):
        error = AnswerError(code="answer_incomplete", message="the answer is not complete")
        fields |= {"content": "ca", "error": error}
    if "cut" in question.get("prompt", ""):
        fields["finish_reason"] = "length"
    return Answer(**fields)


def asked(body):
    """Return the questions of a request, whatever is behind them."""
    text = body.decode(errors="replace")
    return json.JSONDecoder().raw_decode(
        text[text.index('"questions": ') + len('"questions": ') :]
    )[0]


class AnsweringPod(pods.FakePod):
    """Answers questions; `recipes` are those of the package."""

    def __init__(self, **fields):
        super().__init__(recipes=RECIPES, **fields)

    def _body(self, path):
        if path != "/v1/audio/analyze" or b'"questions"' not in self.received[-1].body:
            return super()._body(path)
        found = {one["name"]: answer(one) for one in asked(self.received[-1].body)}
        common = {"id": "x", "created": 0, "model": self.model, "usage": pods.USAGE}
        return answers.Analysis(answers=found, **common)

    async def _stream(self, request):
        if request.path != "/v1/audio/analyze":
            return await super()._stream(request)
        found = {one["name"]: answer(one) for one in asked(self.received[-1].body)}
        return await self._send_events(request, events(found, self.model))


def events(found, model):
    """Return the events of a stream of answers: first a part of each, and the whole ones."""
    common = {"id": "x", "created": 0, "model": model}
    parts = [
        answers.AnalysisChunk(delta=one.content[at:end], name=name, **common)
        for at, end in ((0, 2), (2, None))
        for name, one in found.items()
    ]
    whole = [
        answers.AnalysisChunk(
            delta="", finish_reason=one.finish_reason, name=name, answer=one, **common
        )
        for name, one in found.items()
    ]
    embedding = answers.AnalysisChunk(
        delta="", usage=pods.USAGE, embedding=pods.EMBEDDING, **common
    )
    return [*parts, *whole, embedding]


class AnsweringHoldingPod(AnsweringPod, HoldingPod):
    """Answers some requests, and holds the others until it may answer."""
