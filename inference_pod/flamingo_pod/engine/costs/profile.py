"""Where the engine's time went: seconds by stage, and counters.

Pure: the engine measures.
"""

from dataclasses import dataclass, fields


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

    def reset(self) -> None:
        """Set all to zero."""
        for each in fields(self):
            setattr(self, each.name, each.default)

    def add_mel(self, seconds: float) -> None:
        """Add the time of mel spectrograms."""
        self.mel_s += seconds

    def add_encode(self, seconds: float) -> None:
        """Add the time of the encoder."""
        self.encode_s += seconds

    def add_windows(self, seconds: float) -> None:
        """Add the time of windows that prompts wait for."""
        self.windows_s += seconds

    def add_sample(self, seconds: float) -> None:
        """Add the time of sampling."""
        self.sample_s += seconds

    def add_forward(self, seconds: float, *, num_prefilled: int, num_decoded: int) -> None:
        """Add a forward pass; its time is split between prefill and decode by their rows."""
        share = num_prefilled / (num_prefilled + num_decoded)
        self.prefill_s += seconds * share
        self.decode_s += seconds * (1 - share)
        self.num_prefilled += num_prefilled
        self.num_decoded += num_decoded

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
