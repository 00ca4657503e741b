"""The inference pod: one model on one GPU, behind an OpenAI-compatible HTTP API."""
