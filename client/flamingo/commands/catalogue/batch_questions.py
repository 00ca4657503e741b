"""The questions of `flamingo batch --task analyze`: the forms of their answers, and their length.

Pure.
"""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from flamingo.batch.answer_forms import AnswerForm
from flamingo_common.errors import BadRequest
from flamingo_common.wire.answers import RecipeCard

DEFAULT_TOKENS = 200
"""Of a text whose limit is not known, for the estimate of a dry run."""
Question = Mapping[str, Any]


def forms(questions: Sequence[Question], cards: Sequence[RecipeCard]) -> list[AnswerForm]:
    """Return the form of each answer.

    Raises:
        BadRequest: the fleet does not have one of the recipes.
    """
    by_name = {card.name: card for card in cards}
    return [_form(question, by_name) for question in questions]


def _form(question: Question, cards: Mapping[str, RecipeCard]) -> AnswerForm:
    name, recipe = question["name"], question.get("recipe")
    if recipe is None:
        has_sections = question.get("parser") == "sections"
        return AnswerForm(name, None, _is_json(question), has_sections, _schema(question))
    if recipe not in cards:
        close = difflib.get_close_matches(recipe, cards, 1)
        known = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(sorted(cards))}"
        raise BadRequest(f"the recipe {recipe!r} does not exist in this fleet; {known}")
    schema, parser = cards[recipe].json_schema, question.get("parser") or cards[recipe].parser
    return AnswerForm(name, recipe, schema is not None, parser == "sections", schema)


def _is_json(question: Question) -> bool:
    format_ = question.get("response_format") or {}
    constraint = question.get("structured_outputs") or {}
    is_constrained = format_.get("type") in {"json_schema", "json_object"}
    names_json = any(constraint.get(name) is not None for name in ("json", "json_object"))
    return "decisions" in question or is_constrained or names_json


def _schema(question: Question) -> Mapping[str, Any] | None:
    format_ = question.get("response_format") or {}
    found = (format_.get("json_schema") or {}).get("schema")
    found = found or (question.get("structured_outputs") or {}).get("json")
    return found if isinstance(found, Mapping) else None


def num_tokens(
    questions: Sequence[Question], cards: Sequence[RecipeCard], max_tokens: int | None
) -> int:
    """Return how many tokens the answers about one clip have at most, as far as limits are known.

    `max_tokens` is the limit of the request, which questions and recipes without one have.
    """
    limits = {card.name: card.max_tokens for card in cards}
    return sum(
        len(one["decisions"])
        if "decisions" in one
        else one.get("max_tokens")
        or max_tokens
        or limits.get(one.get("recipe", ""))
        or DEFAULT_TOKENS
        for one in questions
    )
