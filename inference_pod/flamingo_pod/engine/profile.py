"""Where the engine's time went: seconds by stage, and counters.

Pure: the engine measures.
"""

from dataclasses import dataclass


@dataclass(slots=True)
class EngineProfile:
    """Seconds by stage and counters, since the start."""

    mel_s: float = 0.0
    encode_s: float = 0.0
    prefill_s: float = 0.0
    decode_s: float = 0.0
    sample_s: float = 0.0
    windows_s: float = 0.0
    """Mel, encoding and projection of the windows that prompts wait for; overlaps the above."""
    num_steps: int = 0
    num_windows: int = 0
    num_prefilled: int = 0
    num_decoded: int = 0
    num_prompt_tokens: int = 0
    num_cached_tokens: int = 0
    """Prompt tokens whose KV was cached."""

    @property
    def stages(self) -> dict[str, float]:
        """Seconds by stage."""
        return {
            "mel": self.mel_s,
            "encode": self.encode_s,
            "prefill": self.prefill_s,
            "decode": self.decode_s,
            "sample": self.sample_s,
        }
