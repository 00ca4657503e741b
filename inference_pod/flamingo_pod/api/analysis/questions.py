"""Several questions about one clip: what each asks, and how all are answered together.

The prompts share everything up to the end of the clip, which the engine computes once.
"""

import contextlib
import difflib
from collections.abc import AsyncGenerator, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from flamingo_common.audio import length_classes
from flamingo_common.errors import BadRequest, DeadlineExceeded, FlamingoError
from flamingo_common.measured.comparisons import Counterpart
from flamingo_common.recipes.recipe import Recipe
from flamingo_common.wire.analysis import AnalyzeRequest, Parser, Question
from flamingo_common.wire.requests import JsonSchema, ResponseFormat
from flamingo_common.wire.structured_outputs import GuidedOptions
from flamingo_pod.api.generation import generation, output_format
from flamingo_pod.api.generation.generated_choice import ChoiceDelta
from flamingo_pod.api.generation.generation import Generation
from flamingo_pod.api.request.clip_intake import PreparedClip
from flamingo_pod.engine.costs.request_stats import RequestStats
from flamingo_pod.pod import Pod
from flamingo_pod.served_model import ServedModel
from flamingo_pod.text import caption_styles
from flamingo_pod.text.prompt import Turn

FORMATS = ("response_format", *GuidedOptions.model_fields)
NOT_OPTIONS = frozenset({"name", "prompt", "style", "recipe", "decisions", "measured", "parser"})
MAX_LISTED_RECIPES = 16


@dataclass(frozen=True, slots=True)
class Asked:
    """One question, with all that its answer depends on."""

    place: str
    """Its path in the request."""
    name: str
    options: AnalyzeRequest
    recipe: Recipe | None = None
    measured: Mapping[str, Counterpart] = field(default_factory=dict)
    """The fields of the answer that can be measured, and as what."""
    parser: Parser | None = None
    """What the answer is read as."""

    @property
    def is_json(self) -> bool:
        """Whether the answer is constrained to JSON."""
        spec = output_format.grammar_spec(self.options, None)
        return spec is not None and spec.kind in {"json_schema", "json_object"}

    @property
    def is_constrained(self) -> bool:
        """Whether the answer has a format, which one that is cut does not have."""
        return output_format.grammar_spec(self.options, None) is not None


Outcome = ChoiceDelta | FlamingoError


@dataclass(frozen=True, slots=True)
class AskedGeneration:
    """A question, and its generation."""

    asked: Asked
    result: Generation


def resolve(request: AnalyzeRequest, recipes: Mapping[str, Recipe]) -> list[Asked]:
    """Return what each question of a request asks that is answered with text.

    Raises:
        BadRequest: a recipe is unknown, or two fields set the format of an answer.
    """
    found = []
    for number, question in enumerate(request.questions or ()):
        if question.decisions is not None:
            continue
        asked = _resolve(question, f"questions[{number}]", request, recipes)
        with naming(asked):
            output_format.requested_call(asked.options)
        found.append(asked)
    return found


def _resolve(
    question: Question, place: str, request: AnalyzeRequest, recipes: Mapping[str, Recipe]
) -> Asked:
    recipe = _recipe(question, place, recipes)
    changes: dict[str, Any] = {
        name: value
        for name in question.model_fields_set - NOT_OPTIONS
        if (value := getattr(question, name)) is not None
    }
    own_formats = [name for name in FORMATS if name in changes]
    if recipe is not None and recipe.schema_ is not None:
        if own_formats:
            raise BadRequest(
                f"the recipe {recipe.name!r} has a schema of its own; remove {own_formats[0]}",
                param=f"{place}.{own_formats[0]}",
            )
        schema = JsonSchema.model_construct(name=recipe.name, schema_=recipe.schema_)
        changes["response_format"] = ResponseFormat(type="json_schema", json_schema=schema)
        own_formats = ["response_format"]
    unset = dict.fromkeys(FORMATS) if own_formats else {}
    prompt = question.prompt or (recipe and recipe.prompt)
    changes["prompt"] = prompt or caption_styles.PROMPTS[question.style or "detailed"]
    options = request.model_copy(update={**unset, **changes, "questions": None, "audio": None})
    measured = question.measured or (recipe and recipe.measured) or {}
    parser = question.parser or (recipe.parser if recipe else None)
    return Asked(place, question.name, options, recipe, measured, parser)


