"""The answer of a chat as `/v1/responses` returns it: the response, and the events of a stream.

A response that is not streamed is that of the last event.

Pure: the time and the ids are arguments.
"""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from flamingo_common import errors
from flamingo_common.wire.openai_responses import ResponsesRequest
from flamingo_common.wire.openai_responses_objects import (
    IncompleteDetails,
    InputTokensDetails,
    ItemStatus,
    OutputCall,
    OutputItem,
    OutputMessage,
    OutputReasoning,
    OutputText,
    OutputTokensDetails,
    Response,
    ResponseEvent,
    ResponseFault,
    ResponsesUsage,
    SummaryText,
)
from flamingo_common.wire.responses import (
    AudioReference,
    ChunkChoice,
    RequestMetrics,
    ToolCallDelta,
    Usage,
)

TEXT: dict[str, Any] = {"format": {"type": "text"}}


def usage_of(usage: Usage) -> ResponsesUsage:
    """Return a chat's usage under the names of this API."""
    prompt, details = usage.prompt_tokens_details, usage.completion_tokens_details
    audio = usage.model_dump(include=set(ResponsesUsage.model_fields) & set(Usage.model_fields))
    return ResponsesUsage(
        **audio | {"total_tokens": usage.total_tokens},
        input_tokens=usage.prompt_tokens,
        input_tokens_details=InputTokensDetails(
            audio_tokens=prompt.audio_tokens,
            text_tokens=prompt.text_tokens,
            cached_tokens=prompt.cached_tokens,
        ),
        output_tokens=usage.completion_tokens,
        output_tokens_details=OutputTokensDetails(
            reasoning_tokens=0 if details is None else details.reasoning_tokens
        ),
    )


def begun(
    request: ResponsesRequest,
    common: dict[str, Any],
    *,
    temperature: float,
    top_p: float | None,
    audio: AudioReference | None = None,
) -> Response:
    """Return the response before it has any output.

    `common` has its id, the time and the model; temperature and `top_p` are those that are used.
    """
    sent = request.model_dump(mode="json", by_alias=True, exclude_none=True)
    return Response(
        id=common["id"],
        created_at=common["created"],
        model=common["model"],
        status="in_progress",
        output=[],
        instructions=request.instructions,
        max_output_tokens=request.max_output_tokens,
        temperature=temperature,
        top_p=1.0 if top_p is None else top_p,
        text=TEXT | sent.get("text", {}),
        tool_choice=sent.get("tool_choice", "auto"),
        tools=sent.get("tools", []),
        parallel_tool_calls=request.parallel_tool_calls is not False,
        top_logprobs=request.top_logprobs or 0,
        metadata=request.metadata or {},
        audio=audio,
    )


