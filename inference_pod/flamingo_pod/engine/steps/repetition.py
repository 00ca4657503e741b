"""Whether a decoding step can be launched before the one before it has been read.

How it works: a GPU would wait while the host reads a step's tokens and plans the next one. Most
steps only repeat the one before: the same sequences decode one more token each. Such a step is
known before any token is, but for the tokens themselves, which are already on the device. All other
steps, with prompts, grammars, penalties, forced tokens, or tails that have to grow, are planned
when everything is known, so the scheduler never sees a step that has not been read.

Pure.
"""

from flamingo_pod.engine.sampling.score_edits import has_penalties
from flamingo_pod.engine.scheduling.sequence import Sequence
from flamingo_pod.engine.scheduling.step_plan import Chunk, StepPlan


def repeated(plan: StepPlan) -> StepPlan | None:
    """Return the step behind a step that has been launched; None if that must be read first."""
    if plan.num_decoding < len(plan.chunks) or plan.windows:
        return None
    sequences = [chunk.sequence for chunk in plan.chunks if not _ends_by_length(chunk.sequence)]
    if not sequences or not all(map(_can_be_ahead, sequences)):
        return None
    chunks = [Chunk(s, s.num_tokens, s.num_tokens + 1, is_unread=True) for s in sequences]
    return StepPlan(chunks=chunks, num_decoding=len(chunks))


def as_read(chunk: Chunk) -> Chunk:
    """Return the chunk of a step behind one that has been read."""
    return chunk._replace(is_unread=False)


def _ends_by_length(sequence: Sequence) -> bool:
    return len(sequence.output_ids) + 1 == sequence.params.max_tokens


def _can_be_ahead(sequence: Sequence) -> bool:
    """Whether all that the next step needs of a sequence is known, but for its last token."""
    params = sequence.params
    is_masked = len(sequence.output_ids) + 1 < params.min_tokens
    needs_tokens = sequence.has_grammar or has_penalties(params) or sequence.num_free <= 1
    return not (is_masked or needs_tokens) and sequence.num_tokens < sequence.num_slots
