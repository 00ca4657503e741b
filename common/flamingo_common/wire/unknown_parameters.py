"""Finds the parameters of an object that are refused or unknown, and says what was meant.

Harmless parameters are left out of the object. The value of each other one is replaced by
a `Rejected`, which pydantic returns with its error about a field that does not exist; so
all errors of a request are reported together, each with its path.

A request may consist of millions of unknown names: those beyond `MAX_LISTED` are only
counted, and an object is never searched further than to the names that are listed.

Pure.
"""

import contextlib
import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import islice

from pydantic_core import from_json

from flamingo_common.wire import (
    decision_parameters,
    openai_responses_parameters,
    parameters,
    transcriptions_parameters,
)
from flamingo_common.wire.parameters import Parameter, Table

MAX_LISTED = 8
MAX_NAME_CHARS = 64
"""Of a name in an error, and of a name for which a similar one is searched."""
MAX_TEXT_CHARS = 64
"""Of a form's text that is compared with harmless values."""
BUDGET = "thinking_token_budget"
NOTHING: tuple[object, ...] = (None, {})
"""Values with which a parameter of reasoning asks for nothing."""
SIMILARITY = 0.75
"""`modle` and `model` have 0.8, `size` and `seed` 0.5."""
ROUTES: Mapping[str, Table] = {
    "/v1/chat/completions": parameters.CHAT,
    "/v1/responses": openai_responses_parameters.RESPONSES,
    "/v1/audio/transcriptions": transcriptions_parameters.TRANSCRIPTION,
    "/v1/audio/captions": parameters.CAPTION,
    "/v1/embeddings": parameters.OPENAI_EMBEDDINGS,
    "/v1/audio/embeddings": parameters.EMBEDDINGS,
    "/v1/audio/analyze": parameters.ANALYSIS,
    "/v1/decisions": decision_parameters.DECISIONS,
}
OTHER_NAMES: Mapping[str, str] = {
    "max_new_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "max_tokens_to_sample": "max_tokens",
    "max_length": "max_tokens",
    "n_predict": "max_tokens",
    "num_predict": "max_tokens",
    "min_new_tokens": "min_tokens",
    "stop_sequences": "stop",
    "stop_strings": "stop",
    "stopping_strings": "stop",
    "repeat_penalty": "repetition_penalty",
    "random_seed": "seed",
    "num_return_sequences": "n",
    "candidate_count": "n",
    "temp": "temperature",
    "text": "prompt",
    "question": "prompt",
    "system": "messages",
    "system_prompt": "messages",
    "conversation": "messages",
    "model_id": "model",
    "model_name": "model",
    "file": "audio",
    "input_audio": "audio",
    "audio_url": "audio",
    "audio_id": "audio",
    "detail": "style",
    "json_schema": "response_format",
    "grammar": "structured_outputs",
    "regex": "structured_outputs",
    "choice": "structured_outputs",
    "response_schema": "response_format",
    "format": "response_format",
    "ebnf": "structured_outputs",
    "top_n_tokens": "top_logprobs",
    "include_usage": "stream_options",
    "truncation": "truncate",
    "b64": "data",
    "b64_json": "data",
    "base64": "data",
    "clip_id": "id",
}
"""What other servers and clients call a parameter."""
ARGUMENTS = frozenset({"extra_body", "extra_headers", "extra_query", "timeout", "max_retries"})
"""Arguments of OpenAI's clients, which are not sent."""


@dataclass(slots=True)
class Checking:
    """What is known while the objects of one request are checked."""

    is_form: bool = False
    num_listed: int = 0
    num_left_out: int = 0
    """Unknown names that were counted only."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """In place of the value of a parameter: why it is rejected."""

    name: str
    known: Collection[str]
    """The names that the object can have."""
    table: Table = field(default_factory=dict)
    row: Parameter | None = None
    """None: the parameter is unknown."""

    @property
    def reason(self) -> str:
        """What is wrong, without the path of the parameter."""
        if self.row is not None:
            return f"is not supported: {self.row.reason}"
        advice = _advice(self.name, self.known, self.table)
        if not advice and len(self.known) <= MAX_LISTED:
            advice = f"allowed: {', '.join(map(repr, sorted(self.known)))}"
        return f"is unknown{'; ' if advice else ''}{advice}"


def shortened(name: str) -> str:
    """Return a name that may be as long as a body, for an error."""
    return name if len(name) <= MAX_NAME_CHARS else f"{name[:MAX_NAME_CHARS]}…"


def check(
    fields: Mapping[str, object], known: AbstractSet[str], table: Table, checking: Checking
) -> Mapping[str, object]:
    """Return `fields` without harmless parameters, and with a `Rejected` for each bad one.

    Harmless ones that ask for no reasoning set its budget to 0, which is within any other.

    `known` are the names of the fields that are validated, and `table` has the others.
    """
    if fields.keys() <= known:
        return fields
    kept = {name: fields[name] for name in known if name in fields}
    listed = [name for name in table if name in fields and name not in known]
    for name in listed:
        row, values = table[name], _readings(fields[name], is_form=checking.is_form)
        if not any(map(row.is_harmless, values)):
            kept[name] = Rejected(name, known, table, row)
        elif row.is_of_reasoning and all(value not in NOTHING for value in values):
            kept[BUDGET] = 0
    num_unknown = len(fields) - sum(name in fields for name in known) - len(listed)
    room = max(0, min(num_unknown, MAX_LISTED - checking.num_listed))
    unknown = (name for name in fields if name not in known and name not in table)
    kept |= {name: Rejected(name, known, table) for name in islice(unknown, room)}
    checking.num_listed += room
    checking.num_left_out += num_unknown - room
    return kept


def _readings(value: object, *, is_form: bool) -> list[object]:
    """Return a value, and what a form's text is as JSON."""
    if not is_form or not isinstance(value, str) or len(value) > MAX_TEXT_CHARS:
        return [value]
    with contextlib.suppress(ValueError):
        return [value, from_json(value.lower())]
    return [value]


def _advice(name: str, known: Collection[str], table: Table) -> str:
    if len(name) > MAX_NAME_CHARS:
        return ""
    if name in ARGUMENTS:
        return "it is an argument of OpenAI's clients; send only what it contains"
    usable = [*known, *(one for one in table if one not in known)]
    meant = _meant(name, usable)
    if meant is None and (routes := _routes_with(name, table)):
        return f"it is a field of {' and '.join(routes)}"
    meant = meant or next(iter(difflib.get_close_matches(name, usable, 1, SIMILARITY)), None)
    return f"did you mean {meant!r}?" if meant else ""


def _meant(name: str, usable: Collection[str]) -> str | None:
    """Return the parameter that has `name` in another spelling, or with another server."""
    spelled = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[- ]", "_", name).lower()
    meant = (spelled, OTHER_NAMES.get(spelled))
    return next((one for one in meant if one in usable and one != name), None)


def _routes_with(name: str, table: Table) -> Iterable[str]:
    """Return the other routes that have the parameter, for one of a route itself."""
    if not any(table is own for own in ROUTES.values()):
        return []
    return [
        path
        for path, other in ROUTES.items()
        if name in other and other[name].status == "implemented"
    ]
