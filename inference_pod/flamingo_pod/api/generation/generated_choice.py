"""One choice of a generation, as its tokens arrive: its reasoning, its answer, and its end.

Pure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flamingo_common.wire.responses import FinishReason
from flamingo_pod.engine.scheduling.sequence import TokenOutput
from flamingo_pod.engine.structured_output.reasoning_scan import ReasoningScan
from flamingo_pod.text.detokenize import Detokenizer
from flamingo_pod.text.reasoning import ReasoningSplitter


@dataclass(frozen=True, slots=True)
class ChoiceDelta:
    """The next text of one choice."""

    index: int
    text: str
    """Of the answer, after any reasoning."""
    outputs: Sequence[TokenOutput] = ()
    """The tokens of the text, if log-probabilities were requested."""
    finish_reason: FinishReason | None = None
    """Set in the choice's last delta."""
    reasoning: str = ""
    """The next text of what the model thinks before it answers."""


@dataclass(slots=True)
class GeneratedChoice:
    """One choice, as generated so far."""

    index: int
    detokenizer: Detokenizer
    token_bytes: Mapping[int, bytes]
    """What each token adds to a text."""
    splitter: ReasoningSplitter = field(default_factory=ReasoningSplitter)
    scan: ReasoningScan = field(default_factory=ReasoningScan)
    num_tokens: int = 0
    num_reasoning_tokens: int = 0
    """Those before the answer: the reasoning, its marks, and blanks around them."""
    num_cached: int = 0
    """Prompt tokens taken from the KV cache."""
    finish_reason: FinishReason = "length"
    stop_reason: int | str | None = None
    """The stop token or stop string that ended it."""
    _pending: list[TokenOutput] = field(default_factory=list)
    """Outputs whose text is not returned yet."""

    @classmethod
    def create(
        cls,
        index: int,
        detokenizer: Detokenizer,
        token_bytes: Mapping[int, bytes],
        *,
        is_reasoning: bool,
    ) -> "GeneratedChoice":
        """Return a choice without tokens; `is_reasoning` is whether reasoning has begun."""
        splitter = ReasoningSplitter(is_open=is_reasoning)
        scan = ReasoningScan(is_open=is_reasoning)
        return cls(index, detokenizer, token_bytes, splitter, scan)

    def add(self, output: TokenOutput) -> ChoiceDelta | None:
        """Add the next output; return the text that it completes, if any."""
        self.num_cached = max(self.num_cached, output.num_cached_tokens)
        if output.logprob is not None:
            self._pending.append(output)
        text = self._text(output)
        reason = "stop" if self.detokenizer.is_stopped else output.finish_reason
        pieces = self.splitter.push(text)
        if reason is not None:
            pieces += self.splitter.finish()
        self.finish_reason = reason or self.finish_reason
        self.stop_reason = self.detokenizer.stop_string or output.stop_token_id
        if not (pieces.answer or pieces.reasoning or reason):
            return None
        outputs, self._pending = self._pending, []
        return ChoiceDelta(self.index, pieces.answer, outputs, reason, pieces.reasoning)

    def _text(self, output: TokenOutput) -> str:
        text = ""
        if output.token_id is not None:
            self.num_tokens += 1
            text = self.detokenizer.push(output.token_id)
            self._follow(output.token_id)
        return text if output.finish_reason is None else text + self.detokenizer.finish()

    def _follow(self, token_id: int) -> None:
        """Count a token that precedes the answer. Its text may still be held back."""
        self.scan.push(self.token_bytes[token_id])
        if self.scan.has_reasoning:
            self.num_reasoning_tokens = self.num_tokens
            self._pending.clear()  # log-probabilities are those of the answer
