"""Choices of a chat in which the model decides whether to call functions: text, calls, or both."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from flamingo_common.wire import responses
from flamingo_common.wire.responses import ChunkChoice, Delta, FinishReason
from flamingo_common.wire.tools import OptionalCall
from flamingo_pod.api.chat import returned_calls
from flamingo_pod.api.chat.choice_logprobs import logprobs_of
from flamingo_pod.api.generation import tool_calls
from flamingo_pod.api.generation.generated_choice import ChoiceDelta, GeneratedChoice
from flamingo_pod.api.generation.generation import Generation
from flamingo_pod.api.generation.optional_calls import AnswerPart, AnswerReader
from flamingo_pod.engine.scheduling.sequence import TokenOutput
from flamingo_pod.served_model import ServedModel


def reader_of(result: Generation, call: OptionalCall) -> AnswerReader:
    """Return the reader of a choice."""
    has_format = result.request.rules.grammar is not None
    return AnswerReader(tool_calls.names_of(call), has_format=has_format)


def message(
    reader: AnswerReader, call: OptionalCall, text: str, reason: FinishReason
) -> responses.AssistantMessage:
    """Return the message of a choice that is finished, and has this text."""
    parts = [*reader.push(text), *reader.finish(reason)]
    content = "".join(part.text for part in parts)
    shown = content or (None if reader.has_marks else "")
    return returned_calls.message(shown, list(_made(parts)), is_legacy=call.is_legacy)


def _made(parts: Sequence[AnswerPart]) -> Iterator[responses.GeneratedCall]:
    """Yield the calls that the parts of an answer make up."""
    for part in parts:
        if part.name is not None:
            arguments = (each.arguments for each in parts if each.call == part.call)
            yield responses.GeneratedCall(name=part.name, arguments="".join(arguments))


@dataclass(slots=True)
class AutoWriter:
    """Writes the chunks of a choice: its text, then its calls, each with its name first."""

    served: ServedModel
    result: Generation
    choice: GeneratedChoice
    call: OptionalCall
    reader: AnswerReader
    _has_content: bool = False
    _outputs: list[TokenOutput] = field(default_factory=list)
    """Those whose text is not sent yet."""

    def start(self) -> ChunkChoice | None:
        """Return the first chunk, which all choices send when one has text."""
        return ChunkChoice(index=self.choice.index, delta=Delta(role="assistant"))

    def add(self, delta: ChoiceDelta) -> Iterator[ChunkChoice]:
        """Yield the chunks of the next text."""
        reason = delta.finish_reason
        if delta.reasoning:
            yield self._chunk(Delta(reasoning_content=delta.reasoning))
        self._outputs += delta.outputs
        for part in self.reader.push(delta.text):
            yield self._part_chunk(part)
        if reason is not None:
            for part in self.reader.finish(reason):
                yield self._part_chunk(part)
            yield from self._last_chunks(reason)

    def _last_chunks(self, reason: FinishReason) -> Iterator[ChunkChoice]:
        if not (self._has_content or self.reader.has_marks):
            yield self._part_chunk(AnswerPart())  # the content is empty, and not null
        elif self._outputs:
            yield self._chunk(Delta(), self._logprobs())
        yield ChunkChoice(
            index=self.choice.index,
            delta=Delta(),
            finish_reason=self.reader.finish_reason(self.call, reason),
            stop_reason=self.choice.stop_reason,
        )

    def _part_chunk(self, part: AnswerPart) -> ChunkChoice:
        return self._chunk(self._delta(part), self._logprobs())

    def _delta(self, part: AnswerPart) -> Delta:
        if part.call is None:
            self._has_content = True
            return Delta(content=part.text)
        called = responses.CallDelta(name=part.name, arguments=part.arguments)
        return returned_calls.delta(called, part.call, is_legacy=self.call.is_legacy)

    def _logprobs(self) -> responses.Logprobs | None:
        outputs, self._outputs = self._outputs, []
        return logprobs_of(self.served, self.result, outputs) if outputs else None

    def _chunk(self, delta: Delta, logprobs: responses.Logprobs | None = None) -> ChunkChoice:
        return ChunkChoice(index=self.choice.index, delta=delta, logprobs=logprobs)