@dataclass(slots=True)
class EventWriter:
    """Writes the events of one response from the chunks of a chat's one choice."""

    response: Response
    """As in the first events; complete after the last."""
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _finished: list[OutputItem] = field(default_factory=list)
    _item: OutputItem | None = None
    """The item that is being written."""
    _is_text: bool = False
    """Whether the answer has text, which may be empty."""
    _has_message: bool = False
    """Whether a message has begun."""
    _is_cut: bool = False
    """Whether the answer has reached the limit of tokens."""

    def start(self) -> Iterator[ResponseEvent]:
        """Yield the first events, which have no output."""
        yield self._event("response.created", response=self.response)
        yield self._event("response.in_progress", response=self.response)

    def add(self, choice: ChunkChoice) -> Iterator[ResponseEvent]:
        """Yield the events of the next chunk."""
        delta = choice.delta
        if delta.reasoning_content is not None:
            yield from self._add_reasoning(delta.reasoning_content)
        if delta.content is not None:
            self._is_text = True
            yield from self._add_text(delta.content, choice)
        for call in delta.tool_calls or ():
            yield from self._add_call(call)
        if choice.finish_reason is not None:
            self._is_cut = choice.finish_reason == "length"
            if self._is_text and not self._has_message:
                yield from self._begin_message()
            yield from self._close(self._status)

    def finish(
        self, usage: Usage, metrics: RequestMetrics | None, *, completed_at: int
    ) -> ResponseEvent:
        """Return the last event, with the complete response."""
        self.response = self.response.model_copy(
            update={
                "status": self._status,
                "incomplete_details": IncompleteDetails() if self._is_cut else None,
                "completed_at": None if self._is_cut else completed_at,
                "output": self._finished,
                "usage": usage_of(usage),
                "metrics": metrics,
            }
        )
        return self._event(f"response.{self._status}", response=self.response)

    def failure(self, error: errors.FlamingoError) -> str:
        """Return the event of an error, as JSON.

        It is `response.failed` and also has the `error` by which OpenAI's clients raise it; the
        router finds the error by its place.
        """
        failed = self.response.model_copy(
            update={
                "status": "failed",
                "error": ResponseFault(code=error.code, message=error.message),
            }
        )
        event = {
            "type": "response.failed",
            "sequence_number": next(self._numbers),
            "response": failed.model_dump(mode="json"),
        }
        return json.dumps(errors.to_body(error) | event)

    @property
    def _status(self) -> ItemStatus:
        return "incomplete" if self._is_cut else "completed"

    def _add_text(self, text: str, choice: ChunkChoice) -> Iterator[ResponseEvent]:
        logprobs = choice.logprobs.content if choice.logprobs else []
        if not (text or logprobs):
            return
        if not isinstance(self._item, OutputMessage):
            yield from self._begin_message()
        assert isinstance(self._item, OutputMessage)
        part = self._item.content[0]
        part.text += text
        part.logprobs += logprobs
        yield self._part_event("response.output_text.delta", delta=text, logprobs=logprobs)

    def _begin_message(self) -> Iterator[ResponseEvent]:
        yield from self._close("completed")
        self._has_message = True
        self._item = OutputMessage(id=self._id("msg"), status="in_progress", content=[])
        yield self._added(self._item)
        part = OutputText(text="")
        self._item.content.append(part)
        yield self._part_event("response.content_part.added", part=part.model_copy(deep=True))

    def _add_reasoning(self, text: str) -> Iterator[ResponseEvent]:
        if self._item is None:
            self._item = OutputReasoning(id=self._id("rs"), status="in_progress", summary=[])
            yield self._added(self._item)
            part = SummaryText(text="")
            self._item.summary.append(part)
            added = part.model_copy()
            yield self._summary_event("response.reasoning_summary_part.added", part=added)
        assert isinstance(self._item, OutputReasoning)
        self._item.summary[0].text += text
        yield self._summary_event("response.reasoning_summary_text.delta", delta=text)

    def _add_call(self, call: ToolCallDelta) -> Iterator[ResponseEvent]:
        if call.id is not None:  # as in the first chunk of a call, which has its name, too
            yield from self._close("completed")
            self._item = OutputCall(
                id=self._id("fc"),
                call_id=call.id,
                name=call.function.name or "",
                arguments="",
                status="in_progress",
            )
            yield self._added(self._item)
        assert isinstance(self._item, OutputCall)
        if arguments := call.function.arguments:
            self._item.arguments += arguments
            yield self._own_event("response.function_call_arguments.delta", delta=arguments)

    def _close(self, status: ItemStatus) -> Iterator[ResponseEvent]:
        """Yield the events at the end of the item; there is none if a call was cut in its name."""
        match self._item:
            case OutputReasoning(summary=[summary]):
                done = "response.reasoning_summary_{}.done"
                yield self._summary_event(done.format("text"), text=summary.text)
                yield self._summary_event(done.format("part"), part=summary)
            case OutputMessage(content=[part]):
                yield self._part_event(
                    "response.output_text.done", text=part.text, logprobs=part.logprobs
                )
                yield self._part_event("response.content_part.done", part=part)
            case OutputCall(name=name, arguments=arguments):
                yield self._own_event(
                    "response.function_call_arguments.done", name=name, arguments=arguments
                )
        if self._item is not None:
            self._item.status = status
            yield self._item_event("response.output_item.done", item=self._item)
            self._finished.append(self._item)
            self._item = None

    def _added(self, item: OutputItem) -> ResponseEvent:
        """Return the event of a new item: a copy, as the item grows."""
        return self._item_event("response.output_item.added", item=item.model_copy(deep=True))

    def _id(self, kind: str) -> str:
        """Return the id of the next item, of which calls can be several."""
        number = sum(item.id.startswith(kind) for item in self._finished)
        return f"{kind}_{self.response.id.partition('-')[2]}{number or ''}"

    def _event(self, kind: Any, **fields: Any) -> ResponseEvent:
        return ResponseEvent(type=kind, sequence_number=next(self._numbers), **fields)

    def _item_event(self, kind: str, **fields: Any) -> ResponseEvent:
        return self._event(kind, output_index=len(self._finished), **fields)

    def _own_event(self, kind: str, **fields: Any) -> ResponseEvent:
        assert self._item is not None
        return self._item_event(kind, item_id=self._item.id, **fields)

    def _summary_event(self, kind: str, **fields: Any) -> ResponseEvent:
        return self._own_event(kind, summary_index=0, **fields)

    def _part_event(self, kind: str, **fields: Any) -> ResponseEvent:
        return self._own_event(kind, content_index=0, **fields)
