"""The tasks of a batch: which request an item becomes.

Fields that a line of a manifest sets (`Item.options`) replace those of the batch, if the task's
request has them.

Pure.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from flamingo.batch.items import Item
from flamingo.batch.outcomes import ItemResult
from flamingo.client import batch_results, calls, fields
from flamingo.client.calls import Call
from flamingo.client.results import Analysis, Embedding, Reply
from flamingo.client.taxonomies import TagQuestions, Tags
from flamingo_common.errors import BadRequest
from flamingo_common.wire import responses
from flamingo_common.wire.decisions import Decision

T = TypeVar("T")
Fields = Mapping[str, Any]


@dataclass(frozen=True)
class TaskKind(Generic[T]):
    """What a batch computes for each item."""

    name: str
    new_call: Callable[..., Call[T]]
    """Takes the request fields."""
    to_result: Callable[[T], ItemResult]
    line_fields: frozenset[str]
    """Fields that a line can set."""

    def call(self, shared: Fields, item: Item) -> Call[T]:
        """Return the request for an item.

        Raises:
            BadRequest: neither the batch nor the line has a field that is required.
        """
        own = {name: item.options[name] for name in self.line_fields & item.options.keys()}
        return self.new_call(**{**shared, **own})


def tag(asked: TagQuestions) -> TaskKind[Tags]:
    """Return the task of tagging clips by some taxonomies."""

    def new_call(**options: Any) -> Call[Tags]:
        call = calls.decisions(asked.questions(), orders=asked.orders, **options)
        return Call(call.path, call.fields, lambda body: asked.tags(call.parse(body)))

    return TaskKind("tag", new_call, batch_results.of_tags, frozenset())


def _ask(*, question: str | None = None, system: str | None = None, **options: Any) -> Call[Reply]:
    if question is None:
        raise BadRequest(
            "the question is missing: set one for all clips (--question) or on each line"
        )
    return calls.chat(fields.question_messages(question, system=system), **options)


def _decisions(
    *, questions: Sequence[Mapping[str, Any]] | None = None, **options: Any
) -> Call[Decision]:
    if questions is None:
        raise BadRequest("the questions are missing: set them for all clips or for each item")
    return calls.decisions(questions, **options)


_TEXT_FIELDS = frozenset({"prompt", "style", "max_tokens"})
CAPTION: TaskKind[responses.Caption] = TaskKind(
    "caption", calls.caption, batch_results.of_caption, _TEXT_FIELDS
)
EMBED: TaskKind[Embedding] = TaskKind(
    "embed", calls.embedding, batch_results.of_embedding, frozenset()
)
ANALYZE: TaskKind[Analysis] = TaskKind(
    "analyze", calls.analysis, batch_results.of_analysis, _TEXT_FIELDS
)
ANALYZE_QUESTIONS: TaskKind[Analysis] = TaskKind(
    "analyze", calls.analysis, batch_results.of_analysis, frozenset({"max_tokens"})
)
"""A line's `prompt` or `style` would be beside the questions, which is refused."""
ASK: TaskKind[Reply] = TaskKind(
    "ask", _ask, batch_results.of_reply, frozenset({"question", "max_tokens"})
)
DECISIONS: TaskKind[Decision] = TaskKind(
    "decisions", _decisions, batch_results.of_decision, frozenset({"questions"})
)
