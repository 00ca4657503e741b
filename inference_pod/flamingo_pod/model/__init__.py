"""The model: its checkpoint and limits, its feature extractor and its audio encoder."""

from flamingo_pod.model import torchaudio_guard

torchaudio_guard.hide_if_broken()  # before anything below imports transformers
