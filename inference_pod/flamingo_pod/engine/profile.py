"""What the engine has spent its time on.

Pure: others measure.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class EngineProfile:
    """Seconds by stage and counts, since the start."""

    mel_s: float = 0.0
    encode_s: float = 0.0
    prefill_s: float = 0.0
    decode_s: float = 0.0
    choose_s: float = 0.0
    hear_s: float = 0.0
    """Mel, encoding and projection of the windows that prompts wait for: a part of the above."""
    num_steps: int = 0
    num_windows: int = 0
    num_prefilled: int = 0
    num_decoded: int = 0
    num_prompt_tokens: int = 0
    num_reused_tokens: int = 0
    """Of the prompts' tokens, those that were computed before."""

    @property
    def stages(self) -> dict[str, float]:
        """Seconds by the name of the stage."""
        return {
            "mel": self.mel_s,
            "encode": self.encode_s,
            "prefill": self.prefill_s,
            "decode": self.decode_s,
            "choose": self.choose_s,
        }
