"""The forms of the answers to several questions, which decide their columns in a table.

A shape says what values a column has: `"text"`, `"integer"`, `"number"`, `"flag"`, a list of one
shape, or a mapping of names to shapes. What has no such shape is `"json"`: text that is JSON.

Pure.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Shape = str | Sequence["Shape"] | Mapping[str, "Shape"]
SCALARS = {"string": "text", "integer": "integer", "number": "number", "boolean": "flag"}
"""The shapes of a JSON schema's types."""
MAX_DEPTH = 8
MAX_INTEGER = 2**63
_LINE: Shape = {"text": "text", "start_s": "number", "end_s": "number"}
_SECTION: Shape = {
    "name": "text",
    "start_s": "number",
    "end_s": "number",
    "description": "text",
    "lines": [_LINE],
}
_KEY: Shape = {
    "tonic": "text",
    "mode": "text",
    "name": "text",
    "correlation": "number",
    "runner_up": "text",
    "runner_up_correlation": "number",
}
MEASURED: Shape = {
    "tempo_bpm": "number",
    "beats_s": ["number"],
    "beat_strength": "number",
    "key": _KEY,
    "loudness_lufs": "number",
    "loudness_range_lu": "number",
    "true_peak_dbtp": "number",
    "reasons": "json",
}
"""What is measured of a clip."""
COMPARISONS: Shape = [
    {
        "question": "text",
        "field": "text",
        "answer": "json",
        "measured": "json",
        "agrees": "flag",
        "relation": "text",
    }
]
SECTIONS: Shape = {"text": "text", "sections": [_SECTION], "faults": ["text"]}


@dataclass(frozen=True)
class AnswerForm:
    """What an answer will be."""

    name: str
    recipe: str | None = None
    is_json: bool = False
    """Whether it is constrained to JSON, or decisions."""
    has_sections: bool = False
    schema: Mapping[str, Any] | None = None
    """Of an answer in JSON, if it has one."""

    @property
    def shape(self) -> Shape:
        """What the answer has in a table."""
        if self.has_sections:
            return SECTIONS
        return shape_of(self.schema or {}) if self.is_json else "text"


def shape_of(schema: object, depth: int = 0) -> Shape:
    """Return the shape of what a JSON schema describes.

    An object with other properties than those that are named, and a value of several types, are
    `"json"`: a table would lose something of them.
    """
    if not isinstance(schema, Mapping) or depth == MAX_DEPTH:
        return "json"
    match _type(schema):
        case "array":
            return [shape_of(schema.get("items"), depth + 1)]
        case "object" if schema.get("additionalProperties") is False and schema.get("properties"):
            properties = schema["properties"].items()
            return {str(name): shape_of(each, depth + 1) for name, each in properties}
        case name:
            return SCALARS.get(name, "json")


def _type(schema: Mapping[str, Any]) -> str:
    """Return the type that a schema states, beside null; empty if it states none or several."""
    stated = schema.get("type")
    if isinstance(stated, list):
        others = [one for one in stated if one != "null"]
        stated = others[0] if len(others) == 1 else None
    return stated if isinstance(stated, str) else ""


def fitted(value: Any, shape: Shape) -> Any:
    """Return a JSON value as a table has it in a column of this shape; None fits everywhere.

    Raises:
        ValueError: it does not fit.
    """
    if value is None:
        return None
    if shape == "json":
        return json.dumps(value, ensure_ascii=False)
    if isinstance(shape, str):
        if not _is_scalar(value, shape):
            raise ValueError(f"not of the shape {shape}")
        return value
    if isinstance(shape, Mapping):
        if not isinstance(value, Mapping) or not value.keys() <= shape.keys():
            raise ValueError("not an object with these fields")
        return {name: fitted(value.get(name), each) for name, each in shape.items()}
    if not isinstance(value, list):
        raise ValueError("not a list")  # noqa: TRY004 - the value has the wrong shape
    return [fitted(one, shape[0]) for one in value]


def _is_scalar(value: Any, shape: str) -> bool:
    if isinstance(value, bool):
        return shape == "flag"
    if shape == "integer":
        return isinstance(value, int) and -MAX_INTEGER <= value < MAX_INTEGER
    if shape == "number":
        return isinstance(value, float) or (isinstance(value, int) and abs(value) < MAX_INTEGER)
    return shape == "text" and isinstance(value, str)
