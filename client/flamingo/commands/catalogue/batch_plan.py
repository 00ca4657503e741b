"""A batch as the command line describes it: its task with the fields of the requests."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from flamingo.batch.answer_forms import AnswerForm
from flamingo.batch.recorder import Recording
from flamingo.batch.source import Source
from flamingo.client import AsyncBatch, AsyncFlamingoClient
from flamingo.client.taxonomies import Taxonomy
from flamingo.commands.catalogue.batch_options import TaskName
from flamingo.commands.catalogue.batch_run import OnProgress, StartBatch

RESULTS = {
    TaskName.CAPTION: ("caption",),
    TaskName.EMBED: ("embedding",),
    TaskName.ANALYZE: ("caption", "embedding"),
    TaskName.ASK: ("answer",),
    TaskName.TAG: ("tag_probabilities",),
}
"""What each task computes, without questions."""
APPLY_TO = {
    "question": {TaskName.ASK, TaskName.ANALYZE},
    "questions": {TaskName.ANALYZE},
    "recipe": {TaskName.ANALYZE},
    "measure": {TaskName.ANALYZE},
    "confidence": {TaskName.ANALYZE},
    "style": {TaskName.CAPTION, TaskName.ANALYZE},
    "prompt": {TaskName.CAPTION, TaskName.ANALYZE},
    "max_tokens": {TaskName.CAPTION, TaskName.ANALYZE, TaskName.ASK},
    "temperature": {TaskName.CAPTION, TaskName.ANALYZE, TaskName.ASK},
    "thinking_token_budget": {TaskName.CAPTION, TaskName.ANALYZE, TaskName.ASK},
    "taxonomy": {TaskName.TAG},
    "orders": {TaskName.TAG},
    "calibration": {TaskName.TAG},
    "layer": {TaskName.EMBED, TaskName.ANALYZE},
    "pooling": {TaskName.EMBED, TaskName.ANALYZE},
}
"""The tasks that have each option."""
NOT_WITH_QUESTIONS = ("style", "prompt", "label")
EMBEDDING = ("layer", "pooling")


@dataclass(frozen=True)
class BatchPlan:
    """A batch as the command line describes it."""

    task: TaskName
    fields: dict[str, Any]
    """The arguments of the client's method."""
    source: Source
    concurrency: int
    url: str
    api_key: str | None
    forms: Sequence[AnswerForm] = ()
    """Of the answers to questions."""
    taxonomies: Sequence[Taxonomy] = ()
    """Of tags."""
    num_tokens: int = 0
    """How many are generated for each clip, at most."""

    @property
    def results(self) -> Sequence[str]:
        """The names of what is computed."""
        measured = ("measured", "comparisons") if self.fields.get("measure") else ()
        if not self.forms:
            return (*RESULTS[self.task], *measured)
        has_embedding = not self.fields.keys().isdisjoint(EMBEDDING)
        embedding = ("embedding",) if has_embedding else ()
        confidences = ("answer_confidences",) if self.fields.get("confidence") else ()
        return ("answers", *embedding, *measured, *confidences)

    def start(self, recording: Recording) -> StartBatch:
        """Return what starts the batch with a client."""

        def start(client: AsyncFlamingoClient, on_progress: OnProgress) -> AsyncBatch[Any]:
            methods: dict[TaskName, Callable[..., AsyncBatch[Any]]] = {
                TaskName.CAPTION: client.batch_caption,
                TaskName.EMBED: client.batch_embed,
                TaskName.ANALYZE: client.batch_analyze,
                TaskName.ASK: client.batch_ask,
                TaskName.TAG: client.batch_tag,
            }
            return methods[self.task](
                self.source,
                *self.taxonomies,
                recording=recording,
                concurrency=self.concurrency,
                on_progress=on_progress,
                **self.fields,
            )

        return start


@dataclass(frozen=True)
class Wanted:
    """The questions and taxonomies that the command line names."""

    recipes: Sequence[str] | None
    questions: Sequence[str] | None
    file: Path | None
    taxonomies: Sequence[str] | None
    calibration: Path | None

    @property
    def has_any(self) -> bool:
        """Whether there are questions."""
        return bool(self.recipes or self.questions or self.file)


def fields_of(
    ctx: typer.Context, task: TaskName, options: dict[str, Any], wanted: Wanted
) -> dict[str, Any]:
    """Return the fields of the task's requests, from the values of all options.

    Beside questions, an embedding is requested by its options alone.

    Raises:
        typer.BadParameter: an option was given that the task, or one with questions, ignores.
    """
    given = {name for name in ctx.params if _is_given(ctx, name)}
    for name, tasks in APPLY_TO.items():
        if name in given and task not in tasks:
            raise typer.BadParameter(f"--task {task} has no {_flag(name)}", param_hint=_flag(name))
    every = {*TaskName}
    fields = {name: one for name, one in options.items() if task in APPLY_TO.get(name, every)}
    if task is TaskName.ASK:
        fields["question"] = _only_question(wanted.questions)
    if task is not TaskName.ANALYZE or not wanted.has_any:
        return fields
    for name in NOT_WITH_QUESTIONS:
        if name in given:
            message = f"questions and recipes have no {_flag(name)}: make it a question"
            raise typer.BadParameter(message, param_hint=_flag(name))
    left_out = {"style", "prompt", *(name for name in EMBEDDING if name not in given)}
    return {name: value for name, value in fields.items() if name not in left_out}


def _is_given(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _only_question(questions: Sequence[str] | None) -> str | None:
    if questions and len(questions) > 1:
        message = "--task ask has one question; --task analyze asks several about each clip"
        raise typer.BadParameter(message, param_hint="--question")
    return questions[0] if questions else None
