"""How two tempos of the same music relate.

Which of a song's levels is the beat is often a matter of taste, so evaluations of tempo estimation
(MIREX) count a tempo as right within 4 %, and list those of the levels around it.

Pure.
"""

from typing import Literal

TempoRelation = Literal["same", "double", "half", "triple", "third", "other"]
TOLERANCE = 0.04
RATIOS: dict[TempoRelation, float] = {
    "same": 1.0,
    "double": 2.0,
    "half": 1 / 2,
    "triple": 3.0,
    "third": 1 / 3,
}


def tempo_relation(tempo_bpm: float, reference_bpm: float) -> TempoRelation:
    """Return what the tempo is to the reference: `double` if it is twice as fast."""
    for relation, ratio in RATIOS.items():
        expected_bpm = ratio * reference_bpm
        if abs(tempo_bpm - expected_bpm) <= TOLERANCE * expected_bpm:
            return relation
    return "other"
