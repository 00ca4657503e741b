"""Handlers of `/v1/chat/completions`, and of `/v1/responses`, which is translated into chat."""
