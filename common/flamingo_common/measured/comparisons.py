"""The fields of an answer beside what was measured, and whether they agree.

Pure.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from flamingo_common.measured.keys import KeyRelation, key_relation, parse_key
from flamingo_common.measured.tempos import TempoRelation, tempo_relation

Counterpart = Literal["tempo_bpm", "key"]
"""What an answer's field can be compared with."""
Relation = KeyRelation | TempoRelation


@dataclass(frozen=True, slots=True)
class Compared:
    """One field of an answer, and what was measured."""

    field: str
    answer: Any
    measured: float | str | None
    agrees: bool | None
    """None if one of them is missing, or the answer cannot be read."""
    relation: Relation | None


def compare(
    fields: Mapping[str, Counterpart], answer: object, *, tempo_bpm: float | None, key: str | None
) -> list[Compared]:
    """Return each field that has a counterpart, in their order. An answer may lack a field."""
    values = answer if isinstance(answer, Mapping) else {}
    measured: dict[Counterpart, float | str | None] = {"tempo_bpm": tempo_bpm, "key": key}
    found = []
    for field, counterpart in fields.items():
        value, other = values.get(field), measured[counterpart]
        relation = _relation(value, other)
        agrees = None if relation is None else relation == "same"
        found.append(Compared(field, value, other, agrees, relation))
    return found


def _relation(answer: object, measured: float | str | None) -> Relation | None:
    if isinstance(measured, str):
        one, other = parse_key(answer) if isinstance(answer, str) else None, parse_key(measured)
        return key_relation(one, other) if one and other else None
    tempo_bpm = _number(answer)
    if measured is None or tempo_bpm is None:
        return None
    return tempo_relation(tempo_bpm, measured)


def _number(answer: object) -> float | None:
    """Return a tempo that is stated as a number, or as a text such as `120` or `120 BPM`."""
    if isinstance(answer, bool):
        return None
    if isinstance(answer, str):
        answer = answer.strip().lower().removesuffix("bpm").strip()
    try:
        number = float(answer)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number > 0 else None
