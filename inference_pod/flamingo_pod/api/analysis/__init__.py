"""Handlers of `/v1/audio/analyze` and `/v1/recipes`: several questions about one clip."""
