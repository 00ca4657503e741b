"""The choices of a chat as OpenAI's API returns them: text or a call, whole or in chunks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from flamingo_common.wire import responses
from flamingo_common.wire.responses import ChatFinishReason, ChunkChoice, Delta
from flamingo_common.wire.tools import ForcedCall, OptionalCall
from flamingo_pod.api.chat import auto_choices, returned_calls
from flamingo_pod.api.chat.auto_choices import AutoWriter
from flamingo_pod.api.chat.choice_logprobs import logprobs_of
from flamingo_pod.api.generation import generation, tool_calls
from flamingo_pod.api.generation.generated_choice import ChoiceDelta, GeneratedChoice
from flamingo_pod.api.generation.generation import Generation
from flamingo_pod.api.generation.tool_calls import CallReader
from flamingo_pod.api.request import clip_intake
from flamingo_pod.engine.scheduling.sequence import TokenOutput
from flamingo_pod.served_model import ServedModel


def completion(
    served: ServedModel, result: Generation, deltas: Sequence[ChoiceDelta]
) -> responses.ChatCompletion:
    """Return the response with all choices."""
    choices = [
        _choice(served, result, number, [delta for delta in deltas if delta.index == number])
        for number in range(len(result.choices))
    ]
    return responses.ChatCompletion(
        **served.response_fields("chatcmpl"),
        choices=choices,
        usage=result.usage,
        audio=clip_intake.reference_of(result.request.clip),
        metrics=generation.request_metrics(result),
    )


def _choice(
    served: ServedModel, result: Generation, number: int, deltas: Sequence[ChoiceDelta]
) -> responses.Choice:
    text, choice = "".join(delta.text for delta in deltas), result.choices[number]
    reasoning = "".join(delta.reasoning for delta in deltas) or None
    finish_reason: ChatFinishReason = choice.finish_reason
    message = responses.AssistantMessage(content=text, reasoning_content=reasoning)
    match result.call:
        case ForcedCall() as call:
            message = _call_message(call, text)
            has_name = bool(message.tool_calls)
            finish_reason = tool_calls.finish_reason(call, choice.finish_reason, has_name=has_name)
        case OptionalCall() as call:
            reader = auto_choices.reader_of(result, call)
            message = auto_choices.message(reader, call, text, choice.finish_reason)
            message = message.model_copy(update={"reasoning_content": reasoning})
            finish_reason = reader.finish_reason(call, choice.finish_reason)
    return responses.Choice(
        index=number,
        message=message,
        finish_reason=finish_reason,
        stop_reason=choice.stop_reason,
        logprobs=logprobs_of(
            served, result, [output for delta in deltas for output in delta.outputs]
        ),
    )


def _call_message(call: ForcedCall, text: str) -> responses.AssistantMessage:
    reader = CallReader.of(call)
    arguments = reader.add(text)
    calls = []
    if reader.name is not None:  # or the answer was cut before it had named the function
        calls.append(responses.GeneratedCall(name=reader.name, arguments=arguments))
    return returned_calls.message(None, calls, is_legacy=call.is_legacy)


@dataclass(slots=True)
class TextWriter:
    """Writes the chunks of a choice that is text."""

    served: ServedModel
    result: Generation
    choice: GeneratedChoice

    def start(self) -> ChunkChoice | None:
        """Return the first chunk, which all choices send when one has text."""
        return ChunkChoice(index=self.choice.index, delta=Delta(role="assistant", content=""))

    def add(self, delta: ChoiceDelta) -> Iterator[ChunkChoice]:
        """Yield the chunks of the next text."""
        index = self.choice.index
        if delta.reasoning:
            yield ChunkChoice(index=index, delta=Delta(reasoning_content=delta.reasoning))
        if delta.text or delta.outputs:
            logprobs = logprobs_of(self.served, self.result, delta.outputs)
            yield ChunkChoice(index=index, delta=Delta(content=delta.text), logprobs=logprobs)
        if delta.finish_reason is not None:
            yield ChunkChoice(
                index=index,
                delta=Delta(),
                finish_reason=delta.finish_reason,
                stop_reason=self.choice.stop_reason,
            )


@dataclass(slots=True)
class CallWriter:
    """Writes the chunks of a choice that is a call: its name first, then its arguments."""

    served: ServedModel
    result: Generation
    choice: GeneratedChoice
    call: ForcedCall
    reader: CallReader
    _is_started: bool = False
    _outputs: list[TokenOutput] = field(default_factory=list)
    """Those whose text is not sent yet."""

    def start(self) -> ChunkChoice | None:
        """Return the first chunk, which has the name; None where the model chooses it."""
        return self._first_chunk() if self.reader.name is not None else None

    def add(self, delta: ChoiceDelta) -> Iterator[ChunkChoice]:
        """Yield the chunks of the next text."""
        arguments = self.reader.add(delta.text)
        self._outputs += delta.outputs
        is_last = delta.finish_reason is not None
        if not self._is_started and (self.reader.name is not None or is_last):
            yield self._first_chunk()
        if arguments or (is_last and self._outputs):
            yield self._arguments_chunk(arguments)
        if delta.finish_reason is not None:
            reason = tool_calls.finish_reason(
                self.call, delta.finish_reason, has_name=self.reader.name is not None
            )
            yield ChunkChoice(
                index=self.choice.index,
                delta=Delta(),
                finish_reason=reason,
                stop_reason=self.choice.stop_reason,
            )

    def _first_chunk(self) -> ChunkChoice:
        self._is_started = True
        delta = Delta(role="assistant", content=None)
        if self.reader.name is not None:
            delta = self._delta(responses.CallDelta(name=self.reader.name, arguments=""))
        return ChunkChoice(index=self.choice.index, delta=delta)

    def _arguments_chunk(self, arguments: str) -> ChunkChoice:
        logprobs = logprobs_of(self.served, self.result, self._outputs)
        self._outputs = []
        has_name = self.reader.name is not None
        delta = self._delta(responses.CallDelta(arguments=arguments)) if has_name else Delta()
        return ChunkChoice(index=self.choice.index, delta=delta, logprobs=logprobs)

    def _delta(self, called: responses.CallDelta) -> Delta:
        role: Literal["assistant"] | None = None if called.name is None else "assistant"
        return returned_calls.delta(called, is_legacy=self.call.is_legacy, role=role)


def writer(
    served: ServedModel, result: Generation, choice: GeneratedChoice
) -> TextWriter | CallWriter | AutoWriter:
    """Return what writes the chunks of a choice."""
    match result.call:
        case None:
            return TextWriter(served, result, choice)
        case ForcedCall() as call:
            return CallWriter(served, result, choice, call, CallReader.of(call))
        case OptionalCall() as call:
            reader = auto_choices.reader_of(result, call)
            return AutoWriter(served, result, choice, call, reader)
