"""The checkpoint: its classes, its limits, its encoder."""

from flamingo_pod.model import torchaudio_guard

torchaudio_guard.hide_if_broken()  # before anything below imports transformers
