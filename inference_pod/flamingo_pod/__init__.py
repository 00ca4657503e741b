"""The pod: one GPU, one model, an OpenAI-style HTTP server around one engine."""
