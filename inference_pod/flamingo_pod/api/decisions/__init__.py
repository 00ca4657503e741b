"""Handler of `/v1/decisions`: questions that are answered with probabilities."""