def _recipe(question: Question, place: str, recipes: Mapping[str, Recipe]) -> Recipe | None:
    if question.recipe is None:
        return None
    if found := recipes.get(question.recipe):
        return found
    close = difflib.get_close_matches(question.recipe, recipes, 1)
    advice = f"did you mean {close[0]!r}?" if close else f"there are {_listed(recipes)}"
    raise BadRequest(
        f"the recipe {question.recipe!r} does not exist; {advice}", param=f"{place}.recipe"
    )


def _listed(names: Collection[str]) -> str:
    first = sorted(names)[:MAX_LISTED_RECIPES]
    num_more = len(names) - len(first)
    return ", ".join(first) + (f" and {num_more} more" if num_more else "")


@contextlib.contextmanager
def naming(asked: Asked) -> Iterator[None]:
    """Name the question in an error that it causes during the block."""
    try:
        yield
    except BadRequest as error:
        field = "recipe" if asked.recipe and error.param == "prompt" else error.param
        error.param = f"{asked.place}.{field}" if field else asked.place
        error.message = f"question {asked.name!r}: {error.message}"
        raise


async def prepare(
    served: ServedModel, questions: Sequence[Asked], clip: PreparedClip, stats: RequestStats
) -> list[AskedGeneration]:
    """Return the generations, validated and tokenized, but not started.

    Raises:
        BadRequest: as `generation.prepare`, for any of them; it names the question.
        Unavailable: the format of an answer could not be compiled now.
    """
    prepared = []
    for asked in questions:
        assert asked.options.prompt is not None
        turn = Turn("user", asked.options.prompt, has_audio=True, field="prompt")
        with naming(asked):
            result = await generation.prepare(served, [turn], clip, asked.options, stats)
        prepared.append(
            AskedGeneration(asked, _with_logprobs(asked, _limited(served, asked, result)))
        )
    requests = [each.result.request for each in prepared]
    num_own = sum(len(each.token_ids) - clip.num_tokens for each in requests)
    stats.num_prompt_tokens = stats.num_prompt_tokens_left = clip.num_tokens + num_own
    stats.num_output_tokens_left = sum(each.params.max_tokens for each in requests)
    return prepared


def _limited(served: ServedModel, asked: Asked, result: Generation) -> Generation:
    """Return the generation with its recipe's limit of tokens, as far as the context has room."""
    limit = asked.recipe.max_tokens if asked.recipe else None
    if limit is None or asked.options.max_tokens is not None:
        return result
    room = served.checkpoint.limits.context_tokens - len(result.request.token_ids)
    params = replace(result.request.params, max_tokens=min(limit, room))
    return replace(result, request=replace(result.request, params=params))


def _with_logprobs(asked: Asked, result: Generation) -> Generation:
    """Return the generation with the log-probabilities of its tokens, if confidence is asked."""
    if not (asked.options.confidence and asked.is_constrained):
        return result
    params = replace(result.request.params, num_logprobs=0)
    return replace(result, request=replace(result.request, params=params))


async def answer(
    pod: Pod, served: ServedModel, questions: Sequence[AskedGeneration], *, is_all: bool
) -> AsyncGenerator[tuple[AskedGeneration, Outcome], None]:
    """Answer all questions together; yield the text of each as it comes, or its error.

    `is_all`: no other question of the request has an answer.

    Closing the generator stops the engine. An error ends its question alone.

    Raises:
        DeadlineExceeded: the deadline passed.
        FlamingoError: of the first question, if no question of the request has an answer.
    """
    stats = questions[0].result.request.stats
    timer = generation.TokenTimer(pod.metrics, length_classes.clip_length(stats.audio_s))
    submitted = [one for each in questions for one in each.result.request.engine_requests()]
    errors: list[FlamingoError] = []
    with (
        served.engine.load.in_flight(stats),
        served.engine.generate_many(submitted) as outputs,
    ):
        async for number, output in outputs.outcomes():
            question = questions[number]
            if isinstance(output, FlamingoError):
                errors.append(output)
                is_last = is_all and len(errors) == len(questions)
                if isinstance(output, DeadlineExceeded) or is_last:
                    raise errors[0]
                yield question, output
                continue
            timer.observe(number)
            with pod.metrics.detokenizing():
                delta = question.result.choices[0].add(output)
            if delta is not None:
                if delta.finish_reason is not None:
                    outputs.cancel(number)  # the engine does not know about stop strings
                yield question, delta
